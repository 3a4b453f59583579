"""Every operation of the management API, taken from the declarations: who may call it, and what it leaves behind.

An operation that is added is tried here without a word. What its path names is
found by asking the list in front of it, and made by the operation beside that.
"""

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select, update

from blueprints.management.openapi import document, path_template
from blueprints.management.operations import OPERATIONS, Operation
from clock import now_ms
from database import db
from models import AdministrativeAct, SecretKey
from organizations.secret_keys import Scope, make_secret_key
from tests import okta
from tests.conftest import Tenant

PARAMETER = re.compile(r"\{(\w+)\}")
# Roles are the same in every organization, so a key of any reads them.
SHARED = {"read_role"}
PROTECTED = [declared for declared in OPERATIONS.values() if not declared.public]


def key_of(app: Flask, organization_id: str | None, scope: Scope = "write") -> tuple[str, str]:
    """Make a secret key, and return its id and itself."""
    with app.app_context(), db.unit_of_work() as session:
        key, plaintext = make_secret_key(session, "test", organization_id=organization_id, scope=scope)
        return key.id, plaintext


class Caller:
    """Calls operations on what an organization really has."""

    def __init__(self, tenant: Tenant) -> None:
        self.tenant = tenant
        self.known: dict[str, str] = {}
        self.user_id = tenant.scim("POST", "/Users", okta.user()).json["id"]
        tenant.scim("POST", "/Groups", okta.group("Team", self.user_id))
        self.call("create_webhook_endpoint")
        self.call("create_secret_key")
        tenant.api("POST", f"/organizations/{tenant.organization_id}/scim/tokens", {"name": "Okta"})
        # Found now, while nothing of anybody else is there.
        for declared in OPERATIONS.values():
            self.address(declared)

    def call(self, operation_id: str, headers: dict[str, str] | None = None) -> Any:
        declared = OPERATIONS[operation_id]
        authorization = {"Authorization": f"Bearer {self.tenant.secret_key}"} if headers is None else headers
        body = None if declared.body is None else self.sample(declared)
        return self.tenant.client.open(self.address(declared), method=declared.method, json=body, headers=authorization)

    def address(self, declared: Operation) -> str:
        """Return the path of an operation, each parameter replaced by the id of something that is there."""
        path = ""
        for part in path_template(declared).split("/")[1:]:
            name = PARAMETER.fullmatch(part)
            if name and path not in self.known:
                self.known[path] = self.found(path, name[1])
            path += "/" + (self.known[path] if name else part)
        return path

    def found(self, collection: str, parameter: str) -> str:
        if parameter == "organization_id":
            return self.tenant.organization_id
        if parameter == "user_id":
            return self.user_id
        path = collection.removeprefix("/v1")
        for _ in range(2):
            listed = self.tenant.api("GET", path)
            if listed.status_code == 200 and listed.json["data"]:
                return str(listed.json["data"][0]["id"])
            maker = next((d for d in OPERATIONS.values() if d.method == "POST" and self.fits(d, collection)), None)
            if maker is None:
                break
            self.tenant.api("POST", path, self.sample(maker))
        raise AssertionError(f"there is nothing at {collection}, so nobody could be kept from it")

    @staticmethod
    def fits(declared: Operation, collection: str) -> bool:
        return bool(re.fullmatch(PARAMETER.sub("[^/]+", path_template(declared)), collection))

    def sample(self, declared: Operation) -> Any:
        """Return a body that the operation takes, as far as the document tells."""
        if declared.body is None:
            return None
        schema = declared.body.model_json_schema()
        return {name: self.value(name, schema["properties"][name]) for name in schema.get("required", ())}

    def value(self, name: str, schema: Any) -> Any:
        known = {"user_id": self.user_id, "organization_id": self.tenant.organization_id, "role": "org:member"}
        if name in known:
            return known[name]
        if "examples" in schema:
            return schema["examples"][0]
        if "enum" in schema:
            return schema["enum"][0]
        return {"string": "Sample", "integer": now_ms(), "boolean": True, "array": [], "object": {}}.get(
            schema.get("type", ""), "Sample"
        )


@pytest.fixture
def caller(acme: Tenant) -> Caller:
    return Caller(acme)


def assert_refusal(response: Any, status: int, code: str | None = None) -> None:
    assert response.status_code == status, response.text
    body = response.json
    assert body["trace_id"] == response.headers["X-Request-Id"]
    assert code in (None, body["errors"][0]["code"])


# -- Who may call --------------------------------------------------------------------


def test_every_route_is_a_declared_operation(app: Flask) -> None:
    routes = {rule.endpoint for rule in app.url_map.iter_rules() if rule.rule.startswith("/v1")}
    assert routes == {f"management.{name}" for name in OPERATIONS}
    assert [declared.id for declared in OPERATIONS.values() if declared.public] == ["read_openapi"]


@pytest.mark.parametrize(
    "spoil",
    [
        lambda app, key_id: None,
        lambda app, key_id: set_key(app, key_id, revoked_at=1),
        lambda app, key_id: set_key(app, key_id, expires_at=now_ms() - 1),
    ],
    ids=["none", "revoked", "expired"],
)
def test_no_operation_is_open_to_whoever_has_no_usable_key(
    app: Flask, caller: Caller, spoil: Callable[[Flask, str], str | None]
) -> None:
    key_id, plaintext = key_of(app, None)
    has_key = spoil(app, key_id) is not None
    headers = {"Authorization": f"Bearer {plaintext}"} if has_key else {}
    for declared in PROTECTED:
        refused = caller.call(declared.id, headers)
        assert_refusal(refused, 401, "secret_key_invalid")
        assert "WWW-Authenticate" in refused.headers


def set_key(app: Flask, key_id: str, **values: int) -> str:
    with app.app_context(), db.unit_of_work() as session:
        session.execute(update(SecretKey).where(SecretKey.id == key_id).values(**values))
    return key_id


@pytest.mark.parametrize("authorization", ["Bearer ", "Bearer sk_UNKNOWN", "Basic x", "sk", "scim"])
def test_no_other_credential_opens_an_operation(acme: Tenant, authorization: str) -> None:
    sent = f"Bearer {acme.scim_token}" if authorization == "scim" else authorization
    for declared in PROTECTED:
        address = PARAMETER.sub("unknown", path_template(declared))
        answer = acme.client.open(address, method=declared.method, headers={"Authorization": sent})
        assert_refusal(answer, 401, "secret_key_invalid")


def test_a_key_that_may_only_read_changes_nothing(app: Flask, caller: Caller) -> None:
    _, plaintext = key_of(app, None, "read")
    headers = {"Authorization": f"Bearer {plaintext}"}
    for declared in PROTECTED:
        answer = caller.call(declared.id, headers)
        if declared.changes:
            assert_refusal(answer, 403, "secret_key_scope")
        else:
            assert answer.status_code == declared.status, (declared.id, answer.text)
    assert not [act for act in acts(app) if act.actor_label.startswith("test (")]


def test_a_key_of_another_organization_finds_nothing(app: Flask, caller: Caller, globex: Tenant) -> None:
    _, plaintext = key_of(app, globex.organization_id)
    headers = {"Authorization": f"Bearer {plaintext}"}
    acme = caller.tenant
    tried = 0
    for declared in PROTECTED:
        answer = caller.call(declared.id, headers)
        if declared.for_environment and "<organization_id>" not in declared.path:
            assert_refusal(answer, 403, "secret_key_scope")
        elif "<" in declared.path and declared.id not in SHARED:
            assert_refusal(answer, 404)
            tried += 1
        for value in (acme.organization_id, acme.admin_id, caller.user_id):
            sent = caller.address(declared)
            assert value not in answer.text.replace(sent, ""), declared.id
    assert tried > 15
    assert acme.scim("GET", f"/Users/{caller.user_id}").status_code == 200
    assert not [
        act
        for act in acts(app)
        if act.actor_label.startswith("test (") and act.organization_id != globex.organization_id
    ]


def test_whoever_filters_for_another_organization_is_told_that_there_is_none(
    app: Flask, acme: Tenant, globex: Tenant
) -> None:
    _, acme.secret_key = key_of(app, acme.organization_id)
    tried = 0
    for declared in PROTECTED:
        if declared.query is not None and "organization_id" in declared.query.model_fields:
            address = path_template(declared).removeprefix("/v1")
            assert_refusal(acme.api("GET", f"{address}?organization_id={globex.organization_id}"), 404)
            assert acme.api("GET", f"{address}?organization_id={acme.organization_id}").status_code == 200
            tried += 1
    assert tried >= 4


# -- What it leaves behind --------------------------------------------------------------


def acts(app: Flask) -> list[AdministrativeAct]:
    with app.app_context(), db.reading() as session:
        found = list(session.scalars(select(AdministrativeAct).order_by(AdministrativeAct.id)))
        session.expunge_all()
        return found


def test_every_operation_that_changes_something_is_in_the_audit_log(app: Flask, caller: Caller) -> None:
    done = []
    for declared in sorted(PROTECTED, key=lambda declared: declared.method == "DELETE"):
        answer = caller.call(declared.id)
        own = [act for act in acts(app) if act.trace_id == answer.headers["X-Request-Id"]]
        assert bool(own) == (declared.changes and answer.status_code < 400), declared.id
        for act in own:
            assert act.actor_kind == "secret_key" and act.action.startswith(act.target_type)
            assert act.target_id
        done += [declared.id] if own else []
    changing = [declared.id for declared in PROTECTED if declared.changes]
    assert len(done) >= 0.8 * len(changing), set(changing) - set(done)


def test_no_secret_that_was_shown_is_kept_in_the_audit_log(app: Flask, caller: Caller) -> None:
    shown = []
    for declared in PROTECTED:
        if declared.changes and declared.method == "POST":
            answer = caller.call(declared.id)
            if answer.status_code < 400:
                shown += [value for value in texts(answer.json) if re.search(r"[0-9A-Za-z+/]{30}", value)]
    secrets = [value for value in shown if not re.fullmatch(r"[a-z]+_[0-9A-Z]{26}", value)]
    assert len(secrets) >= 4
    written = [str(act.details) + act.actor_label + act.target_id for act in acts(app)]
    assert not [text for text in written for secret in secrets if secret in text]


def texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from texts(item)


def test_a_repetition_of_any_post_gets_the_first_answer_and_does_nothing(app: Flask, caller: Caller) -> None:
    repeated = 0
    for declared in PROTECTED:
        if not declared.keeps_answers:
            continue
        headers = {"Authorization": f"Bearer {caller.tenant.secret_key}", "Idempotency-Key": declared.id}
        request = {"json": caller.sample(declared), "headers": headers}
        first = caller.tenant.client.post(caller.address(declared), **request)
        before = len(acts(app))
        second = caller.tenant.client.post(caller.address(declared), **request)
        assert second.status_code == first.status_code, declared.id
        if first.status_code < 400:  # what was refused is tried again, and refused under another trace id
            assert second.json == first.json
            assert (first.headers.get("Idempotent-Replayed"), second.headers["Idempotent-Replayed"]) == (None, "true")
            repeated += 1
        assert len(acts(app)) == before
    assert repeated >= 8


# -- What the document says ----------------------------------------------------------------


def test_every_operation_says_in_a_sentence_what_it_does() -> None:
    for path in document("https://x.test")["paths"].values():
        for described in path.values():
            assert re.fullmatch(r"[A-Z].*[.]", described["summary"]), described["operationId"]
