"""The steps of Okta's published acceptance test for SCIM 2.0, each with what it demands of the answer.

Okta publishes it for Runscope. A person must be there before it starts. Its own demand that GET /Groups is answered
within 600 ms is left out, because a test must not depend on how busy a machine is.
"""

from collections.abc import Callable
from typing import Any

from tests.scim.conversations.impatience import ERROR, USER
from tests.scim.conversations.talking import MEMBER, IdentityProvider, Step

SUITE = IdentityProvider(
    "Okta SPEC test",
    {
        "User-Agent": "OKTA SCIM Integration",
        "Accept": "application/scim+json",
        "Accept-Charset": "utf-8",
        "Content-Type": "application/scim+json; charset=utf-8",
    },
)
# Creations come with other headers than everything else.
POST_HEADERS = {
    "User-Agent": None,
    "Accept-Charset": None,
    "Accept": "application/scim+json; charset=utf-8",
    "Content-Type": "application/json",
}

THERE = {
    "schemas": [USER],
    "userName": "there.already@acme.example",
    "name": {"givenName": "There", "familyName": "Already"},
    "emails": [{"value": "there.already@acme.example", "primary": True}],
}
# The address of the first creation is another one than the user name; that of the second is the user name.
RANDOM = {
    "schemas": [USER],
    "userName": "qzkvhr@acme.example",
    "name": {"givenName": "Qzk", "familyName": "Vhr"},
    "emails": [{"primary": True, "value": "wptxlm@acme.example", "type": "work"}],
    "displayName": "Qzk Vhr",
    "active": True,
}
AGAIN = {**RANDOM, "emails": [{"primary": True, "value": "qzkvhr@acme.example", "type": "work"}]}

STEPS = [
    Step("A person is there", "POST /Users", THERE, status=201, remembers="there", people={"there": MEMBER},
         events=["scimUser.provisioned there"]),
    Step("Required: the Users endpoint", "GET /Users?count=1&startIndex=1", finds=["there"],
         hears={"totalResults": 1, "startIndex": 1, "itemsPerPage": 1,
                "Resources": [{"id": "{there}", "name": {"givenName": "There", "familyName": "Already"},
                               "userName": "there.already@acme.example", "active": True,
                               "emails": [{"value": "there.already@acme.example"}]}]}),
    Step("Required: one user by id", "GET /Users/{there}",
         hears={"id": "{there}", "name": {"givenName": "There", "familyName": "Already"}, "active": True,
                "userName": "there.already@acme.example", "emails": [{"value": "there.already@acme.example"}]}),
    Step("Required: a user name that nobody has", 'GET /Users?filter=userName eq "abcdefgh@nowhere.example"', finds=[],
         hears={"totalResults": 0}),
    Step("Required: an id that nobody has", "GET /Users/010101001010101011001010101011", status=404,
         hears={"schemas": [ERROR]}),
    Step("Required: the random user is not there yet", 'GET /Users?filter=userName eq "wptxlm@acme.example"', finds=[],
         hears={"totalResults": 0}),
    Step("Required: create it with realistic values", "POST /Users", RANDOM, status=201, headers=POST_HEADERS,
         hears=RANDOM, remembers="random", people={"random": MEMBER}, events=["scimUser.provisioned random"]),
    Step("Required: it was created", "GET /Users/{random}",
         hears={"userName": "qzkvhr@acme.example", "name": {"givenName": "Qzk", "familyName": "Vhr"}}),
    Step("Required: creating it again fails", "POST /Users", AGAIN, status=409, headers=POST_HEADERS),
    Step("Required: the user name in capitals", 'GET /Users?filter=userName eq "QZKVHR@ACME.EXAMPLE"',
         finds=["random"]),
    Step("Optional: the Groups endpoint", "GET /Groups", finds=[]),
    Step("Required: an Authorization that is no token", 'GET /Users?filter=userName eq "QZKVHR@ACME.EXAMPLE"',
         headers={"Authorization": "non-token"}, status=401, hears={"schemas": [ERROR], "status": "401"}),
    Step("Required: a 404 in SCIM's words", "GET /Users/00919288221112222", status=404,
         hears={"schemas": [ERROR], "status": "404"}),
]  # fmt: skip


def test_oktas_published_acceptance_test_passes(play: Callable[..., Any]) -> None:
    play(SUITE, STEPS)
