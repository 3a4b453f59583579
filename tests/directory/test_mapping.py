"""What the attribute mapping makes of a resource: the defaults, precedence, paths, values, groups and roles."""

import json
from typing import Any

import pytest

from directory.mapping import Mapped, compile_mapping, compile_stored_mapping

ENTERPRISE = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"

NADIA: dict[str, Any] = {
    "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User", ENTERPRISE],
    "userName": "nadia.petrov@acme.example",
    "name": {"givenName": "Nadia", "familyName": "Petrov"},
    "emails": [
        {"value": "nadia@home.example", "type": "home"},
        {"value": "n.petrov@acme.example", "type": "work", "primary": True},
    ],
    "externalId": "00uEXAMPLE1",
    "active": True,
    "title": "Engineer",
    ENTERPRISE: {
        "department": "Finance",
        "employeeNumber": "0042",
        "manager": {"value": "user_7", "displayName": "Li"},
    },
    "urn:acme:params:hr:1.0:User": {"badge": 17, "sites": ["Oslo", "Bergen"]},
}


def pushed(*names: str) -> list[dict[str, Any]]:
    return [
        {"value": name, "display": name, "id": f"grp_{index}", "externalId": f"okta-{index}"}
        for index, name in enumerate(names, 1)
    ]


def evaluate(override: dict[str, Any], document: dict[str, Any] = NADIA, *groups: str) -> Mapped:
    return compile_mapping(override).evaluate(document, pushed(*groups))


# -- The walkthrough with Okta, as it stands -----------------------------------------

OKTA_USER = {
    "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"],
    "userName": "nadia.petrov@acme.example",
    "name": {"givenName": "Nadia", "familyName": "Petrov"},
    "emails": [{"primary": True, "value": "nadia.petrov@acme.example", "type": "work"}],
    "displayName": "Nadia Petrov",
    "locale": "en-US",
    "externalId": "00uEXAMPLE1",
    "active": True,
}

GROUPS_TO_ROLES = r"""{
    "mapping": {
        "groups[0].value": "{{ value | downcase | replace: \"admins\", \"org:admin\" | default: \"org:member\" }}.organization_role"
    }
}"""  # noqa: E501

CUSTOM_ATTRIBUTES = """{
"mapping": {
"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User.department":
"public_metadata.department",
"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User.employeeNumber":
"public_metadata.employee_number"
}
}"""


def test_the_payload_of_okta_needs_no_override() -> None:
    mapped = evaluate({}, OKTA_USER)

    assert mapped.fields == {
        "email_address": "nadia.petrov@acme.example",
        "username": None,
        "first_name": "Nadia",
        "last_name": "Petrov",
        "external_id": "00uEXAMPLE1",
        "active": True,
    }
    assert not mapped.maps_role
    assert (mapped.role_candidates, mapped.public_metadata, mapped.metadata_paths, mapped.warnings) == ([], {}, [], [])


@pytest.mark.parametrize(
    ("groups", "role"),
    [(["Admins"], "org:admin"), (["Engineering"], "engineering"), ([], "org:member"), (["ADMINS", "x"], "org:admin")],
)
def test_the_group_recipe_of_the_walkthrough_gives_the_role_of_the_first_group(groups: list[str], role: str) -> None:
    mapped = evaluate(json.loads(GROUPS_TO_ROLES)["mapping"], OKTA_USER, *groups)

    assert mapped.maps_role
    assert mapped.role_candidates == [role]
    assert mapped.warnings == []


def test_the_custom_attributes_of_the_walkthrough_go_to_public_metadata() -> None:
    mapped = evaluate(json.loads(CUSTOM_ATTRIBUTES)["mapping"])

    assert mapped.public_metadata == {"department": "Finance", "employee_number": "0042"}
    assert mapped.metadata_paths == ["department", "employee_number"]
    assert mapped.fields["first_name"] == "Nadia"


# -- Defaults and precedence ----------------------------------------------------------


@pytest.mark.parametrize(
    ("document", "field", "value"),
    [
        ({"userName": "a@acme.example"}, "email_address", "a@acme.example"),
        ({"userName": "a@acme.example"}, "username", None),
        ({"userName": "ACME\\nadia"}, "email_address", None),
        ({"userName": "ACME\\nadia"}, "username", "ACME\\nadia"),
        ({"userName": "nadia", "emails": [{"value": "a@b.example", "primary": True}]}, "email_address", "a@b.example"),
        ({"userName": "nadia", "emails": [{"value": "a@b.example", "primary": True}]}, "username", "nadia"),
        ({"userName": "a@acme.example"}, "first_name", None),
        ({"name": {"givenName": "Nadia"}}, "first_name", "Nadia"),
        ({"name": {"familyName": " van  Dam "}}, "last_name", " van  Dam "),
        ({"name": {"familyName": ""}}, "last_name", None),
        ({"externalId": "1"}, "external_id", "1"),
        ({"active": False}, "active", False),
        ({"active": "False"}, "active", False),
        ({"active": "true"}, "active", True),
        ({"USERNAME": "nadia", "Name": {"GIVENNAME": "Nadia"}}, "first_name", "Nadia"),
    ],
)
def test_each_default_path_fills_its_field(document: dict[str, Any], field: str, value: Any) -> None:
    assert evaluate({}, document).fields[field] == value


@pytest.mark.parametrize(
    ("emails", "address"),
    [
        ([("a@x.example", "home", False), ("b@x.example", "work", True)], "b@x.example"),
        ([("a@x.example", "home", "True"), ("b@x.example", "work", None)], "a@x.example"),
        ([("a@x.example", None, None)], "a@x.example"),
        ([("a@x.example", "home", None), ("b@x.example", "work", None)], "b@x.example"),
        ([("a@x.example", "home", None), ("b@x.example", "other", None)], "a@x.example"),
        ([("", "work", True), ("b@x.example", "other", None)], "b@x.example"),
        ([], "user@acme.example"),
    ],
)
def test_the_address_is_the_primary_else_the_first_for_work_else_the_first_else_the_user_name(
    emails: list[tuple[str, str | None, Any]], address: str
) -> None:
    elements = [{"value": value, "type": kind, "primary": primary} for value, kind, primary in emails]

    assert evaluate({}, {"userName": "user@acme.example", "emails": elements}).fields["email_address"] == address


def test_an_address_that_is_none_is_not_used_and_is_warned_of_without_being_repeated() -> None:
    mapped = evaluate({}, {"userName": "user@acme.example", "emails": [{"value": "not an address"}]})

    assert mapped.fields["email_address"] == "user@acme.example"
    assert mapped.warnings == [
        "emails[primary eq true].value was not used for email_address: the value is no e-mail address."
    ]


def test_a_path_that_is_not_overridden_keeps_its_default() -> None:
    mapped = evaluate({"title": "first_name"})

    assert mapped.fields["first_name"] == "Engineer"
    assert mapped.fields["last_name"] == "Petrov"


def test_what_the_override_adds_is_asked_before_the_defaults_which_stay_behind_it() -> None:
    override = {"nickName": "first_name"}

    assert evaluate(override, {**NADIA, "nickName": "Nadja"}).fields["first_name"] == "Nadja"
    assert evaluate(override, NADIA).fields["first_name"] == "Nadia"


def test_of_several_added_paths_the_first_with_a_value_wins() -> None:
    document = {"nickName": "Nadja", "title": "Engineer"}

    assert evaluate({"nickName": "first_name", "title": "first_name"}, document).fields["first_name"] == "Nadja"
    assert evaluate({"title": "first_name", "nickName": "first_name"}, document).fields["first_name"] == "Engineer"


def test_an_override_of_the_user_name_replaces_its_default_destination() -> None:
    mapped = evaluate({"userName": "username"}, {"userName": "a@acme.example"})

    assert mapped.fields["username"] == "a@acme.example"
    assert mapped.fields["email_address"] is None


def test_an_expression_for_a_default_path_leaves_its_rank() -> None:
    mapped = evaluate({"userName": "{{ value | upcase }}"})
    alone = evaluate({"userName": "{{ value | upcase }}"}, {"userName": "a@acme.example"})

    assert mapped.fields["email_address"] == "n.petrov@acme.example"
    assert alone.fields["email_address"] == "A@ACME.EXAMPLE"


def test_writing_the_defaults_out_in_any_order_changes_nothing() -> None:
    written = {
        "userName": "email_address",
        "active": "active",
        "externalId": "external_id",
        "name.familyName": "last_name",
        "name.givenName": "first_name",
        'EMAILS[ primary eq "True" ].Value': "email_address",
    }

    assert evaluate(written).fields == evaluate({}).fields


def test_an_empty_list_maps_a_path_to_nothing() -> None:
    assert "external_id" not in evaluate({"externalId": []}).fields
    assert evaluate({"emails[primary eq true].value": []}).fields["email_address"] == "nadia.petrov@acme.example"


# -- Paths ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("title", "Engineer"),
        ("TITLE", "Engineer"),
        ("name.givenName", "Nadia"),
        ("name", {"givenName": "Nadia", "familyName": "Petrov"}),
        ("urn:ietf:params:scim:schemas:core:2.0:User:title", "Engineer"),
        ("urn:ietf:params:scim:schemas:core:2.0:User:name.givenName", "Nadia"),
        (f"{ENTERPRISE}.department", "Finance"),
        (f"{ENTERPRISE}:department", "Finance"),
        (f"{ENTERPRISE.upper()}:DEPARTMENT", "Finance"),
        (f"{ENTERPRISE}.manager.displayName", "Li"),
        (f"{ENTERPRISE}:manager.displayName", "Li"),
        ("urn:acme:params:hr:1.0:User.badge", 17),
        ("urn:acme:params:hr:1.0:User:sites[1]", "Bergen"),
        ("urn:acme:params:hr:1.0:User.sites[*]", ["Oslo", "Bergen"]),
        ("urn:acme:params:hr:1.0:User", {"badge": 17, "sites": ["Oslo", "Bergen"]}),
        ("emails[0].value", "nadia@home.example"),
        ("emails[7].value", None),
        ('emails[type eq "work"].value', "n.petrov@acme.example"),
        ('emails[type eq "WORK" and primary eq true].value', "n.petrov@acme.example"),
        ('emails[type ne "work"].value', "nadia@home.example"),
        ('emails[not (type eq "work")].value', "nadia@home.example"),
        ('emails[value ew "@home.example" or type eq "other"].type', "home"),
        ('emails[value co "PETROV"].type', "work"),
        ('emails[value sw "n.p"].type', "work"),
        ('emails[value gt "nz"].type', None),
        ("emails[primary pr].type", "work"),
        ('emails[type eq "]"].value', None),
        ("emails[*].value", ["nadia@home.example", "n.petrov@acme.example"]),
        ("emails.value", "nadia@home.example"),
        ("nothing.at[0].all", None),
        ("title.display", None),
        ("title[0]", "Engineer"),
    ],
)
def test_a_path_reads_what_it_names(path: str, value: Any) -> None:
    mapped = evaluate({path: "public_metadata.it"})

    assert mapped.public_metadata.get("it") == value
    assert mapped.warnings == []


def test_a_bare_value_stands_for_an_object_that_has_only_a_value() -> None:
    document = {ENTERPRISE: {"manager": "user_7"}, "emails": ["a@acme.example"]}
    mapped = evaluate({f"{ENTERPRISE}:manager.value": "public_metadata.manager"}, document)

    assert mapped.public_metadata == {"manager": "user_7"}
    assert mapped.fields["email_address"] == "a@acme.example"


# -- Values ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "field", "result"),
    [
        ("first_name", "first_name", "Engineer"),
        ("  first_name  ", "first_name", "Engineer"),
        ("{{ value | downcase }}.first_name", "first_name", "engineer"),
        ("{{value|upcase}} .first_name", "first_name", "ENGINEER"),
        ("{{ value }}-x.first_name", "first_name", "Engineer-x"),
        ("Dr. {{ value }}.first_name", "first_name", "Dr. Engineer"),
        ("{{ value }} {{ value | upcase }}!.first_name", "first_name", "Engineer ENGINEER!"),
        ("{{ value | split: 'i' | first }}.first_name", "first_name", "Eng"),
        ("{{ value | split: 'i' | last | strip }}.first_name", "first_name", "neer"),
        ("{{ value | replace: 'Eng', 'eng' | prepend: '<' | append: '>' }}.first_name", "first_name", "<engineer>"),
        ("{{ value | append: value }}.first_name", "first_name", "EngineerEngineer"),
        ("{{ value | append: '@acme.example' }}.email_address", "email_address", "Engineer@acme.example"),
        ("{{ value }}@acme.example.email_address", "email_address", "Engineer@acme.example"),
        ("{{ 'constant' }}.username", "username", "constant"),
        ("{{ 7 }}.username", "username", "7"),
        ("{{ value.missing }}.username", "username", "nadia"),
    ],
)
def test_a_value_is_a_destination_or_an_expression_with_text_around_it(value: str, field: str, result: Any) -> None:
    assert evaluate({"title": value}, {"title": "Engineer", "userName": "nadia"}).fields[field] == result


def test_an_expression_alone_goes_to_the_default_destination_of_its_path() -> None:
    override = {"name.givenName": "{{ value | upcase }}", "userName": "{{ value }}@acme.example"}
    mapped = evaluate(override, {"name": {"givenName": "Nadia"}, "userName": "nadia"})

    assert mapped.fields["first_name"] == "NADIA"
    assert mapped.fields["email_address"] == "nadia@acme.example"


def test_a_list_of_values_gives_one_path_several_destinations() -> None:
    override = {"name.givenName": ["first_name", "{{ value | downcase }}.public_metadata.names.given", "username"]}
    mapped = evaluate(override)

    assert (mapped.fields["first_name"], mapped.fields["username"]) == ("Nadia", "Nadia")
    assert mapped.public_metadata == {"names": {"given": "nadia"}}
    assert mapped.metadata_paths == ["names.given"]


def test_an_expression_without_a_default_gives_nothing_where_the_path_finds_nothing() -> None:
    mapped = evaluate({"nickName": "Dear {{ value }}.public_metadata.greeting"})

    assert mapped.public_metadata == {}
    assert mapped.metadata_paths == ["greeting"]


def test_an_expression_alone_keeps_the_kind_of_its_result() -> None:
    override = {"title": "{{ value | split: 'g' }}.public_metadata.parts", "active": "{{ value }}.public_metadata.on"}

    assert evaluate(override).public_metadata == {"parts": ["En", "ineer"], "on": True}


@pytest.mark.parametrize(("sent", "text"), [(42, "42"), (1.5, "1.5"), (True, "true"), ("0042", "0042")])
def test_numbers_and_booleans_become_text_where_text_is_needed(sent: Any, text: str) -> None:
    assert evaluate({"externalId": "external_id"}, {"externalId": sent}).fields["external_id"] == text


@pytest.mark.parametrize("sent", [["Nadia"], {"x": "Nadia"}, "x" * 5000, pytest.param(10**5000, id="huge")])
def test_what_no_text_can_be_made_of_gives_a_warning_and_nothing(sent: Any) -> None:
    mapped = evaluate({}, {"name": {"givenName": sent}})

    assert mapped.fields["first_name"] is None
    assert len(mapped.warnings) == 1
    assert mapped.warnings[0].startswith("name.givenName was not used for first_name: ")


def test_an_activity_that_is_neither_true_nor_false_is_left_to_the_resource() -> None:
    mapped = evaluate({"title": "active"}, {"title": "perhaps", "active": "no"})

    assert "active" not in mapped.fields
    assert len(mapped.warnings) == 2


def test_any_json_goes_to_public_metadata_as_a_copy() -> None:
    mapped = evaluate({f"{ENTERPRISE}:manager": "public_metadata.manager"})
    mapped.public_metadata["manager"]["value"] = "changed"

    assert NADIA[ENTERPRISE]["manager"] == {"value": "user_7", "displayName": "Li"}


# -- Groups and roles --------------------------------------------------------------------


def test_all_groups_are_candidates_for_the_role_each_once() -> None:
    override = {"groups[*].value": "{{ value | downcase | replace: 'admins', 'org:admin' }}.organization_role"}

    assert evaluate(override, NADIA, "Staff", "Admins", "ADMINS").role_candidates == ["staff", "org:admin"]


@pytest.mark.parametrize("path", ["groups[*]", "groups", "groups.value", "groups[*].display", "groups[value pr].value"])
def test_every_way_to_say_all_groups_is_understood(path: str) -> None:
    assert evaluate({path: "organization_role"}, NADIA, "org:admin", "org:member").role_candidates == [
        "org:admin",
        "org:member",
    ]


def test_a_filter_on_groups_chooses_the_ones_that_count() -> None:
    override = {'groups[display sw "app-"].value': "{{ value | replace: 'app-', 'org:' }}.organization_role"}

    assert evaluate(override, NADIA, "Everyone", "app-admin", "app-auditor").role_candidates == [
        "org:admin",
        "org:auditor",
    ]


def test_groups_go_to_public_metadata_too() -> None:
    assert evaluate({"groups[*].value": "public_metadata.groups"}, NADIA, "A", "B").public_metadata == {
        "groups": ["A", "B"]
    }


def test_a_mapping_of_roles_without_any_value_has_no_candidate() -> None:
    mapped = evaluate({"groups[0].value": "organization_role"})

    assert mapped.maps_role
    assert mapped.role_candidates == []


def test_a_list_that_an_expression_makes_is_a_list_of_candidates() -> None:
    override = {"title": "{{ value | split: ',' }}.organization_role"}

    assert evaluate(override, {"title": "org:admin, org:member"}).role_candidates == ["org:admin", "org:member"]


def test_several_paths_give_candidates_in_their_order() -> None:
    override = {"title": "organization_role", "groups[*].value": "organization_role"}

    assert evaluate(override, {"title": "org:a"}, "org:b", "org:a").role_candidates == ["org:a", "org:b"]


def test_the_groups_of_the_body_come_before_the_pushed_ones_and_none_comes_twice() -> None:
    document = {
        "Groups": [
            {"value": "grp_2", "display": "old name"},
            {"value": "Local", "display": "Local"},
            {"display": "Named"},
            "plain",
            {"value": "FIRST"},
            17,
        ]
    }
    mapped = evaluate({"groups[*].value": "public_metadata.groups"}, document, "First", "Second", "Third")

    assert mapped.public_metadata == {"groups": ["Second", "Local", "Named", "plain", "First", "Third"]}


def test_only_a_mapping_that_reads_groups_says_so() -> None:
    assert compile_mapping({"groups[0].value": "organization_role"}).reads_groups
    assert compile_mapping({"urn:ietf:params:scim:schemas:core:2.0:User:groups[0].value": "username"}).reads_groups
    assert not compile_mapping({}).reads_groups
    assert not compile_mapping({"urn:acme:1.0:User:groups": "public_metadata.groups"}).reads_groups


def test_one_group_that_cannot_be_read_does_not_hide_the_others() -> None:
    override = {"groups[*].value": "{{ value | downcase }}.organization_role"}
    mapped = evaluate(override, NADIA, "x" * 5000, "org:admin")

    assert mapped.role_candidates == ["org:admin"]
    assert mapped.warnings == ["No role came from groups[*].value: the value is longer than 4096 bytes."]


# -- Public metadata ---------------------------------------------------------------------


def test_the_mapping_names_the_places_that_it_decides_also_where_nothing_came() -> None:
    override = {"title": "public_metadata.job.title", "nickName": "public_metadata.nick"}
    mapped = evaluate(override)

    assert mapped.public_metadata == {"job": {"title": "Engineer"}}
    assert mapped.metadata_paths == ["job.title", "nick"]
    assert compile_mapping(override).metadata_paths == ("job.title", "nick")


def test_a_place_whose_value_fails_is_not_among_those_decided() -> None:
    mapped = evaluate({"title": "{{ value | first }}.public_metadata.first", "active": "public_metadata.on"})

    assert mapped.metadata_paths == ["on"]
    assert mapped.warnings == [
        "public_metadata.first was left as it is: in the expression of title 'first' needs a list, "
        "and the value is none: split it before."
    ]


def test_a_field_whose_expression_fails_is_left_out_instead_of_falling_back() -> None:
    mapped = evaluate({"title": "{{ value | last }}.first_name"})

    assert "first_name" not in mapped.fields
    assert mapped.fields["last_name"] == "Petrov"


def test_metadata_that_is_too_large_is_not_stored() -> None:
    override = {f"a{index}": f"public_metadata.a{index}" for index in range(6)}
    document = {f"a{index}": ["x" * 1000] * 15 for index in range(6)}
    document["a0"] = ["x" * 1000] * 17
    mapped = evaluate(override, document)

    assert set(mapped.public_metadata) == {"a1", "a2", "a3", "a4"}
    assert len(json.dumps(mapped.public_metadata)) < 70_000
    assert len(mapped.warnings) == 2


def test_too_much_work_ends_the_reading_of_roles_but_what_was_found_before_counts() -> None:
    upcase = "{{ value" + " | upcase" * 9 + " }}.organization_role"
    override = {"groups[*].value": ["organization_role", upcase], "groups[*].display": upcase, "title": "username"}
    mapped = evaluate(override, NADIA, *(f"Group {index}" for index in range(800)))

    assert mapped.role_candidates[:800] == [f"Group {index}" for index in range(800)]
    assert 800 < len(mapped.role_candidates) < 1600
    assert mapped.fields["username"] == "Engineer"
    assert mapped.warnings == [
        "organization_role was not fully read: the attribute mapping and what the IdP sent are together too much to "
        "work through."
    ]


def test_equal_overrides_are_compiled_once_and_the_order_of_entries_matters() -> None:
    one, other = {"title": "first_name", "nickName": "first_name"}, {"nickName": "first_name", "title": "first_name"}

    assert compile_stored_mapping(one) is compile_stored_mapping(dict(one))
    assert compile_stored_mapping(one) is not compile_stored_mapping(other)
