"""A script notices what is not as it says: an answer, the directory, a membership, a group, an event."""

from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from tests.scim.conversations.impatience import ERROR, GROUP, LIST_RESPONSE, USER, judge
from tests.scim.conversations.talking import ADMIN, MEMBER, IdentityProvider, Step, difference

SOMEBODY = IdentityProvider("Somebody", {"Content-Type": "application/scim+json"})
CREATE = Step(
    "Create",
    "POST /Users",
    {"schemas": [USER], "userName": "ada@acme.example", "title": "Countess"},
    status=201,
    hears={"title": "Countess"},
    remembers="ada",
    people={"ada": MEMBER},
    events=["scimUser.provisioned ada"],
)
PUSH = Step("Push", "POST /Groups", {"schemas": [GROUP], "displayName": "Team", "members": [{"value": "{ada}"}]},
            status=201, remembers="team", groups={"Team": {"ada"}}, events=["scimGroup.created team"])  # fmt: skip


@pytest.mark.parametrize(
    ("step", "complaint"),
    [
        (replace(CREATE, status=200), "200 was expected, and 201 came"),
        (replace(CREATE, hears={"title": "Baroness"}), "title as 'Countess', not 'Baroness'"),
        (replace(CREATE, hears={"active": "true"}), "active as True, not 'true'"),
        (replace(CREATE, hears={"name": {"givenName": "Ada"}}), "name as None"),
        (replace(CREATE, lacks=["userName"]), "must not be there"),
        (replace(CREATE, people={}), "the people are"),
        (replace(CREATE, people={"ada": ADMIN}), "the people are"),
        (replace(CREATE, groups={"Team": set()}), "the groups are"),
        (replace(CREATE, events=[]), "the product heard"),
        (replace(CREATE, events=["scimUser.provisioned ada"] * 2), "the product heard"),
        (Step("Find", "GET /Users", finds=["ada"]), "it found"),
    ],
)
def test_a_step_that_is_wrong_fails(play: Callable[..., Any], step: Step, complaint: str) -> None:
    with pytest.raises(AssertionError, match=complaint) as caught:
        play(SOMEBODY, [step])
    assert step.request in "".join(caught.value.__notes__)


@pytest.mark.parametrize("members", [set(), {"somebody"}, {"ada", "somebody"}])
def test_members_that_are_wrong_fail(play: Callable[..., Any], members: set[str]) -> None:
    with pytest.raises(AssertionError, match="the groups are"):
        play(SOMEBODY, [CREATE, replace(PUSH, groups={"Team": members})])


def answer(content: Any, status: int = 200, **headers: str) -> Any:
    return SimpleNamespace(status_code=status, mimetype="application/scim+json", content_type="application/scim+json",
                           headers={"ETag": 'W/"1"', **headers}, text=repr(content), data=b"x",
                           get_json=lambda force: content)  # fmt: skip


META = {"resourceType": "User", "location": "https://x/scim/v2/Users/u", "version": 'W/"1"',
        "created": "2026-01-01T00:00:00Z", "lastModified": "2026-01-01T00:00:00Z"}  # fmt: skip
ADA = {"schemas": [USER], "id": "u", "userName": "ada", "active": True, "meta": META}
PAGE = {"schemas": [LIST_RESPONSE], "totalResults": 1, "startIndex": 1, "itemsPerPage": 1, "Resources": [ADA]}
LOCATION = {"Location": META["location"]}


def test_an_impatient_client_takes_what_is_right() -> None:
    judge("GET /Users/u", answer(ADA))
    judge("POST /Users", answer(ADA, 201, **LOCATION))
    judge("GET /Users", answer(PAGE))
    judge("GET /Users/x", answer({"schemas": [ERROR], "status": "404", "detail": "Nobody."}, 404))


@pytest.mark.parametrize(
    ("request_line", "crooked"),
    [
        ("GET /Users", answer({**PAGE, "totalResults": "1"})),
        ("GET /Users", answer({**PAGE, "startIndex": True})),
        ("GET /Users", answer({**PAGE, "Resources": None})),
        ("GET /Users", answer({**PAGE, "itemsPerPage": 2})),
        ("GET /Users", answer({**PAGE, "Resources": [{**ADA, "active": "true"}]})),
        ("GET /Users/u", answer({**ADA, "id": ""})),
        ("GET /Users/u", answer({**ADA, "password": "x"})),
        ("GET /Users/u", answer({**ADA, "meta": {**META, "created": "yesterday"}})),
        ("GET /Users/u", answer({**ADA, "meta": {**META, "version": 'W/"2"'}})),
        ("POST /Users", answer(ADA, 201, Location="https://x/elsewhere")),
        ("GET /Users/u", answer({"schemas": [ERROR], "status": 404, "detail": "Nobody."}, 404)),
        ("GET /Users/u", answer({"schemas": [ERROR], "status": "404", "detail": " "}, 404)),
        ("DELETE /Users/u", answer(None, 204)),
    ],
)
def test_an_impatient_client_takes_nothing_else(request_line: str, crooked: Any) -> None:
    with pytest.raises(AssertionError):
        judge(request_line, crooked)


def test_an_impatient_client_notices_its_secret() -> None:
    with pytest.raises(AssertionError, match="secret"):
        judge("GET /Users/u", answer({**ADA, "title": "scim_SECRET"}), secrets=("scim_SECRET",))


def test_numbers_and_their_texts_differ() -> None:
    assert difference({"a": [1]}, {"a": [1], "b": 2}) is None
    assert difference({"a": [1]}, {"a": ["1"]}) == "a[0] as '1', not 1"
    assert difference({"a": 1}, {"a": True}) == "a as True, not 1"
    assert difference({"a": [1]}, {"a": [1, 2]}) == "a as [1, 2], not [1]"
