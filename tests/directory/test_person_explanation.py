"""For one person: where each field and the role come from, by which path and expression, and when."""

from typing import Any

from flask import Flask

from tests import okta
from tests.conftest import Tenant
from tests.directory.applying import BY_GROUPS, add, application_row, apply, push, put, put_and_apply, set_role
from tests.stored import everything_stored


def explain(tenant: Tenant, user_id: str) -> dict[str, Any]:
    answer = tenant.api("GET", f"/organizations/{tenant.organization_id}/scim/users/{user_id}/explanation")
    assert answer.status_code == 200, answer.json
    found: dict[str, Any] = answer.json
    return found


def field(explanation: dict[str, Any], name: str) -> dict[str, Any]:
    (found,) = [origin for origin in explanation["fields"] if origin["field"] == name]
    return found


def test_each_field_names_its_path_expression_raw_value_and_result(app: Flask, acme: Tenant) -> None:
    ada = add(acme, "ada.lovelace", title="Countess")
    put_and_apply(
        app,
        acme,
        {"name.givenName": "{{ value | upcase }}", "title": "{{ value | downcase }}.public_metadata.job.title"},
    )
    explained = explain(acme, ada)
    first = field(explained, "first_name")
    assert (first["value"], first["mapped"]) == ("ADA", "ADA")
    (step,) = first["steps"]
    assert (step["path"], step["raw"], step["result"]) == ("name.givenName", "Ada", "ADA")
    assert (step["source"], step["outcome"]) == ("override", "used")
    assert "upcase" in step["expression"]
    title = field(explained, "public_metadata.job.title")
    assert (title["value"], title["steps"][0]["raw"]) == ("countess", "Countess")
    email = field(explained, "email_address")
    assert [step["outcome"] for step in email["steps"]] == ["used", "overruled"]
    assert explained["managed_here"] and explained["up_to_date"] and explained["warnings"] == []


def test_when_is_the_latest_change_of_what_was_read(app: Flask, acme: Tenant) -> None:
    ada = add(acme, "ada.lovelace")
    application = put_and_apply(app, acme, {"name.givenName": "{{ value | upcase }}", **BY_GROUPS})
    explained = explain(acme, ada)
    assert field(explained, "last_name")["as_of"] == explained["resource_changed_at"]
    assert field(explained, "first_name")["as_of"] == explained["mapping_changed_at"]
    assert explained["resource_changed_at"] <= explained["mapping_changed_at"] <= application["finished_at"]
    push(acme, "org:admin", ada)
    explained = explain(acme, ada)
    (group,) = explained["groups"]
    assert group["display_name"] == "org:admin" and group["joined_at"] >= explained["mapping_changed_at"]


def test_the_role_says_why(app: Flask, acme: Tenant) -> None:
    ada, grace = add(acme, "ada.lovelace"), add(acme, "grace.hopper")
    assert explain(acme, ada)["role"]["source"] == "default"
    push(acme, "org:admin", ada)
    set_role(app, acme, grace, "org:admin")
    put_and_apply(app, acme, BY_GROUPS)
    of_ada, of_grace = explain(acme, ada)["role"], explain(acme, grace)["role"]
    assert (of_ada["role"], of_ada["source"], of_ada["mapped"]) == ("org:admin", "mapping", "org:admin")
    assert of_ada["candidates"] == ["org:admin"] and "most permissions" in of_ada["reason"]
    assert (of_grace["role"], of_grace["source"], of_grace["mapped"]) == ("org:admin", "manual", "org:member")
    assert "set by hand" in of_grace["reason"]
    acme.scim("PATCH", f"/Users/{ada}", okta.set_active(False))
    assert (explain(acme, ada)["role"]["role"], explain(acme, ada)["active"]) == (None, False)


def test_of_somebody_whom_another_organization_manages_it_tells_what_this_directory_says(
    app: Flask, acme: Tenant, globex: Tenant
) -> None:
    ada = add(globex, "ada.lovelace", title="Countess")
    put_and_apply(app, globex, {"title": "public_metadata.secret"})
    add(acme, "ada.lovelace", name={"givenName": "Augusta"})
    explained = explain(acme, ada)
    assert not explained["managed_here"] and explained["up_to_date"]
    assert field(explained, "first_name")["value"] == "Augusta"
    assert "Countess" not in repr(explained)


def test_while_a_mapping_is_on_its_way_the_explanation_says_so(app: Flask, acme: Tenant) -> None:
    ada = add(acme, "ada.lovelace")
    put(acme, {"name.givenName": "{{ value | upcase }}"})
    explained = explain(acme, ada)
    assert not explained["up_to_date"] and application_row(app, acme).state == "pending"
    assert (field(explained, "first_name")["value"], field(explained, "first_name")["mapped"]) == ("Ada", "ADA")
    apply(app, acme)
    assert explain(acme, ada)["up_to_date"]


def test_explaining_writes_nothing_and_is_for_the_own_organization_only(
    app: Flask, acme: Tenant, globex: Tenant
) -> None:
    from database import db
    from organizations.secret_keys import make_secret_key

    ada, grace = add(acme, "ada.lovelace"), add(globex, "grace.hopper")
    with app.app_context(), db.unit_of_work() as session:
        key = make_secret_key(session, "Globex only", organization_id=globex.organization_id)[1]
    explain(acme, ada)  # after which it is known that the secret key was used in this minute
    before = everything_stored(app)
    explain(acme, ada)
    assert everything_stored(app) == before
    where = f"/v1/organizations/{acme.organization_id}/scim/users/{ada}/explanation"
    assert acme.client.get(where).status_code == 401
    assert acme.client.get(where, headers={"Authorization": f"Bearer {key}"}).status_code == 404
    missing = acme.api("GET", f"/organizations/{acme.organization_id}/scim/users/{grace}/explanation")
    assert missing.status_code == 404 and missing.json["errors"][0]["code"] == "directory_user_not_found"
    acme.scim("DELETE", f"/Users/{ada}")
    assert acme.api("GET", where.removeprefix("/v1")).status_code == 404
