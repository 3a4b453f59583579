"""Plain Users, which are judged without models, against the models: the same documents, or none at all."""

from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scim2_models import Context, SCIMException
from scim2_server.conditions import Conditions

from directory.group_membership import MemberChange
from directory.resources import Document, dump, is_stored
from scim.bodies import mend_resource
from scim.messages import PlainPatch
from scim.plain import CORE, EXTENSION, NotPlain, PlainUsers, replaced_document
from scim.provider import make_provider
from scim.refusals import apply_patch
from scim.service import DirectoryService
from scim.storage import USER_LEFT_OUT, _document

PROVIDER = make_provider()
SERVICE = DirectoryService(PROVIDER, secret="x" * 40)
PLAIN = PlainUsers(PROVIDER)
MODEL: Any = PROVIDER.model_for("User")
DETERMINISTIC = settings(max_examples=500, derandomize=True, deadline=None)

texts = st.text(max_size=8, alphabet=st.characters(exclude_categories=("Cs",), exclude_characters="\0"))
flags = st.booleans()


def objects(**members: st.SearchStrategy[Any]) -> st.SearchStrategy[Document]:
    """Objects with some of these members; seldom, if ever, with none."""
    first = next(iter(members))
    return st.fixed_dictionaries({first: members.pop(first)}, optional=members)


def lists(items: st.SearchStrategy[Any]) -> st.SearchStrategy[list[Any]]:
    return st.lists(items, min_size=1, max_size=2)


entry = objects(value=texts, type=st.sampled_from(["work", "home", ""]), primary=flags, display=texts)
address = objects(country=texts, postalCode=texts, type=texts, primary=flags)
name = objects(givenName=texts, familyName=texts, formatted=texts)
enterprise = objects(department=texts, employeeNumber=texts, manager=objects(value=texts))
# Of the declared types, although not all of them are valid.
ordinary = st.fixed_dictionaries(
    {"schemas": st.sampled_from([[CORE], [CORE], [CORE, EXTENSION]]), "userName": texts},
    optional={
        **dict.fromkeys(["externalId", "displayName", "title", "timezone", "password", "id"], texts),
        "active": flags,
        "name": name,
        **dict.fromkeys(["emails", "phoneNumbers", "roles", "groups"], lists(entry)),
        "addresses": lists(address),
        EXTENSION: enterprise,
    },
)
odd = st.one_of(st.none(), st.integers(-3, 3), st.floats(0, 1), texts, flags, entry, name, st.lists(entry, max_size=2))
odd_names = st.sampled_from(
    f"schemas userName UserName externalId active title name user_name photos profileUrl meta badge emails roles "
    f"Groups x509Certificates addresses nickName password urn:acme:2.0:User {EXTENSION} {CORE}:title".split()
)
users = st.one_of(
    ordinary,
    st.builds(lambda user, more: {**user, **more}, ordinary, st.dictionaries(odd_names, odd, max_size=2)),
)


def by_models(payload: Document) -> Document:
    with PROVIDER:
        resource = SERVICE.read_payload(MODEL, payload, Context.RESOURCE_CREATION_REQUEST)
        return _document(resource, USER_LEFT_OUT)


@DETERMINISTIC
@given(users)
def test_a_plain_user_is_what_the_models_make_of_it(payload: Document) -> None:
    plain = PLAIN.document(mend_resource(payload, CORE))
    if plain is not None:
        assert is_stored(plain, dump(by_models(payload)))


stored = st.fixed_dictionaries(
    {"schemas": st.just([CORE]), "userName": st.just("nadia")},
    optional={
        "externalId": st.just("00u1"),
        "displayName": texts,
        "active": flags,
        "name": name,
        **dict.fromkeys(["emails", "phoneNumbers"], lists(entry)),
        "addresses": lists(address),
        "badge": texts,
    },
)
extended = st.builds(
    lambda document, extension: {**document, "schemas": [CORE, EXTENSION], EXTENSION: extension},
    stored,
    objects(department=texts, employeeNumber=texts, manager=objects(value=texts), costCenter=texts),
)
# What is given, and the values that it takes.
places: dict[str, st.SearchStrategy[Any]] = {
    **dict.fromkeys(["displayName", "userName", "title", "externalId", "locale"], texts),
    **dict.fromkeys(["name.givenName", "name.familyName", "name.formatted"], texts),
    "active": st.one_of(flags, st.sampled_from(["True", "False"])),
    f"{EXTENSION}:department": texts,
    f"{EXTENSION}:employeeNumber": texts,
    f"{EXTENSION}:manager": st.one_of(texts, objects(value=texts)),
    'emails[type eq "work"].value': texts,
    'emails[type eq "Home"].display': texts,
    'phoneNumbers[type eq "work"].value': texts,
    'addresses[type eq "work"].country': texts,
}
strange = ["name", "password", "emails", "badge", "Title", "x", "emails.value", 'emails[type eq "work"]', "nickName"]
ops = st.sampled_from(["add", "replace", "Replace", "Add", "replace"])
given_at_path = st.sampled_from(sorted(places)).flatmap(
    lambda path: st.fixed_dictionaries({"op": ops, "path": st.just(path), "value": places[path]})
)
given_without_path = st.fixed_dictionaries(
    {"op": ops, "value": st.fixed_dictionaries({}, optional={path: places[path] for path in places if "[" not in path})}
)
anything = st.one_of(
    st.fixed_dictionaries(
        {
            "op": st.one_of(ops, st.just("remove")),
            "path": st.sampled_from([*places, *strange]),
            "value": st.one_of(texts, odd),
        }
    ),
    st.fixed_dictionaries(
        {"op": ops, "value": objects(active=odd, **dict.fromkeys(["title", "name.familyName", "Title", "x"], texts))}
    ),
)
operations = st.lists(st.one_of(given_at_path, given_at_path, given_without_path, anything), min_size=1, max_size=3)
USER_TYPE = next(type_ for type_ in PROVIDER.resource_types if type_.name == "User")


def patched_by_models(document: Document, sent: list[Document]) -> Document:
    resource = MODEL.model_validate({**document, "id": "user_1"}, scim_policy=PROVIDER.policy)
    with PROVIDER:
        whole = SERVICE.read_operations(MODEL, sent, MemberChange())
        if whole.declared is not None:
            apply_patch(whole.declared, resource)
        return _document(resource, USER_LEFT_OUT)


TWO_PRIMARIES = {
    "schemas": [CORE],
    "userName": "nadia",
    "addresses": [{"country": "", "primary": True}, {"country": "", "type": "work", "primary": True}],
}


@DETERMINISTIC
@given(st.one_of(stored, extended), operations)
@example(TWO_PRIMARIES, [{"op": "add", "path": 'addresses[type eq "work"].country', "value": "NL"}])
def test_a_plain_patch_does_what_the_models_do(document: Document, sent: list[Document]) -> None:
    try:
        request = SERVICE.read_patch_payload(USER_TYPE, "user_1", {"Operations": sent})
        if not isinstance(request, PlainPatch):
            return
        changed = PLAIN.changed(document, request.changes)
    except (SCIMException, NotPlain):
        return
    assert is_stored(changed, dump(patched_by_models(document, request.operations)))


@DETERMINISTIC
@given(st.one_of(stored, extended), ordinary)
def test_a_plain_replacement_is_what_the_models_make_of_it(document: Document, payload: Document) -> None:
    replacement = SERVICE.find_plain_user(USER_TYPE, payload)
    if replacement is None:
        return
    meta = {"resourceType": "User", "version": 'W/"1"'}
    current = MODEL.model_validate({**document, "id": "user_1", "meta": meta}, scim_policy=PROVIDER.policy)
    with PROVIDER:
        resource = SERVICE.read_payload(MODEL, payload, Context.RESOURCE_REPLACEMENT_REQUEST)
        replaced = SERVICE.apply_replacement(current, resource, Conditions())
        made = _document(resource if replaced is not None else current, USER_LEFT_OUT)
    assert is_stored(replaced_document(document, replacement.document), dump(made))


OKTA = [{"op": "replace", "value": {"active": False}}]
ENTRA = [
    {"op": "Replace", "path": "displayName", "value": "Li W. Wei"},
    {"op": "Add", "path": "name.givenName", "value": "Li"},
    {"op": "Replace", "path": 'emails[type eq "work"].value', "value": "lw@acme.example"},
    {"op": "Add", "path": f"{EXTENSION}:manager", "value": "user_2"},
    {"op": "Replace", "path": "active", "value": "False"},
]
ENTRA_WITH_FLAG = [
    {
        "op": "replace",
        "value": {"displayName": "Li W. Wei", "name.givenName": "Li", "active": False, f"{EXTENSION}:department": "F"},
    },
    {"op": "replace", "path": 'emails[type eq "work"].value', "value": "lw@acme.example"},
]
LI = {
    "schemas": [CORE, EXTENSION],
    "userName": "li",
    "name": {"familyName": "Wei"},
    "emails": [{"type": "work", "value": "li@acme.example", "primary": True}],
    "active": True,
    EXTENSION: {"department": "Finance"},
}


@pytest.mark.parametrize("sent", [OKTA, ENTRA, ENTRA_WITH_FLAG], ids=["Okta", "Entra", "Entra with its flag"])
def test_the_changes_that_identity_providers_send_are_plain(sent: list[Document]) -> None:
    """Should they need models, each would cost twice as much."""
    request = SERVICE.read_patch_payload(USER_TYPE, "user_1", {"Operations": sent})
    assert isinstance(request, PlainPatch)
    changed = PLAIN.changed(LI, request.changes)
    assert changed["active"] is False
    assert is_stored(changed, dump(patched_by_models(LI, request.operations)))


def test_what_identity_providers_send_is_plain() -> None:
    """Okta's body of a new user: should it need models, it would cost twice as much."""
    body = {
        "schemas": [CORE],
        "userName": "nadia@acme.example",
        "name": {"givenName": "Nadia", "familyName": "Petrov"},
        "emails": [{"primary": True, "value": "nadia@acme.example", "type": "work"}],
        "displayName": "Nadia Petrov",
        "locale": "en-US",
        "externalId": "00u1",
        "groups": [],
        "password": "secret",
        "active": True,
    }
    document = PLAIN.document(mend_resource(body, CORE))
    assert document == {name: value for name, value in body.items() if name not in ("groups", "password")}
