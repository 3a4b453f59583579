"""What is refused when an attribute mapping is saved: every problem, with its place and what was perhaps meant."""

from typing import Any

import pytest

from directory.mapping import MAX_ENTRIES, MAX_VALUES, compile_mapping
from errors import DomainError, InvalidInput


def problems_of(override: Any) -> list[DomainError]:
    with pytest.raises(InvalidInput) as caught:
        compile_mapping(override)
    return caught.value.problems


@pytest.mark.parametrize(
    ("key", "column", "says"),
    [
        ("", None, "empty"),
        ("x" * 513, 513, "longer than 512"),
        ("na me", 3, "' ' cannot stand here"),
        ("name.", 6, "ends here"),
        ("name..givenName", 6, "begins with a letter"),
        ("_private", 1, "begins with a letter"),
        ("__class__.x", 1, "begins with a letter"),
        ("name.__dict__", 6, "begins with a letter"),
        ("emails[type eq ].value", 13, "does not parse"),
        ('emails[type is "work"].value', 13, "does not parse"),
        ('emails[type eq "work].value', 7, "never closed"),
        ("emails[", 7, "never closed"),
        ("emails[]", 8, "Count from [0]"),
        ("emails[-1].value", 8, "Count from [0]"),
        ("emails[1000].value", 8, "Count from [0]"),
        ("emails[*]value", 10, "a dot comes next"),
        ('emails[phones[type eq "work"]].value', 23, "does not parse"),
        ('emails[urn:a:b:type eq "work"].value', 8, "without its schema"),
        ("a.b.c.d.e.f.g.h.i", 17, "more than 8"),
        ("urn:ietf:params:scim:schemas:extension:enterprise:2.0:User.", 60, "ends here"),
        ("urn:a.b.c.d.e.f.g.h.i.j", 20, "more than 8"),
        ("urn:", 1, "no schema name"),
        ("title\x00", 6, "cannot be stored"),
        ("title\ud800", 6, "cannot be stored"),
    ],
)
def test_a_bad_path_is_refused_with_its_place(key: str, column: int | None, says: str) -> None:
    [problem] = problems_of({key: "username"})

    assert (problem.code, problem.meta["key"], problem.meta["place"]) == ("invalid_mapping", key, "path")
    assert problem.meta.get("column") == column
    assert says in problem.message
    assert says in problem.long_message
    if column is not None:
        assert f"in the path, at character {column}: " in problem.long_message


@pytest.mark.parametrize(
    ("value", "column", "suggestion", "says"),
    [
        ("", 1, None, "no destination ''"),
        ("organisation_role", 1, "organization_role", "Did you mean 'organization_role'?"),
        ("  organisation_role", 3, "organization_role", "no destination 'organisation_role'"),
        ("role", 1, "organization_role", "no destination"),
        ("email", 1, "email_address", "no destination"),
        ("emailAddress", 1, "email_address", "no destination"),
        ("firstName", 1, "first_name", "no destination"),
        ("givenName", 1, "first_name", "no destination"),
        ("EMAIL_ADDRESS", 1, "email_address", "no destination"),
        ("public_metadata", 1, "public_metadata.<key>", "no destination"),
        ("metadata.department", 1, "public_metadata.department", "no destination"),
        ("publicMetadata.department", 1, "public_metadata.department", "no destination"),
        ("public_metadata.1st", 17, None, "begin with a letter"),
        ("public_metadata.__proto__", 17, None, "begin with a letter"),
        ("public_metadata.a..b", 17, None, "begin with a letter"),
        ("public_metadata.a.b.c.d.e.f", 17, None, "5 deep"),
        ("public_metdata.department", 1, "public_metadata.department", "Did you mean 'public_metadata.department'?"),
        ("publicmeta.department", 1, "public_metadata.department", "Did you mean"),
        ("user.department", 1, "public_metadata.department", "Did you mean"),
        ("user.firstName", 1, "first_name", "Did you mean 'first_name'?"),
        ("id", 1, None, "There are: email_address, username, first_name, last_name, external_id, active, organ"),
        ("deleted_at", 1, None, "no destination"),
        ("managed_by_organization_id", 1, None, "no destination"),
        ("{{ value }}.organisation_role", 13, "organization_role", "Did you mean"),
        (" {{ value }}.organisation_role", 14, "organization_role", "Did you mean"),
        ("{{ value }}@acme.example.emial_address", 26, "email_address", "Did you mean"),
        ("{{ value }}", 12, None, "no default destination"),
        ("{{ value | lowercase }}.username", 12, "downcase", "no filter 'lowercase'. Did you mean 'downcase'?"),
        ("{{ value | downcse }}.username", 12, "downcase", "Did you mean 'downcase'?"),
        ("{{ value | trim }}.username", 12, "strip", "no filter"),
        ("{{ value | date: '%Y' }}.username", 12, None, "There are: downcase, upcase, strip"),
        ("{{ value | downcase: 1 }}.username", 12, None, "needs no argument, not 1"),
        ("{{ value | split }}.username", 12, None, "needs 1 argument, not 0"),
        ("{{ value | replace }}.username", 12, None, "needs 1 or 2 arguments, not 0"),
        ("{{ value | replace: 'a', 'b', 'c' }}.username", 12, None, "not 3"),
        ("{{ value | replace: old: 'a' }}.username", 12, None, "no argument named 'old'"),
        ("{{ value | default: 'a', allow_false: true, allow_false: true }}.username", 12, None, "no argument named"),
        ("{{ value | downcase }.username", 1, None, "never closed"),
        ("{{ value | downcase", 1, None, "never closed"),
        ("value }}.username", 1, None, "from 1 to 10 expressions"),
        ("{{ }}.username", 5, None, "does not parse"),
        ("{{ value | | upcase }}.username", 12, None, "does not parse"),
        ("{{ value | append: 'a' 'b' }}.username", 24, None, "does not parse"),
        ("{{ value | append: 'a }}.username", 20, None, "does not parse"),
        ("{{ value == 'a' }}.username", 10, None, "does not parse"),
        ("{{ value if value }}.username", 10, None, "does not parse"),
        ("{% if value %}x{% endif %}.username", 1, None, "tags"),
        ("{{ value }}{% include 'x' %}.username", 12, None, "tags"),
        ("{% raw %}{{ value }}{% endraw %}.username", 1, None, "tags"),
        ("{{ user.name }}.username", 4, "value", "no 'user.name' here"),
        ("{{ now }}.username", 4, "value", "no 'now' here"),
        ("{{ value | append: now }}.username", 20, "value", "no 'now' here"),
        ("{{ value.__class__ }}.username", 4, None, "cannot be read"),
        ("{{ value['_x'] }}.username", 4, None, "cannot be read"),
        ("{{ value[value] }}.username", 4, None, "cannot be read"),
        ("{{ value | append: value._x }}.username", 20, None, "cannot be read"),
        ("{{ (1..1000000) }}.username", 4, None, "cannot be used"),
        ("{{ value | default: empty }}.username", 21, None, "does not parse"),
        ("{{ empty }}.username", 4, None, "'empty' cannot be used"),
        ("{{ forloop.index }}.username", 4, "value", "no 'forloop.index' here"),
        ("{{ 1e999 }}.username", 4, "value", "no '1e999' here"),
        ("{{ 1" + "0" * 900 + " }}.username", 4, None, "number is too large"),
        ("{{ value | append: 1" + "0" * 700 + " }}.username", 20, None, "number is too large"),
        ("{{ 'a' * 5 }}.username", 8, None, "does not parse"),
        ("{{ value | append: value.a.b[c] }}.username", 20, None, "cannot be read"),
        ("{{ value or 'x' }}.username", 10, None, "does not parse"),
        ("{{ " + "(" * 300 + "value" + ")" * 300 + " }}.username", 4, None, "does not parse"),
        ("{{ value" + "[value" * 200 + "]" * 200 + " }}.username", None, None, "longer than 1024 bytes"),
        ("{{ value" + " | upcase" * 11 + " }}.username", 102, None, "more than 10 filters"),
        ("{{ value }}" * 11 + ".username", 1, None, "from 1 to 10"),
        ("{{ value }}" + "x" * 1100 + ".username", None, None, "longer than 1024 bytes"),
        ("x" * 2049, 2049, None, "longer than 2048"),
        ("{{ value" + " " * 60 + "}}.username", 9, None, "too much space"),
        ("{{ value | append: '\x00' }}.username", 21, None, "cannot be stored"),
        ("public_metadata.\ud800", 17, None, "cannot be stored"),
    ],
)
def test_a_bad_value_is_refused_with_its_place(
    value: str, column: int | None, suggestion: str | None, says: str
) -> None:
    [problem] = problems_of({"title": value})

    assert (problem.code, problem.meta["key"], problem.meta["place"]) == ("invalid_mapping", "title", "value")
    assert (problem.meta.get("column"), problem.meta.get("suggestion")) == (column, suggestion)
    assert says in problem.message
    assert problem.message.startswith("title: ")


ENTERPRISE = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"


@pytest.mark.parametrize(
    ("key", "column", "suggestion"),
    [
        ("name.firstName", 6, "name.givenName"),
        ("name.LastName", 6, "name.familyName"),
        ("name.givenNmae", 6, "name.givenName"),
        ("nickNmae", 1, "nickName"),
        ("titel", 1, "title"),
        ("email", 1, "emails[primary eq true].value"),
        ("email[0].value", 1, "emails[primary eq true].value"),
        ("phoneNumber[0].value", 1, "phoneNumbers[0].value"),
        ("department", 1, f"{ENTERPRISE}:department"),
        ("costCentre", 1, f"{ENTERPRISE}:costCenter"),
        ("manager.value", 1, f"{ENTERPRISE}:manager.value"),
        ("user.department", 1, f"{ENTERPRISE}:department"),
        ("user.title", 1, "title"),
        ("user.login", 1, "userName"),
        (f"{ENTERPRISE}.departement", 60, f"{ENTERPRISE}.department"),
        (f"{ENTERPRISE}:manager.id", 68, f"{ENTERPRISE}:manager.value"),
        ("groups[0].name", 11, "groups[0].display"),
        ('groups[displayName eq "Admins"].value', 8, 'groups[display eq "Admins"].value'),
        ('groups[value pr and not (dispaly sw "x")].value', 26, 'groups[value pr and not (display sw "x")].value'),
        ('emails[typ eq "work"].value', 8, 'emails[type eq "work"].value'),
    ],
)
def test_a_path_that_misses_the_standard_by_little_is_refused(key: str, column: int, suggestion: str) -> None:
    [problem] = problems_of({key: "username"})

    assert problem.meta == {"key": key, "place": "path", "column": column, "suggestion": suggestion}
    assert f"Did you mean {suggestion!r}?" in problem.message


@pytest.mark.parametrize("key", ["jobTitle", "department", "user.login", "name.firstName", 'groups[name eq "x"].value'])
def test_whoever_means_an_attribute_of_the_idp_that_is_like_a_standard_one_names_the_schema(key: str) -> None:
    [problem] = problems_of({key: "username"})
    in_full = f"urn:ietf:params:scim:schemas:core:2.0:User:{key}"

    assert problem.message.endswith(f"write {in_full}")
    assert compile_mapping({in_full: "username"})


@pytest.mark.parametrize(
    "key",
    ["name.givenname", "NAME.GIVENNAME", "memberOf", "personnelNumber", "customAttribute1", "employeeId", "x",
     "title.x", "name.middleInitial", "groups[*].externalId", "groups[id pr].value", "urn:acme:hr:1.0:User:departement",
     f"{ENTERPRISE}:manager.displayName", f"{ENTERPRISE}:badge", "emails[0].verified", "meta.resourceType"],
)  # fmt: skip
def test_a_path_of_the_standard_in_any_case_and_one_like_nothing_in_it_are_accepted(key: str) -> None:
    assert compile_mapping({key: "username"})


def test_every_problem_is_told_in_the_order_of_the_entries() -> None:
    problems = problems_of(
        {
            "name.givenName": ["first_name", "frist_name", "{{ value | nothing }}.last_name"],
            "_x": "organisation_role",
            "title": "public_metadata.title",
            "active": 1,
        }
    )

    assert [(problem.meta["key"], problem.meta.get("index")) for problem in problems] == [
        ("name.givenName", 1),
        ("name.givenName", 2),
        ("_x", None),
        ("_x", None),
        ("active", None),
    ]
    assert [problem.meta["place"] for problem in problems[2:4]] == ["path", "value"]
    assert "in value 2, at character 1: " in problems[0].long_message


@pytest.mark.parametrize("value", [None, 1, True, {}, [None], [["first_name"]], {"to": "first_name"}])
def test_a_value_that_is_no_text_is_refused(value: Any) -> None:
    [problem] = problems_of({"title": value})

    assert problem.meta["key"] == "title"
    assert "empty list maps the path to nothing" in problem.message


@pytest.mark.parametrize("override", [[], "x", None, {"title": object()}, {"title": {1, 2}}])
def test_a_mapping_that_is_no_json_object_is_refused(override: Any) -> None:
    [problem] = problems_of(override)

    assert (problem.code, problem.message) == ("invalid_mapping", "The mapping is no JSON object.")


def test_a_mapping_nested_without_end_is_refused() -> None:
    nested: list[Any] = []
    nested.append(nested)
    [problem] = problems_of({"title": nested})

    assert problem.code == "invalid_mapping"


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("userName", "USERNAME"),
        ("userName", "urn:ietf:params:scim:schemas:core:2.0:User:userName"),
        ("emails[primary eq true].value", 'emails[ Primary EQ "True" ].VALUE'),
        (
            "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User.department",
            "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department",
        ),
    ],
)
def test_two_spellings_of_one_path_are_refused(first: str, second: str) -> None:
    [problem] = problems_of({first: "username", second: "first_name"})

    assert problem.meta["key"] == second
    assert repr(first) in problem.message


def test_a_place_inside_of_another_place_is_refused() -> None:
    [problem] = problems_of({"title": "public_metadata.job", "nickName": ["username", "public_metadata.job.nick"]})

    assert problem.meta == {"key": "nickName", "place": "value", "index": 1}
    assert "one contains the other" in problem.message


def test_a_mapping_may_not_be_endless() -> None:
    [entries] = problems_of({f"a{index}": "username" for index in range(MAX_ENTRIES + 1)})
    [values] = problems_of({"title": ["username"] * (MAX_VALUES + 1)})
    [text] = problems_of({"title": ["x" * 1900] * MAX_VALUES})

    assert "more than 100 entries" in entries.message
    assert "more than 20 values" in values.message
    assert "longer than" in text.message


def test_a_very_long_key_is_shortened_in_the_sentences() -> None:
    [problem] = problems_of({"x" * 5000: "username"})

    assert len(problem.message) < 200
    assert problem.meta["key"] == "x" * 5000
