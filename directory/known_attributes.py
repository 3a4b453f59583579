"""The attributes that the standard schemas declare, and what the writer of a path that misses them may have meant."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, get_args

from pydantic import BaseModel
from scim2_models import EnterpriseUser, User

CORE_USER = "urn:ietf:params:scim:schemas:core:2.0:User"
ENTERPRISE_USER = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"

# Attribute (lower case) → its standard spelling and its own attributes; None for what is no object.
Attributes = dict[str, tuple[str, "Attributes | None"]]


def _attributes(model: type[BaseModel]) -> Attributes:
    found: Attributes = {}
    for name, declared in model.model_fields.items():
        spelling = declared.serialization_alias or name
        inner = next(_models(declared.annotation), None)
        found[spelling.lower()] = (spelling, _attributes(inner) if inner else None)
    return found


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _models(argument)


CORE = _attributes(User)
ENTERPRISE = _attributes(EnterpriseUser)
# What the groups that were pushed have, beyond the standard.
CORE["groups"] = ("groups", {**(CORE["groups"][1] or {}), "id": ("id", None), "externalid": ("externalId", None)})

# What people write, and what the standard calls it. Only where the standard has no such attribute there.
_NICKNAMES = {
    "firstname": "name.givenName",
    "givenname": "name.givenName",
    "lastname": "name.familyName",
    "familyname": "name.familyName",
    "surname": "name.familyName",
    "email": "emails[primary eq true].value",
    "mail": "emails[primary eq true].value",
    "emailaddress": "emails[primary eq true].value",
    "phone": "phoneNumbers[0].value",
    "mobile": 'phoneNumbers[type eq "mobile"].value',
    "group": "groups[0].value",
    "role": "roles[0].value",
    "login": "userName",
    "jobtitle": "title",
}
_INNER_NICKNAMES = {
    "name": {"firstname": "givenName", "first": "givenName", "lastname": "familyName", "last": "familyName",
             "surname": "familyName", "fullname": "formatted", "middle": "middleName"},
    "groups": {"displayname": "display", "name": "display"},
    "emails": {"address": "value", "email": "value"},
    "phonenumbers": {"number": "value", "phone": "value"},
    "addresses": {"city": "locality", "state": "region", "zip": "postalCode", "zipcode": "postalCode",
                  "street": "streetAddress"},
    "manager": {"id": "value", "managerid": "value", "name": "displayName"},
}  # fmt: skip


@dataclass(frozen=True)
class Miss:
    """A part of a path that misses the standard by little, in lower case, and what to write in its place.

    ``is_whole`` tells that it is a whole path, which takes the place of the rest as well.
    """

    name: str
    meant: str
    is_whole: bool = False


# The attributes of a path in lower case, each with those that a condition in its brackets asks for.
Names = Sequence[tuple[str, tuple[str, ...]]]


def find_miss(names: Names, schema: str | None) -> Miss | None:
    """Return the first attribute of a path that misses the standard by little, or None.

    ``schema`` is the lower-case name of the schema that the path names, None
    for none. A name that is like no standard one is an IdP's own.
    """
    if schema == ENTERPRISE_USER.lower():
        return _find(names, ENTERPRISE)
    if schema is not None or not names:
        return None
    first = names[0][0]
    if first == "user" and len(names) > 1:  # as expressions in Okta name it
        second = names[1][0]
        standard = CORE.get(second, (None, None))[0] or _NICKNAMES.get(second, second)
        return Miss(f"{first}.{second}", _of_enterprise(second) or standard)
    if first in CORE:
        return _find(names, CORE)
    if first in _NICKNAMES:
        return Miss(first, _NICKNAMES[first], is_whole=True)
    in_full = _of_enterprise(first) or _of_enterprise((_near(first, ENTERPRISE) or "").lower())
    return Miss(first, in_full) if in_full else _find(names, CORE)


def _of_enterprise(name: str) -> str | None:
    return f"{ENTERPRISE_USER}:{ENTERPRISE[name][0]}" if name in ENTERPRISE and name not in CORE else None


def _find(names: Names, known: Attributes) -> Miss | None:
    nicknames: Mapping[str, str] = {}
    for name, asked in names:
        if name not in known:
            return _miss(name, known, nicknames)
        inner = known[name][1]
        if inner is None:
            return None
        known, nicknames = inner, _INNER_NICKNAMES.get(name, {})
        for wanted in asked:
            miss = _miss(wanted, known, nicknames)
            if wanted not in known and miss:
                return miss
    return None


def _miss(name: str, known: Attributes, nicknames: Mapping[str, str]) -> Miss | None:
    meant = nicknames.get(name) or _near(name, known)
    return Miss(name, meant) if meant else None


def _near(name: str, known: Attributes) -> str | None:
    close = get_close_matches(name, known, n=1, cutoff=0.8)
    return known[close[0]][0] if close else None
