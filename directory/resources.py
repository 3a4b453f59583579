"""The stored SCIM resource: one canonical JSON document, and the few values that are looked up in it."""

import json
import re
from dataclasses import dataclass
from typing import Any, NamedTuple

from folding import fold, fold_json
from json_text import compact, read_compact

Document = dict[str, Any]
# The declared attributes that are compared with their case (RFC 7643 §7), references and certificates among them.
ENTERPRISE = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
CASE_EXACT = (
    ("externalId",),
    ("profileUrl",),
    ("photos", "value"),
    ("x509Certificates", "value"),
    (ENTERPRISE, "manager", "value"),
    (ENTERPRISE, "manager", "$ref"),
)

# Whole numbers beyond ``folding.LARGEST_NUMBER``, of at least so many digits, become nulls.
MANY_DIGITS = re.compile(r"[0-9]{309}")

# A folded address, and its folded type where it has one.
EmailKey = tuple[str, str | None]


class UserResource(NamedTuple):
    """A SCIM User as it is stored. ``document`` is without ``id``, ``meta``, ``groups`` and ``password``."""

    document: Document
    user_name: str
    # The form in which the user name is unique in its directory.
    user_name_key: str
    external_id: str | None
    display_name: str | None
    sent_groups: list[Any] | None = None

    @classmethod
    def of(cls, document: Document, sent_groups: Any = None) -> "UserResource":
        """Return the resource of a document; ``sent_groups`` is what the body carried as ``groups``, if anything."""
        user_name = document["userName"]
        return cls(
            document=document,
            user_name=user_name,
            user_name_key=fold(user_name),
            external_id=document.get("externalId"),
            display_name=document.get("displayName"),
            sent_groups=_foreign_groups(sent_groups) if isinstance(sent_groups, list) else None,
        )


def email_keys(document: Document) -> tuple[EmailKey, ...]:
    """Return the addresses of a user's document, each once."""
    return tuple(dict.fromkeys(_email_key(email) for email in document.get("emails", []) if email.get("value")))


def _email_key(email: dict[str, Any]) -> EmailKey:
    return fold(email["value"]), fold(email["type"]) if email.get("type") else None


def _foreign_groups(groups: list[Any]) -> list[Any]:
    """Return the groups of a body that are the IdP's own words, without those that it read from us.

    Okta sends back what it read. Kept, that would outlive the membership: a
    person taken out of a group would keep the role it gave.
    """
    names = [group.get("value") if isinstance(group, dict) else group for group in groups]
    return [group for group, name in zip(groups, names, strict=True) if not str(name).startswith("grp_")]


@dataclass(frozen=True)
class GroupResource:
    """A SCIM Group as it is stored. ``document`` is without ``id``, ``meta`` and ``members``."""

    document: Document
    display_name: str
    external_id: str | None

    @classmethod
    def of(cls, document: Document) -> "GroupResource":
        """Return the resource of a document."""
        return cls(document, document["displayName"], document.get("externalId"))


# A document as the JSON text in which it is stored.
dump = compact


def is_stored(document: Document, text: str, new: str | None = None) -> bool:
    """Tell whether a stored text says what a document says, in whatever order; ``new`` is its own text, where known."""
    new = dump(document) if new is None else new
    if len(new) != len(text):  # another order takes the same room
        return False
    return new == text or _in_order(document) == _in_order(load(text))


def _in_order(document: Document) -> str:
    return json.dumps(document, sort_keys=True)


def load(text: str) -> Document:
    """Return the document of a stored text."""
    document: Document = read_compact(text)
    return document


def stored_columns(document: Document, text: str | None = None) -> dict[str, Any]:
    """Return a document as the columns of its row: its text, where that is not known yet, and how it is compared."""
    text = dump(document) if text is None else text
    return {"document": text, "document_key": _folded(document, text)}


def _folded(document: Document, text: str) -> Document:
    """Return a document as it is compared: every key and text folded, but for the texts that keep their case."""
    # Of ASCII alone, folding is lower case, which JSON text can be put in as a whole.
    is_plain = text.isascii() and MANY_DIGITS.search(text) is None
    folded: Document = load(text.lower()) if is_plain else fold_json(document)
    for path in CASE_EXACT:
        if path[0] in document:
            _keep_case(document, folded, path)
    return folded


def _keep_case(document: Any, folded: Any, path: tuple[str, ...]) -> None:
    name, *rest = path
    if isinstance(document, list):
        for entry, folded_entry in zip(document, folded, strict=True):
            _keep_case(entry, folded_entry, path)
    elif isinstance(document, dict) and name in document:
        if rest:
            _keep_case(document[name], folded[fold(name)], tuple(rest))
        else:
            folded[fold(name)] = document[name]
