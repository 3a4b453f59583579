"""Okta's client sends what Okta sends, and believes nothing."""

import json
import re
from typing import Any
from urllib.parse import unquote

import pytest

from simulator.client import PushedGroup
from simulator.exchange import Misbehaviour
from simulator.okta import OktaClient
from simulator.people import invent

USER_SCHEMA = "urn:ietf:params:scim:schemas:core:2.0:User"
GROUP_SCHEMA = "urn:ietf:params:scim:schemas:core:2.0:Group"
LIST_SCHEMA = "urn:ietf:params:scim:api:messages:2.0:ListResponse"
ERROR_SCHEMA = "urn:ietf:params:scim:api:messages:2.0:Error"
PATCH_SCHEMA = "urn:ietf:params:scim:api:messages:2.0:PatchOp"
NADIA = invent(0)


def user(**changes: Any) -> dict[str, Any]:
    return {
        "schemas": [USER_SCHEMA],
        "id": "user_1",
        "userName": NADIA.user_name,
        "name": {"givenName": "Nadia", "familyName": "Petrov", "formatted": "Nadia Petrov"},
        "emails": [{"primary": True, "value": NADIA.user_name, "type": "work"}],
        "displayName": "Nadia Petrov",
        "locale": "en-US",
        "externalId": NADIA.okta_id,
        "active": True,
        "meta": {"resourceType": "User", "location": "https://acme.example/scim/v2/Users/user_1"},
        **changes,
    }


def listing(*resources: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {
        "schemas": [LIST_SCHEMA],
        "totalResults": len(resources),
        "startIndex": 1,
        "itemsPerPage": len(resources),
        "Resources": list(resources),
        **changes,
    }


def error(status: int, /, **changes: Any) -> dict[str, Any]:
    return {"schemas": [ERROR_SCHEMA], "status": str(status), "detail": "rate_limited: wait.", **changes}


CREATED = {"Location": "https://acme.example/scim/v2/Users/user_1"}


@pytest.fixture
def waits() -> list[float]:
    return []


@pytest.fixture
def okta(stub: Any, waits: list[float]) -> OktaClient:
    okta = OktaClient(stub.url, "scim_01HKX9SYSECRET", connections=1, sleep=waits.append)
    okta.new_password = lambda: "a long password"
    return okta


# -- What is sent -----------------------------------------------------------------


def test_a_look_up_and_a_creation_are_sent_as_okta_sends_them(okta: OktaClient, stub: Any, answer: Any) -> None:
    stub.will(answer(body=listing()), answer(201, user(), CREATED))
    okta.assign(NADIA)
    looked_up, created = stub.requests
    assert (
        unquote(looked_up.path)
        == '/scim/v2/Users?filter=userName eq "nadia.petrov@acme.example"&startIndex=1&count=100'
    )
    assert "userName%20eq%20%22nadia.petrov%40acme.example%22" in looked_up.path
    assert looked_up.headers["User-Agent"] == "Okta SCIM Client 1.0.0"
    assert looked_up.headers["Authorization"] == "Bearer scim_01HKX9SYSECRET"
    assert looked_up.headers["Content-Type"] == "application/scim+json; charset=utf-8"
    assert looked_up.headers["Accept"] == "application/scim+json"
    assert looked_up.headers["Accept-Charset"] == "utf-8"
    assert (created.method, created.path) == ("POST", "/scim/v2/Users")
    assert created.body == {
        "schemas": [USER_SCHEMA],
        "userName": "nadia.petrov@acme.example",
        "name": {"givenName": "Nadia", "familyName": "Petrov"},
        "emails": [{"primary": True, "value": "nadia.petrov@acme.example", "type": "work"}],
        "displayName": "Nadia Petrov",
        "locale": "en-US",
        "externalId": NADIA.okta_id,
        "groups": [],
        "password": "a long password",
        "active": True,
    }


def test_a_user_that_the_look_up_finds_is_linked_by_put(okta: OktaClient, stub: Any, answer: Any) -> None:
    found = user(active=False, title="Engineer")
    stub.will(answer(body=listing(found)), answer(body=user(title="Engineer")))
    assignment = okta.assign(NADIA)
    assert assignment.before == found
    assert assignment.changed
    assert (stub.requests[1].method, stub.requests[1].path) == ("PUT", "/scim/v2/Users/user_1")
    assert stub.requests[1].body["title"] == "Engineer"
    assert stub.requests[1].body["active"] is True


def test_a_catalogue_app_deactivates_by_a_patch_without_a_path(okta: OktaClient, stub: Any, answer: Any) -> None:
    stub.will(answer(body=user(active=False)))
    assert okta.deactivate("user_1")["active"] is False
    assert stub.requests[0].method == "PATCH"
    assert stub.requests[0].body == {
        "schemas": [PATCH_SCHEMA],
        "Operations": [{"op": "replace", "value": {"active": False}}],
    }


def test_a_wizard_app_deactivates_by_get_and_put(okta: OktaClient, stub: Any, answer: Any) -> None:
    stub.will(answer(body=user()), answer(body=user(active=False)))
    okta.in_way("aiw").deactivate("user_1")
    assert [request.method for request in stub.requests] == ["GET", "PUT"]
    assert stub.requests[1].body == user(active=False)


def test_a_catalogue_app_pushes_members_in_one_patch(okta: OktaClient, stub: Any, answer: Any) -> None:
    stub.will(answer(204))
    group = PushedGroup("grp_1", "Platform Team", {"user_1": "nadia.petrov@acme.example"})
    changed = okta.change_members(group, add={"user_2": "mary-jane.li@acme.example"}, remove=["user_1"])
    assert changed.members == {"user_2": "mary-jane.li@acme.example"}
    assert stub.requests[0].body["Operations"] == [
        {"op": "replace", "value": {"id": "grp_1", "displayName": "Platform Team"}},
        {"op": "remove", "path": 'members[value eq "user_1"]'},
        {"op": "add", "path": "members", "value": [{"value": "user_2", "display": "mary-jane.li@acme.example"}]},
    ]


def test_push_now_replaces_the_full_list(okta: OktaClient, stub: Any, answer: Any) -> None:
    stub.will(answer(204), answer(204))
    group = PushedGroup("grp_1", "Platform Team", {"user_1": "n@acme.example"})
    okta.push_now(group)
    okta.in_way("aiw").push_now(group)
    patch, put = stub.requests
    member = {"value": "user_1", "display": "n@acme.example"}
    assert patch.body["Operations"] == [{"op": "replace", "path": "members", "value": [member]}]
    assert put.body == {"schemas": [GROUP_SCHEMA], "id": "grp_1", "displayName": "Platform Team", "members": [member]}


def test_the_import_reads_pages_of_a_hundred(okta: OktaClient, stub: Any, answer: Any) -> None:
    everybody = [user(id=f"user_{number}") for number in range(101)]
    stub.will(
        answer(body=listing(*everybody[:100], totalResults=101)),
        answer(body=listing(everybody[100], totalResults=101, startIndex=101)),
    )
    assert len(list(okta.import_users())) == 101
    assert [request.path for request in stub.requests] == [
        "/scim/v2/Users?startIndex=1&count=100",
        "/scim/v2/Users?startIndex=101&count=100",
    ]


# -- What is not believed -----------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        (listing(totalResults="0"), "totalResults is '0'"),
        (listing(startIndex=None), "startIndex is None"),
        (listing(itemsPerPage=True), "itemsPerPage is True"),
        ({key: value for key, value in listing().items() if key != "Resources"}, "has no Resources"),
        (listing(schemas=[]), "do not name"),
        (listing(user(), totalResults=0), "contradict"),
        (listing(user(), user(id="user_2")), "2 resources"),
        (listing(user(id="")), "no id"),
        (listing(user(userName="somebody.else@acme.example")), "found 'somebody.else@acme.example'"),
        ([], "no JSON object"),
        ("<html>", "no JSON"),
    ],
)
def test_a_crooked_list_is_a_misbehaviour(okta: OktaClient, stub: Any, answer: Any, body: Any, complaint: str) -> None:
    stub.will(answer(body=body))
    with pytest.raises(Misbehaviour, match=re.escape(complaint)):
        okta.find_user(NADIA.user_name)


def test_an_answer_of_another_type_is_a_misbehaviour(okta: OktaClient, stub: Any, answer: Any) -> None:
    stub.will(answer(body=listing(), media_type="text/html"))
    with pytest.raises(Misbehaviour, match="text/html"):
        okta.find_user(NADIA.user_name)


def test_a_404_passes_for_an_empty_look_up_if_it_is_a_scim_error(okta: OktaClient, stub: Any, answer: Any) -> None:
    stub.will(answer(404, error(404)), answer(404, error(404, status=404)))
    assert okta.find_user(NADIA.user_name) is None
    with pytest.raises(Misbehaviour, match="as a string"):
        okta.find_user(NADIA.user_name)


@pytest.mark.parametrize(
    ("status", "body", "headers", "complaint"),
    [
        (200, user(), CREATED, "expects 201"),
        (500, error(500), {}, "got 500"),
        (201, None, CREATED, "no JSON"),
        (201, user(id=None), CREATED, "no id"),
        (201, user(active="true"), CREATED, "by true or false"),
        (201, user(userName=""), CREATED, "no userName"),
        (201, user(externalId=None), CREATED, "externalId was sent as"),
        (201, user(name={"givenName": "Nadia"}), CREATED, "name was sent as"),
        (201, user(emails=[]), CREATED, "emails was sent as"),
        (201, user(password="x"), CREATED, "shows a password"),
        (201, user(nickName="a long password"), CREATED, "repeats a secret"),
        (201, user(), {}, "Location"),
    ],
)
def test_a_crooked_creation_is_a_misbehaviour(
    okta: OktaClient, stub: Any, answer: Any, status: int, body: Any, headers: dict[str, str], complaint: str
) -> None:
    stub.will(answer(status, body, headers))
    with pytest.raises(Misbehaviour, match=complaint):
        okta.create_user(NADIA)


def test_a_deactivated_user_that_is_shown_as_active_is_a_misbehaviour(okta: OktaClient, stub: Any, answer: Any) -> None:
    stub.will(answer(body=user()))
    with pytest.raises(Misbehaviour, match="active was sent as False"):
        okta.deactivate("user_1")
    stub.will(answer(204), answer(body=user()))
    with pytest.raises(Misbehaviour, match="active was sent as False"):
        okta.deactivate("user_1")


def test_an_answer_about_somebody_else_is_a_misbehaviour(okta: OktaClient, stub: Any, answer: Any) -> None:
    stub.will(answer(body=user(id="user_2")))
    with pytest.raises(Misbehaviour, match="user_2"):
        okta.get_user("user_1")


def test_an_import_whose_pages_overlap_or_fall_short_is_a_misbehaviour(
    okta: OktaClient, stub: Any, answer: Any
) -> None:
    everybody = [user(id=f"user_{number}") for number in range(100)]
    stub.will(
        answer(body=listing(*everybody, totalResults=101)),
        answer(body=listing(everybody[0], totalResults=101, startIndex=101)),
        answer(body=listing(*everybody[:50], totalResults=101)),
    )
    with pytest.raises(Misbehaviour, match="not stable"):
        list(okta.import_users())
    with pytest.raises(Misbehaviour, match="50 of them"):
        list(okta.import_users())


@pytest.mark.parametrize(
    ("body", "headers", "complaint"),
    [
        (error(401), {}, "WWW-Authenticate"),
        (error(401, detail=" "), {"WWW-Authenticate": "Bearer"}, "no detail"),
        (error(401, status=401), {"WWW-Authenticate": "Bearer"}, "as a string"),
        (error(401, detail="Unknown token scim_01HKX9SYSECRET"), {"WWW-Authenticate": "Bearer"}, "repeats a secret"),
    ],
)
def test_a_crooked_refusal_is_a_misbehaviour(
    okta: OktaClient, stub: Any, answer: Any, body: Any, headers: dict[str, str], complaint: str
) -> None:
    stub.will(answer(401, body, headers))
    with pytest.raises(Misbehaviour, match=complaint):
        okta.expect_credentials_refused()


def test_a_misbehaviour_shows_the_request_and_the_answer_without_the_secrets(
    okta: OktaClient, stub: Any, answer: Any
) -> None:
    stub.will(answer(500, error(500)))
    with pytest.raises(Misbehaviour) as caught:
        okta.create_user(NADIA)
    text = str(caught.value)
    assert "> POST " in text
    assert "< 500" in text
    assert json.dumps(error(500)) in text
    assert "scim_01HKX9SYSECRET" not in text
    assert "a long password" not in text


def test_no_answer_is_a_misbehaviour() -> None:
    with pytest.raises(Misbehaviour, match="No answer to GET"):
        OktaClient("http://127.0.0.1:1/scim/v2", "scim_0").test_connection()


# -- Backing off --------------------------------------------------------------------


def test_retry_after_is_heeded_and_doubled_with_each_attempt(
    okta: OktaClient, stub: Any, answer: Any, waits: list[float]
) -> None:
    stub.will(*[answer(429, error(429), {"Retry-After": "2"}) for _ in range(3)], answer(body=user()))
    okta.get_user("user_1")
    assert waits == [2, 4, 8]
    assert [back_off.attempt for back_off in okta.back_offs] == [1, 2, 3]


def test_okta_gives_up_after_the_tenth_attempt(okta: OktaClient, stub: Any, answer: Any, waits: list[float]) -> None:
    stub.will(*[answer(429, error(429), {"Retry-After": "1"}) for _ in range(10)])
    with pytest.raises(Misbehaviour, match="attempt 10"):
        okta.get_user("user_1")
    assert waits == [2**number for number in range(9)]


@pytest.mark.parametrize("value", ["Wed, 21 Oct 2026 07:28:00 GMT", "1.5", "", "-1"])
def test_a_retry_after_that_is_no_whole_number_is_a_misbehaviour(
    okta: OktaClient, stub: Any, answer: Any, waits: list[float], value: str
) -> None:
    stub.will(answer(429, error(429), {"Retry-After": value}))
    with pytest.raises(Misbehaviour, match="whole number"):
        okta.get_user("user_1")
    assert waits == []


def test_a_429_that_is_not_called_rate_limited_is_a_misbehaviour(okta: OktaClient, stub: Any, answer: Any) -> None:
    stub.will(answer(429, error(429, detail="Slow down"), {"Retry-After": "1"}))
    with pytest.raises(Misbehaviour, match="rate_limited"):
        okta.get_user("user_1")
