"""Plain Users, which are judged without models, against the models: the same documents, or none at all."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scim2_models import Context, SCIMException

from directory.resources import Document, dump, is_stored
from scim.bodies import mend_resource
from scim.plain import CORE, EXTENSION, PlainUsers
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
    optional={"displayName": texts, "active": flags, "name": name, "emails": lists(entry), "badge": texts},
)
paths = [
    "active",
    "displayName",
    "userName",
    "name.givenName",
    "externalId",
    "title",
    "name",
    "password",
    "emails",
    "badge",
]
operations = st.lists(
    st.one_of(
        st.fixed_dictionaries(
            {
                "op": st.sampled_from(["add", "replace", "Replace", "replace", "remove"]),
                "path": st.sampled_from([*paths[:6], *paths[:6], *paths, "Title", "x", f"{EXTENSION}:division"]),
                "value": st.one_of(texts, texts, flags, odd),
            }
        ),
        st.fixed_dictionaries(
            {
                "op": st.sampled_from(["add", "replace"]),
                "value": objects(
                    active=st.one_of(flags, flags, flags, odd),
                    **dict.fromkeys(["displayName", "title", "name.familyName", "Title", "x"], texts),
                ),
            }
        ),
    ),
    max_size=3,
)


@DETERMINISTIC
@given(stored, operations)
def test_a_plain_patch_does_what_the_models_do(document: Document, sent: list[Document]) -> None:
    try:
        request = SERVICE.read_patch_payload(USER_TYPE, "user_1", {"Operations": sent})
    except SCIMException:
        return
    if request.plain is None:
        return
    changed = PLAIN.changed(document, request.plain)
    with pytest.MonkeyPatch.context() as without:
        without.setattr(PlainUsers, "changes", lambda *_: None)
        whole = SERVICE.read_patch_payload(USER_TYPE, "user_1", {"Operations": sent})
    resource = MODEL.model_validate({**document, "id": "user_1"}, scim_policy=PROVIDER.policy)
    with PROVIDER:
        if whole.declared is not None:
            apply_patch(whole.declared, resource)
        assert is_stored(changed, dump(_document(resource, USER_LEFT_OUT)))


USER_TYPE = next(type_ for type_ in PROVIDER.resource_types if type_.name == "User")


def test_what_identity_providers_send_is_plain() -> None:
    """Okta's body of a new user, and its deactivation: should they need models, each would cost twice as much."""
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
    request = SERVICE.read_patch_payload(
        USER_TYPE, "user_1", {"Operations": [{"op": "replace", "value": {"active": False}}]}
    )
    assert request.plain == {"active": False}
