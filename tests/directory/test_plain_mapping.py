"""Plain mappings of plain people, which are evaluated at once, against the evaluation of every mapping."""

from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from directory.evaluation import Evaluation, Mapped
from directory.mapping import Mapping, compile_mapping

DETERMINISTIC = settings(max_examples=2500, derandomize=True, deadline=None)
OVERRIDES: tuple[dict[str, Any], ...] = (
    {},
    {"displayName": "first_name"},
    {"userName": "username"},
    {"userName": ["username", "email_address"], "name.formatted": ["last_name", "external_id"]},
    {"name.nick.name": "username", "title": "active"},
    {"emails": "email_address"},
    {"emails.value": "email_address", "emails[primary eq true].value": ["external_id", "email_address"]},
    {"emails[primary eq true].value": []},
    {"active": []},
    {"active": [], "status": "active"},
    {"groups": "username", "groups.value": "first_name"},
    {"title": "public_metadata.title"},
    {"title": "organization_role"},
    {"displayName": "{{ value | upcase }}.first_name"},
    {"urn:ietf:params:scim:schemas:core:2.0:User:title": "username"},
    {"urn:acme:2.0:User:title": "username"},
)
MAPPINGS = [compile_mapping(override) for override in OVERRIDES]

addresses = st.sampled_from(["nadia@example.com", "n@example.org", "nf@example.net", ""])
plain_texts = st.sampled_from(["nadia@example.com", "nadia", "Nadia", "N" * 30])
odd_texts = ["", " ", " nadia@example.com ", "@", "a@b@c", "\u2003", "x" * 1025, "é" * 3000, "True", "false", "maybe"]
odd = st.sampled_from([*odd_texts, None, True, False, 1, 0, 2.5, [], {}, ["work"], {"value": "nadia"}, {"VALUE": "n"}])


def spelt(*names: str) -> st.SearchStrategy[str]:
    return st.sampled_from([*names, *map(str.upper, names), *map(str.lower, names)])


def mixed(
    plain: st.SearchStrategy[dict[str, Any]], names: st.SearchStrategy[str], values: st.SearchStrategy[Any]
) -> st.SearchStrategy[dict[str, Any]]:
    """Plain objects, and such with one odd member before or after the others, perhaps of the same name."""
    return st.one_of(
        plain,
        st.builds(lambda one, name, value: {name: value, **one}, plain, names, values),
        st.builds(lambda one, name, value: {**one, name: value}, plain, names, values),
    )


plain_entries = st.fixed_dictionaries(
    {"value": addresses},
    optional={
        "type": st.sampled_from(["work", "Work", "ＷＯＲＫ", "home", ""]),
        "primary": st.sampled_from([False, False, True]),
    },
)
entries = mixed(plain_entries, spelt("value", "type", "primary", "extra"), st.one_of(odd, addresses))
lists = st.one_of(st.lists(plain_entries, max_size=4), st.lists(st.one_of(entries, odd), max_size=3))
name = st.fixed_dictionaries({}, optional=dict.fromkeys(["givenName", "familyName", "formatted"], plain_texts))
crowds = st.sampled_from([[{"value": "nadia@example.com"}] * 17, {f"a{n}": n for n in range(65)}, "x" * 5000])
names = spelt("userName", "active", "name", "emails", "externalId", "displayName", "title", "status", "groups")
people = mixed(
    st.fixed_dictionaries(
        {},
        optional={
            "active": st.booleans(),
            "name": mixed(name, spelt("givenName", "familyName", "nick"), odd),
            "emails": lists,
            **dict.fromkeys(["userName", "externalId", "displayName", "title"], plain_texts),
        },
    ),
    st.one_of(names, st.just("urn:acme:2.0:User")),
    st.one_of(odd, addresses, name, lists, crowds),
)


def by_evaluation(mapping: Mapping, person: dict[str, Any]) -> Mapped:
    return Evaluation(mapping._resource(person, []), maps_role=mapping.maps_role).run(mapping.plan)


@DETERMINISTIC
@example(compile_mapping({"active": []}), {"ACTIVE": False})
@example(compile_mapping({"active": []}), {"active": "False"})
@given(st.sampled_from(MAPPINGS), people)
def test_a_mapping_gives_what_the_evaluation_of_all_of_it_gives(mapping: Mapping, person: dict[str, Any]) -> None:
    given_at_once, evaluated = mapping.evaluate(person, []), by_evaluation(mapping, person)
    assert given_at_once == evaluated
    assert list(given_at_once.fields) == list(evaluated.fields)


def test_what_identity_providers_send_is_plain() -> None:
    person = {
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"],
        "userName": "nadia@example.com",
        "name": {"givenName": "Nadia", "familyName": "Feldmann"},
        "emails": [{"value": "nadia@example.com", "type": "work", "primary": True}],
        "active": True,
    }
    plain = MAPPINGS[0]._plain
    assert plain is not None
    assert plain.evaluate(person) == by_evaluation(MAPPINGS[0], person).fields


def test_a_mapping_with_an_expression_a_role_or_metadata_is_not_plain() -> None:
    assert [override for override, mapping in zip(OVERRIDES, MAPPINGS, strict=True) if mapping._plain is None] == [
        {"name.nick.name": "username", "title": "active"},
        {"groups": "username", "groups.value": "first_name"},
        {"title": "public_metadata.title"},
        {"title": "organization_role"},
        {"displayName": "{{ value | upcase }}.first_name"},
        {"urn:ietf:params:scim:schemas:core:2.0:User:title": "username"},
        {"urn:acme:2.0:User:title": "username"},
    ]
