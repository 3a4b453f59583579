"""Each client speaks as its identity provider does, and notices a server that answers wrongly."""

from typing import Any
from urllib.parse import unquote_plus

import pytest

from simulator.client import Client, PushedGroup
from simulator.entra import ENTERPRISE, FLAG, MANAGER
from simulator.exchange import Misbehaviour
from simulator.people import invent
from simulator.providers import PROVIDERS

USER = "urn:ietf:params:scim:schemas:core:2.0:User"
LIST = "urn:ietf:params:scim:api:messages:2.0:ListResponse"
ERROR = "urn:ietf:params:scim:api:messages:2.0:Error"
NADIA = invent(0)
CREATED = {"Location": "https://acme.example/scim/v2/Users/user_1"}
GROUP = PushedGroup("grp_1", "Team", {"user_1": "a@acme.example", "user_2": "b@acme.example"})

each_idp = pytest.mark.parametrize("idp", PROVIDERS)


@pytest.fixture
def make(stub: Any) -> Any:
    def make(idp: str, way: str | None = None) -> Any:
        return PROVIDERS[idp].client(stub.url, "scim_01HKX9SYSECRET", way=way, connections=1)

    return make


def echoed(client: Client, **changes: Any) -> dict[str, Any]:
    """The user that a right server answers a creation with."""
    sent = client.shown(client.creation(NADIA))
    meta = {"resourceType": "User", "location": CREATED["Location"]}
    kept = {name: value for name, value in sent.items() if name not in ("groups", "password")}
    return {**kept, "schemas": [USER], "id": "user_1", "meta": meta, **changes}


def listing(*resources: dict[str, Any], **changes: Any) -> dict[str, Any]:
    total = len(resources)
    counts = {"totalResults": total, "startIndex": 1, "itemsPerPage": total}
    return {"schemas": [LIST], **counts, "Resources": list(resources), **changes}


# -- What is not believed --------------------------------------------------------------


@each_idp
def test_a_right_creation_is_taken(make: Any, stub: Any, answer: Any, idp: str) -> None:
    client = make(idp)
    stub.will(answer(body=listing()), answer(201, echoed(client), CREATED))
    assert client.assign(NADIA).user["id"] == "user_1"


@each_idp
@pytest.mark.parametrize(
    ("changes", "headers", "complaint"),
    [
        ({"active": "True"}, CREATED, "by true or false"),
        ({"active": False}, CREATED, "active was sent as True"),
        ({"id": ""}, CREATED, "no id"),
        ({"userName": "nadia"}, CREATED, "userName was sent as"),
        ({"emails": []}, CREATED, "emails was sent as"),
        ({"password": "x"}, CREATED, "shows a password"),
        ({"title": "scim_01HKX9SYSECRET"}, CREATED, "repeats a secret"),
        ({}, {}, "Location"),
    ],
)
def test_a_crooked_creation_is_noticed(
    make: Any, stub: Any, answer: Any, idp: str, changes: dict[str, Any], headers: dict[str, str], complaint: str
) -> None:
    client = make(idp)
    stub.will(answer(201, echoed(client, **changes), headers))
    with pytest.raises(Misbehaviour, match=complaint):
        client.create_user(NADIA)


@each_idp
@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        (listing(totalResults="0"), "totalResults is '0'"),
        ({key: value for key, value in listing().items() if key != "Resources"}, "no Resources"),
        (listing({"id": "user_2", "userName": "somebody.else@acme.example"}), "found 'somebody.else"),
    ],
)
def test_a_crooked_look_up_is_noticed(
    make: Any, stub: Any, answer: Any, idp: str, body: dict[str, Any], complaint: str
) -> None:
    stub.will(answer(body=body))
    with pytest.raises(Misbehaviour, match=complaint):
        make(idp).find_user(NADIA.user_name)


@each_idp
def test_only_some_take_a_404_for_nobody(make: Any, stub: Any, answer: Any, idp: str) -> None:
    stub.will(answer(404, {"schemas": [ERROR], "status": "404", "detail": "Nobody."}))
    client = make(idp)
    if idp in ("okta", "onelogin"):
        assert client.find_user(NADIA.user_name) is None
    else:
        with pytest.raises(Misbehaviour, match=f"{client.name} expects 200 here, and got 404"):
            client.find_user(NADIA.user_name)


@each_idp
def test_somebody_who_stays_active_is_noticed(make: Any, stub: Any, answer: Any, idp: str) -> None:
    client = make(idp)
    stub.will(answer(body=echoed(client)), answer(body=echoed(client)))
    with pytest.raises(Misbehaviour, match="active was sent as False"):
        client.deactivate("user_1")


@each_idp
def test_a_deletion_that_leaves_somebody_there_is_noticed(make: Any, stub: Any, answer: Any, idp: str) -> None:
    client = make(idp)
    stub.will(answer(204), answer(body=echoed(client)))
    with pytest.raises(Misbehaviour, match="expects 404 here, and got 200"):
        client.delete_user("user_1")


def test_entra_notices_that_a_random_name_is_somebody(make: Any, stub: Any, answer: Any) -> None:
    client = make("entra")
    stub.will(answer(body=listing(echoed(client))))
    with pytest.raises(Misbehaviour):
        client.test_connection()


def test_entra_notices_a_manager_who_stays(make: Any, stub: Any, answer: Any) -> None:
    client = make("entra")
    stub.will(answer(body=echoed(client, **{ENTERPRISE: {"manager": {"value": "boss"}}})))
    with pytest.raises(Misbehaviour, match="The manager of user_1 must be None"):
        client.set_manager("user_1", None)


def test_google_notices_a_schema_that_lacks_what_it_maps(make: Any, stub: Any, answer: Any) -> None:
    stub.will(answer(body={"schemas": ["s"], "id": USER, "attributes": [{"name": "userName"}, {"name": "active"}]}))
    with pytest.raises(Misbehaviour, match="does not declare name"):
        make("google").test_connection()


# -- What is sent ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("idp", "path", "agent"),
    [
        ("okta", 'filter=userName eq "n@acme.example"&startIndex=1&count=100', "Okta SCIM Client 1.0.0"),
        ("entra", 'filter=userName eq "n@acme.example"', None),
        ("google", 'filter=userName eq "n@acme.example"&startIndex=1', None),
        ("onelogin", 'filter=userName eq "n@acme.example"', ""),
    ],
)
def test_a_look_up_is_asked_as_the_idp_asks_it(
    make: Any, stub: Any, answer: Any, idp: str, path: str, agent: str | None
) -> None:
    stub.will(answer(body=listing()))
    make(idp).find_user("n@acme.example")
    (request,) = stub.requests
    assert unquote_plus(request.path) == f"/scim/v2/Users?{path}"
    assert request.headers.get("User-Agent") == agent


def test_entras_flag_is_on_every_request(make: Any, stub: Any, answer: Any) -> None:
    stub.will(answer(body=listing()), answer(204))
    client = make("entra", FLAG)
    client.find_user("n@acme.example")
    client.change_members(GROUP, remove=["user_1"])
    assert [request.path.rpartition("?")[2].split("&")[-1] for request in stub.requests] == [FLAG, FLAG]


@pytest.mark.parametrize(
    ("idp", "way", "operations"),
    [
        ("okta", "oin", [{"op": "replace", "value": {"active": False}}]),
        ("entra", "default", [{"op": "Replace", "path": "active", "value": "False"}]),
        ("entra", FLAG, [{"op": "replace", "value": {"active": False}}]),
        ("jumpcloud", "patch", [{"op": "replace", "path": "active", "value": False}]),
        ("rippling", "patch", [{"op": "replace", "path": "active", "value": False}]),
    ],
)
def test_a_deactivation_by_patch(
    make: Any, stub: Any, answer: Any, idp: str, way: str, operations: list[dict[str, Any]]
) -> None:
    client = make(idp, way)
    stub.will(answer(body=echoed(client, active=False)))
    client.deactivate("user_1")
    assert stub.requests[0].body["Operations"] == operations


@pytest.mark.parametrize(
    ("idp", "way"),
    [("google", "put"), ("onelogin", "suspend"), ("ping", "patch"), ("jumpcloud", "put"), ("rippling", "put")],
)
def test_a_deactivation_by_get_and_put(make: Any, stub: Any, answer: Any, idp: str, way: str) -> None:
    client = make(idp, way)
    stub.will(answer(body=echoed(client)), answer(body=echoed(client, active=False)))
    client.deactivate("user_1")
    assert [request.method for request in stub.requests] == ["GET", "PUT"]
    assert stub.requests[1].body["active"] is False


def test_entra_names_an_address_by_its_type(make: Any) -> None:
    changes = {"name": {"givenName": "N"}, "emails": [{"type": "work", "value": "n@x.example"}]}
    by_path = {"path": 'emails[type eq "work"].value', "value": "n@x.example"}
    assert make("entra").operations(changes) == [
        {"op": "Replace", "path": "name.givenName", "value": "N"},
        {"op": "Replace", **by_path},
    ]
    assert make("entra", FLAG).operations(changes) == [
        {"op": "replace", "value": {"name.givenName": "N"}},
        {"op": "replace", **by_path},
    ]


@pytest.mark.parametrize(
    ("way", "manager", "operation"),
    [
        ("default", "boss", {"op": "Add", "path": MANAGER, "value": "boss"}),
        ("default", None, {"op": "Replace", "path": MANAGER, "value": ""}),
        (FLAG, None, {"op": "remove", "path": MANAGER}),
    ],
)
def test_entra_sets_a_manager_by_a_bare_id(
    make: Any, stub: Any, answer: Any, way: str, manager: str | None, operation: dict[str, Any]
) -> None:
    client = make("entra", way)
    shown = {"manager": {"value": manager}} if manager else {}
    stub.will(answer(body=echoed(client, **{ENTERPRISE: shown})))
    client.set_manager("user_1", manager)
    assert stub.requests[0].body["Operations"] == [operation]


@pytest.mark.parametrize(
    ("idp", "way", "operation"),
    [
        ("okta", "oin", {"op": "remove", "path": 'members[value eq "user_1"]'}),
        ("entra", "default", {"op": "Remove", "path": "members", "value": [{"$ref": None, "value": "user_1"}]}),
        ("entra", FLAG, {"op": "remove", "path": 'members[value eq "user_1"]'}),
        ("jumpcloud", "patch", {"op": "remove", "path": "members", "value": [{"value": "user_1"}]}),
        ("ping", "patch", {"op": "remove", "path": 'members[value eq "user_1"]'}),
    ],
)
def test_a_member_leaves_as_the_idp_says_it(
    make: Any, stub: Any, answer: Any, idp: str, way: str, operation: dict[str, Any]
) -> None:
    stub.will(answer(204))
    make(idp, way).change_members(GROUP, remove=["user_1"])
    assert stub.requests[0].body["Operations"][-1] == operation


@pytest.mark.parametrize(("idp", "way"), [("okta", "aiw"), ("ping", "put"), ("rippling", "put"), ("jumpcloud", "put")])
def test_a_member_leaves_by_a_put_of_the_whole_group(make: Any, stub: Any, answer: Any, idp: str, way: str) -> None:
    stub.will(answer(204))
    make(idp, way).change_members(GROUP, remove=["user_1"])
    assert stub.requests[0].method == "PUT"
    assert [member["value"] for member in stub.requests[0].body["members"]] == ["user_2"]


def test_onelogins_template_has_an_old_schema_and_bare_roles(make: Any) -> None:
    body = make("onelogin").creation(NADIA)
    assert (body["schemas"], body["roles"], body["profileUrl"]) == (["urn:scim:schemas:core:1.0"], ["engineer"], "")


def test_only_google_pushes_no_groups() -> None:
    assert [idp for idp, provider in PROVIDERS.items() if not provider.client.pushes_groups] == ["google"]
