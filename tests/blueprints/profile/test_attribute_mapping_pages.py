"""The attribute mapping editor: a draft is changed, tried, saved and applied, by people and against each other."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask

from blueprints.profile.mapping_words import expression_in_words, path_in_words
from database import db
from directory.mapping import compile_mapping
from directory.mapping_recipes import RECIPES, with_entries
from jobs import apply_mapping_of
from models import AdministrativeAct, AttributeMapping, MappingDraft
from tests import okta

MAPPING = "/organization/directory-sync/mapping"
ROW = f"{MAPPING}/row"
DEPARTMENT = f"{okta.ENTERPRISE}:department"


@pytest.fixture
def nadia(acme: Any) -> str:
    """Somebody who arrived in Acme's directory, with a department."""
    return arrive(acme, "nadia.petrov", **{okta.ENTERPRISE: {"department": "Finance"}})


def arrive(tenant: Any, name: str, **changes: Any) -> str:
    answer = tenant.scim("POST", "/Users", okta.user(name, **changes))
    assert answer.status_code == 201, answer.json
    return str(answer.json["id"])


def mapping_of(tenant: Any) -> Any:
    return tenant.api("GET", f"/organizations/{tenant.organization_id}/scim/attribute-mappings").json["mapping"]


def put(tenant: Any, mapping: dict[str, Any]) -> None:
    path = f"/organizations/{tenant.organization_id}/scim/attribute-mappings"
    answer = tenant.api("PUT", path, {"mapping": mapping})
    assert answer.status_code == 200, answer.json


def add_row(visitor: Any, path: str, destination: str, expression: str = "") -> Any:
    form = visitor.get(ROW)
    return visitor.send(form, ROW, path=path, destination_0=destination, expression_0=expression)


def save(visitor: Any) -> Any:
    return visitor.send(visitor.get(f"{MAPPING}/preview"), f"{MAPPING}/save")


# -- The table ------------------------------------------------------------------------


@pytest.mark.usefixtures("nadia")
def test_the_table_says_where_everything_goes_and_shows_what_was_received(acme_admin: Any) -> None:
    page = acme_admin.get(MAPPING)
    assert page.heading == "Attribute mapping"
    rows = page.rows()
    assert rows[0].startswith("Primary e-mail address emails[primary eq true].value E-mail address Default")
    assert "nadia.petrov@acme.example" in rows[0]
    assert "First name name.givenName First name Default Nadia" in rows[2]
    assert "A row above wins" in rows[1], "the primary address wins over the user name"
    assert "nadia.petrov@acme.example , whom your identity provider wrote about last" in page.text


def test_the_example_can_be_somebody_else(acme: Any, nadia: str, acme_admin: Any) -> None:
    arrive(acme, "omar.haddad")
    assert "Omar" in acme_admin.get(MAPPING).rows()[2]
    assert "Nadia" in acme_admin.get(f"{MAPPING}?person=NADIA.petrov@acme.example").rows()[2]
    page = acme_admin.get(f"{MAPPING}?person=nobody%00%ed%a0%80")
    assert "Nobody in this directory has the user name" in page.text


@pytest.mark.usefixtures("nadia")
def test_nobody_of_another_organization_is_an_example(globex_admin: Any) -> None:
    page = globex_admin.get(f"{MAPPING}?person=nadia.petrov@acme.example")
    assert "Nobody in this directory" in page.text and "Nadia" not in page.text
    form = globex_admin.get(ROW)
    assert "Your directory has received nobody yet" in form.text


@pytest.mark.usefixtures("nadia")
def test_paths_that_were_received_are_suggested(acme: Any, acme_admin: Any) -> None:
    acme.scim("POST", "/Groups", okta.group('The "A" Team'))
    form = acme_admin.get(ROW)
    suggested = [option["value"] for option in form.soup.select("#paths option")]
    assert {DEPARTMENT, "name.givenName", 'emails[type eq "work"].value', "groups[*].value"} <= set(suggested)
    assert 'groups[display eq "The \\"A\\" Team"].value' in suggested and "password" not in suggested
    compile_mapping({path: "public_metadata.x" for path in suggested})
    assert "public_metadata.department" in [option["value"] for option in form.soup.select("#destinations option")]


# -- Rows ---------------------------------------------------------------------------------


def test_a_row_is_drafted_previewed_saved_and_applied(app: Flask, acme: Any, nadia: str, acme_admin: Any) -> None:
    assert add_row(acme_admin, DEPARTMENT, "public_metadata.department", "value | upcase").status_code == 303
    page = acme_admin.get(MAPPING)
    assert "Department" in page.rows()[0] and "in capital letters" in page.rows()[0] and "FINANCE" in page.rows()[0]
    assert "Your draft differs in 1 path." in page.text and mapping_of(acme) == {}
    preview = acme_admin.get(f"{MAPPING}/preview")
    assert "1 person would change" in preview.text and "nadia.petrov@acme.example" in preview.text
    assert '→ {"department": "FINANCE"}' in preview.text
    assert acme_admin.send(preview, f"{MAPPING}/save").location.endswith("/mapping/progress")
    assert mapping_of(acme) == {DEPARTMENT: "{{ value | upcase }}.public_metadata.department"}
    assert "Waiting for a worker." in acme_admin.get(f"{MAPPING}/progress").text
    with app.app_context():
        apply_mapping_of(acme.organization_id)
    progress = acme_admin.get(f"{MAPPING}/progress")
    assert "Everybody follows the mapping." in progress.text and "1 of 1 person looked at, 1 changed" in progress.text
    assert "Not saved yet" not in acme_admin.get(MAPPING).text
    user = acme.api("GET", f"/organizations/{acme.organization_id}/memberships").json["data"][-1]["user"]
    assert user["public_metadata"] == {"department": "FINANCE"}


MISTAKES = [
    ("", "first_name", "", "path", "Enter a path."),
    ("title", "", "", "destination_0", "Enter where it goes, or leave the path out."),
    ("title", "organisation_role", "", "destination_0", "Did you mean 'organization_role'?"),
    ("title", "first_name", "{{ value | lowercase }}", "expression_0", "At character 12: There is no filter"),
    ("title", "organisation_role", "{{ value | upcase }}", "destination_0", "Did you mean 'organization_role'?"),
    ("title", "first_name", "value | lowercase", "expression_0", "At character 9: There is no filter 'lowercase'."),
    ("title", "first_name", "{% if value %}x{% endif %}", "expression_0", "Liquid tags"),
    ("title", "first_name", "{{ value }}.public_metadata", "expression_0", "reads as a destination"),
    ("title", "", "{{ value }}", "expression_0", "no default destination"),
    ("name.firstName", "first_name", "", "path", "Did you mean 'name.givenName'?"),
    ("emails[type is", "email_address", "", "path", "never closed"),
    ("USERNAME", "username", "", "path", "same path as 'userName'"),
]


@pytest.mark.parametrize(("path", "destination", "expression", "place", "reason"), MISTAKES)
def test_a_mistake_is_told_at_its_place_and_what_was_typed_stays(
    acme: Any, acme_admin: Any, path: str, destination: str, expression: str, place: str, reason: str
) -> None:
    put(acme, {"userName": ["email_address", "username"]})
    answer = acme_admin.send_and_read(
        acme_admin.get(ROW), ROW, path=path, destination_0=destination, expression_0=expression
    )
    assert answer.status == 422 and answer.title.startswith("Error: ")
    assert reason in answer.words(f"#{place}-error")
    assert answer.soup.select_one(f"#{place}")["aria-invalid"] == "true"
    assert answer.soup.select_one(f".error-summary a[href='#{place}']")
    typed = {name: answer.soup.select_one(f"#{name}")["value"] for name in ("path", "destination_0", "expression_0")}
    assert typed == {"path": path, "destination_0": destination, "expression_0": expression}
    assert "Not saved yet" not in acme_admin.get(MAPPING).text, "the draft stays as it was"


def test_characters_that_no_database_holds_are_left_out(acme: Any, acme_admin: Any) -> None:
    form = acme_admin.get(ROW)
    assert acme_admin.send(form, ROW, path="ti\0tle", destination_0="public_metadata.t\0").status_code == 303
    save(acme_admin)
    assert mapping_of(acme) == {"title": "public_metadata.t"}
    assert acme_admin.get(f"{ROW}?path=x%00%ed%a0%80").heading == "Add a row"


def test_a_path_can_go_to_several_places_and_nowhere(acme: Any, acme_admin: Any) -> None:
    form = acme_admin.get(f"{ROW}?path=name.givenName")
    more = acme_admin.send_and_read(form, ROW, more="1")
    assert more.status == 200 and len(more.soup.select("[name^=destination_]")) == 2
    acme_admin.send(more, ROW, destination_1="public_metadata.given", expression_1="{{ value | upcase }}")
    acme_admin.send(acme_admin.get(f"{ROW}?path=externalId"), ROW, nowhere="y")
    save(acme_admin)
    assert mapping_of(acme) == {
        "name.givenName": ["first_name", "{{ value | upcase }}.public_metadata.given"],
        "externalId": [],
    }
    assert "Nothing: it is left out" in " ".join(acme_admin.get(MAPPING).rows())


def test_a_row_is_changed_in_its_place_and_the_default_can_come_back(acme: Any, acme_admin: Any) -> None:
    put(acme, {"nickName": "first_name", "displayName": "last_name", "userName": "username"})
    acme_admin.send(acme_admin.get(f"{ROW}?path=nickName"), ROW, path="title", destination_0="first_name")
    acme_admin.send(acme_admin.get(f"{ROW}?path=userName"), f"{ROW}/remove")
    acme_admin.send(acme_admin.get(f"{ROW}?path=displayName"), f"{ROW}/remove")
    save(acme_admin)
    assert list(mapping_of(acme).items()) == [("title", "first_name")]


def test_what_was_accepted_once_and_is_wrong_now_is_marked_in_the_table(app: Flask, acme: Any, acme_admin: Any) -> None:
    with app.app_context(), db.unit_of_work() as session:
        session.add(
            AttributeMapping(organization_id=acme.organization_id, mapping={"title": "{{ value | old }}.first_name"})
        )
    page = acme_admin.get(MAPPING)
    assert "There is no filter 'old'" in page.rows()[0]
    form = acme_admin.get(f"{ROW}?path=title")
    assert form.soup.select_one("#destination_0")["value"] == "{{ value | old }}.first_name"
    assert acme_admin.send(form, ROW, destination_0="first_name").status_code == 303


# -- Recipes and JSON -----------------------------------------------------------------------


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.key)
def test_every_recipe_is_one_click_away(acme: Any, acme_admin: Any, recipe: Any) -> None:
    assert acme_admin.send(acme_admin.get(MAPPING), f"{MAPPING}/recipes/{recipe.key}").status_code == 303
    assert f"“{recipe.title}” is in your draft." in acme_admin.get(MAPPING).text
    save(acme_admin)
    assert mapping_of(acme) == with_entries({}, recipe.entries)


def test_a_recipe_that_does_not_fit_says_why(acme: Any, acme_admin: Any) -> None:
    put(acme, {"title": "public_metadata.department.name"})
    page = acme_admin.send_and_read(acme_admin.get(MAPPING), f"{MAPPING}/recipes/department")
    assert page.status == 422 and "one contains the other" in page.words(".error-summary")
    assert acme_admin.post_with_token(f"{MAPPING}/recipes/nothing").status_code == 404


def test_groups_get_roles_by_choosing(app: Flask, acme: Any, nadia: str, acme_admin: Any) -> None:
    acme.scim("POST", "/Groups", okta.group("Admins", nadia))
    acme.scim("POST", "/Groups", okta.group('x"]\\ <b>משתמשים</b>'))
    form = acme_admin.get(f"{MAPPING}/groups")
    fields = {field["name"]: "" for field in form.soup.select("select")}
    labels = {label.text: label["for"] for label in form.soup.select("main label")}
    assert set(labels) == {"Admins", 'x"]\\ <b>משתמשים</b>'}
    chosen = {**fields, labels["Admins"]: "org:admin", labels['x"]\\ <b>משתמשים</b>']: "org:member"}
    assert acme_admin.send(form, **chosen).status_code == 303
    preview = acme_admin.get(f"{MAPPING}/preview")
    assert "1 person gains org:admin instead of org:member" in preview.text
    acme_admin.send(preview, f"{MAPPING}/save")
    assert mapping_of(acme) == {
        'groups[display eq "Admins"].value': '{{ "org:admin" }}.organization_role',
        'groups[display eq "x\\"]\\\\ <b>משתמשים</b>"].value': '{{ "org:member" }}.organization_role',
    }
    again = acme_admin.get(f"{MAPPING}/groups")
    assert again.soup.select_one(f"#{labels['Admins']} option[selected]")["value"] == "org:admin"
    acme_admin.send(again, **{labels["Admins"]: ""})
    save(acme_admin)
    assert list(mapping_of(acme)) == ['groups[display eq "x\\"]\\\\ <b>משתמשים</b>"].value']
    assert acme_admin.send_and_read(again, **{labels["Admins"]: "org:none"}).status == 422


def test_the_json_is_the_body_of_the_api_and_can_be_pasted_back(acme: Any, acme_admin: Any) -> None:
    mapping = {"title": ["public_metadata.title", "{{ value | upcase }}.first_name"], "nickName": "last_name"}
    put(acme, mapping)
    page = acme_admin.get(f"{MAPPING}/json")
    assert json.loads(page.soup.select_one("#mapping-json").text) == {"mapping": mapping}
    other = {"title": "public_metadata.עברית"}
    refused = acme_admin.send_and_read(page, body=json.dumps({"mapping": other}, ensure_ascii=False))
    assert refused.status == 422 and "keys begin with a letter" in refused.words("#body-error")
    assert "עברית" in refused.soup.select_one("#body").text
    assert acme_admin.send(page, body='{"name.givenName": []}').status_code == 303
    save(acme_admin)
    assert mapping_of(acme) == {"name.givenName": []}


@pytest.mark.parametrize(
    "body", ["", "{", "[]", '"x"', "NaN", '{"a": 1, "a": 2}', '{"\\ud800": "x"}', '{"a\\u0000": "x"}', "[" * 5000]
)
def test_what_is_no_mapping_is_refused_with_a_reason(acme_admin: Any, body: str) -> None:
    page = acme_admin.send_and_read(acme_admin.get(f"{MAPPING}/json"), body=body)
    assert page.status == 422 and page.words("#body-error")
    assert page.soup.select_one("#body").text.strip("\n") == body


# -- Preview, saving, two at once -------------------------------------------------------------


def test_the_preview_tells_first_who_loses_access(app: Flask, acme: Any, acme_admin: Any) -> None:
    arrive(acme, "ada.lovelace", title="gone")
    arrive(acme, "omar.haddad", title="org:admin")
    arrive(acme, "li.wei", nickName="Lee")
    put(acme, {})
    body = {
        "active": "{{ value }}.public_metadata.was_active",
        "title": ['{{ value | replace: "gone", "false" | replace: "org:admin", "true" }}.active', "organization_role"],
        "nickName": "first_name",
    }
    acme_admin.send(acme_admin.get(f"{MAPPING}/json"), body=json.dumps(body))
    summaries = [" ".join(part.text.split()) for part in acme_admin.get(f"{MAPPING}/preview").soup.select("summary")]
    assert summaries == [
        "1 person loses the membership",
        "1 person gains org:admin instead of org:member",
        "1 person gets another profile",
    ]


def test_a_preview_goes_on_where_the_page_before_ended_and_goes_on_counting(
    acme: Any, acme_admin: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(5):
        arrive(acme, f"person.n{number}")
    monkeypatch.setattr("directory.mapping_preview.LOOKED_AT", 2)
    monkeypatch.setattr("directory.mapping_preview.BATCH", 2)
    acme_admin.send(acme_admin.get(f"{MAPPING}/json"), body='{"userName": "public_metadata.login"}')
    page, seen = acme_admin.get(f"{MAPPING}/preview"), []
    while True:
        seen.append(page.words("section .hint"))
        link = page.soup.select_one("a[rel=next]")
        if link is None:
            break
        page = acme_admin.get(link["href"])
    assert seen == [f"{number} of 5 people looked at." for number in (2, 4, 5)]
    assert "5 people would change" in page.text
    for so_far in ("x", "e30", "bnVsbA", "eyJsYXN0IjogMX0", "%00", "W10" * 400):
        assert "2 of 5 people looked at." in acme_admin.get(f"{MAPPING}/preview?so_far={so_far}").text


def test_two_admins_at_once_are_told_of_each_other(
    acme: Any, acme_admin: Any, visit: Callable[..., Any], add_member: Callable[..., str]
) -> None:
    other = visit(acme.organization_id, add_member(acme.organization_id, "Omar", role="org:admin"))
    add_row(acme_admin, "title", "public_metadata.title")
    add_row(other, "nickName", "first_name")
    assert "Title" not in " ".join(other.get(MAPPING).rows()), "a draft is its author's"
    preview = acme_admin.get(f"{MAPPING}/preview")
    save(other)
    refused = acme_admin.send_and_read(preview, f"{MAPPING}/save")
    assert refused.status == 409 and "Somebody else saved another attribute mapping meanwhile." in refused.text
    assert mapping_of(acme) == {"nickName": "first_name"}
    assert "Somebody saved another mapping since you began." in acme_admin.get(MAPPING).text
    again = acme_admin.get(f"{MAPPING}/preview")
    assert "Somebody saved another mapping since you began your draft." in again.text and "nickName" in again.text
    acme_admin.send(again, f"{MAPPING}/save")
    assert mapping_of(acme) == {"title": "public_metadata.title"}


def test_a_draft_that_changed_after_its_preview_is_not_saved(acme: Any, acme_admin: Any) -> None:
    add_row(acme_admin, "title", "public_metadata.title")
    preview = acme_admin.get(f"{MAPPING}/preview")
    add_row(acme_admin, "nickName", "first_name")
    refused = acme_admin.send_and_read(preview, f"{MAPPING}/save")
    assert refused.status == 409 and "Your draft was changed after this preview." in refused.text
    assert mapping_of(acme) == {}
    for value in ("", "x", "99999999999999999999", "-1"):
        assert acme_admin.send(preview, f"{MAPPING}/save", version=value).status_code == 409


def test_a_draft_can_be_thrown_away_and_saving_twice_saves_once(app: Flask, acme: Any, acme_admin: Any) -> None:
    add_row(acme_admin, "title", "public_metadata.title")
    acme_admin.send(acme_admin.get(MAPPING), f"{MAPPING}/discard")
    assert "Not saved yet" not in acme_admin.get(MAPPING).text
    assert acme_admin.open(f"{MAPPING}/preview").status_code == 303
    add_row(acme_admin, "title", "public_metadata.title")
    preview = acme_admin.get(f"{MAPPING}/preview")
    assert acme_admin.send(preview, f"{MAPPING}/save").status_code == 303
    assert acme_admin.send(preview, f"{MAPPING}/save").status_code == 409
    with app.app_context(), db.reading() as session:
        acts = session.query(AdministrativeAct).filter_by(action="scim_attribute_mapping.replaced").all()
        assert [(act.actor_id, act.details) for act in acts] == [
            (acme.admin_id, {"version": 1, "changed_paths": ["title"]})
        ]
        assert session.query(MappingDraft).count() == 0


def test_the_defaults_come_back_after_asking(app: Flask, acme: Any, nadia: str, acme_admin: Any) -> None:
    put(acme, {"name.givenName": "public_metadata.given"})
    with app.app_context():
        apply_mapping_of(acme.organization_id)
    page = acme_admin.get(f"{MAPPING}/reset")
    assert "1 person would change" in page.text and mapping_of(acme) != {}
    assert acme_admin.send(page).status_code == 303
    assert mapping_of(acme) == {}
    assert "Nothing is left to do." in acme_admin.get(f"{MAPPING}/reset").text
    put(acme, {"title": "first_name"})
    assert acme_admin.send(page).status_code == 409, "somebody saved another mapping since"
    assert mapping_of(acme) == {"title": "first_name"}


# -- Who may -----------------------------------------------------------------------------------


def test_who_may_only_read_sees_the_mapping_and_changes_nothing(acme: Any, nadia: str, acme_member: Any) -> None:
    put(acme, {"title": "public_metadata.title"})
    page = acme_member.get(MAPPING)
    assert "Job title" in page.rows()[0] and "Ask an admin to change the mapping." in page.text
    assert "Nadia" not in page.text, "what the IdP sent about people is for admins"
    assert not page.soup.select("main form[method=post]") and not [link for link in page.links() if "/row" in link]
    assert acme_member.get(f"{MAPPING}/json").soup.select_one("form textarea") is None
    assert acme_member.get(f"{MAPPING}/progress").heading == "Progress of the mapping"
    for path in ("row", "groups", "preview", "reset"):
        assert acme_member.get(f"{MAPPING}/{path}", 403).title.startswith("Error: ")
    for path in ("row", "row/remove", "recipes/title", "groups", "json", "save", "discard", "reset", "progress"):
        assert acme_member.post_with_token(f"{MAPPING}/{path}", body="{}").status_code == 403
    assert mapping_of(acme) == {"title": "public_metadata.title"}


def test_nothing_reaches_another_organization(acme: Any, globex: Any, acme_admin: Any, globex_admin: Any) -> None:
    put(acme, {"title": "public_metadata.title"})
    add_row(acme_admin, "nickName", "first_name")
    page = globex_admin.get(MAPPING)
    assert "Job title" not in " ".join(page.rows()) and "Not saved yet" not in page.text
    assert "title" not in globex_admin.get(f"{MAPPING}/json").soup.select_one("#mapping-json").text
    assert "Nothing was applied yet" in globex_admin.get(f"{MAPPING}/progress").text
    add_row(globex_admin, "userType", "username")
    save(globex_admin)
    globex_admin.send(globex_admin.get(f"{MAPPING}/reset"))
    assert mapping_of(globex) == {} and mapping_of(acme) == {"title": "public_metadata.title"}
    assert "nickName" in acme_admin.get(MAPPING).text, "the draft is still there"


# -- In words -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "words"),
    [
        (DEPARTMENT, "Department"),
        (f"{okta.ENTERPRISE}.employeeNumber", "Employee number"),
        (f"{okta.ENTERPRISE}:manager.value", "Manager"),
        ('groups[display eq "Say \\"hi\\""].value', 'Groups named “Say "hi"”'),
        ("emails[1].value", "E-mail addresses, number 2"),
        ('phoneNumbers[type eq "mobile"].value', "Phone numbers, type “mobile”"),
        ("roles[*]", "Roles, all of them"),
    ],
)
def test_paths_are_put_into_words(path: str, words: str) -> None:
    assert path_in_words(path) == words


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ('{{ "org:admin" }}', "always “org:admin”"),
        ('{{ value | downcase | replace: "a", "b" }}', "in small letters, “a” replaced by “b”"),
        ('{{ value | default: "org:member" }}', "“org:member” where there is none"),
        ("{{ value }}@acme.example", "the value, then “@acme.example”"),
        ("{{ value.displayName }}", "its display name"),
        ("{{ value }}", "as it was sent"),
        ("{{ value | append: value.id }}", "with “value.id” after it"),
    ],
)
def test_expressions_are_put_into_words(expression: str, words: str) -> None:
    assert expression_in_words(expression) == words
