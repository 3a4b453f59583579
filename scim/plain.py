"""Ordinary Users, judged by their schemas without building models.

Almost all bodies hold declared attributes only, under their own names, with
values of the declared types. Of these the models of the protocol library would
return what was sent, at twenty times the cost. Whatever is not that plain is
left to the models: another spelling, nulls, numbers for texts, references,
what no schema declares. ``tests/scim/test_plain_users.py`` compares both.
"""

import re
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, NamedTuple

from scim2_models import Attribute, Mutability, ScimProvider

from scim.provider import EnterpriseUser, User

Document = dict[str, Any]
# Returns the value as it is stored, or raises NotPlain.
Judge = Callable[[Any], Any]

CORE, EXTENSION = str(User.__schema__), str(EnterpriseUser.__schema__)
SCHEMAS = ([CORE], [CORE, EXTENSION])
MANAGER = f"{EXTENSION}:manager"
# The path to an attribute of the entries of a type, as in emails[type eq "work"].value.
ENTRY = re.compile(r'(?P<name>\w+)\[type eq "(?P<type>[\w -]+)"\]\.(?P<inner>\w+)', re.ASCII)
# What a PUT that leaves them out does not take away from a User.
KEPT = ("externalId", "active")
# Microsoft Entra ID writes flags as texts.
FLAGS = {"True": True, "False": False, "true": True, "false": False}


class NotPlain(Exception):
    """A value that the models have to judge."""


class Change(NamedTuple):
    """A value that a PATCH gives to one attribute: of the resource, of an object in it, or of an entry of a list.

    ``of_type`` is the ``type`` of the entry, and None where the attribute is in no list.
    """

    name: str
    inner: str | None
    value: Any
    of_type: str | None = None


# Where a path leads: the attribute, the one in it, and the judge of its values.
Place = tuple[str, str | None, Judge]


class PlainUsers:
    """What the schemas of a service provider say about a plain User."""

    def __init__(self, provider: ScimProvider) -> None:
        model: Any = provider.model_for("User")
        attributes: list[Attribute] = model.to_schema().attributes or []
        extension = EnterpriseUser.to_schema().attributes or []
        judges = {attribute.name or "": _judge_of(attribute) for attribute in attributes}
        self.judges: dict[str, Judge] = {
            "schemas": _schemas,
            "externalId": _text,
            **judges,
            EXTENSION: _object_of({a.name or "": _judge_of(a) for a in extension}),
        }
        self.places: dict[str, Place] = {"externalId": ("externalId", None, _text), MANAGER: _MANAGER}
        self.places |= {a.name or "": (a.name or "", None, _judge_of(a)) for a in attributes if _is_single(a)}
        for attribute in attributes:
            if attribute.sub_attributes and not attribute.multi_valued:
                self.places |= _places_in(attribute.name or "", ".", attribute.sub_attributes)
        self.places |= _places_in(EXTENSION, ":", extension)
        # By the path to one attribute of the entries of a type, without the type.
        self.entries: dict[tuple[str, str], Judge] = {
            (attribute.name or "", inner.name or ""): _judge_of(inner)
            for attribute in attributes
            if attribute.multi_valued and attribute.mutability != Mutability.read_only
            for inner in attribute.sub_attributes or []
            if _is_single(inner) and inner.name not in ("type", "primary")
        }

    def document(self, payload: Document) -> Document | None:
        """Return a mended payload as it is stored, or None when the models have to judge it."""
        if "userName" not in payload:
            return None
        try:
            document = _judged(self.judges, payload)
        except NotPlain:
            return None
        if document.get("schemas") != SCHEMAS[EXTENSION in document]:
            return None
        document.pop("password", None)
        return document

    def changes(self, operations: Sequence[Document]) -> list[Change] | None:
        """Return what the operations of a PATCH give to attributes of one value, in their order.

        None when the models have to apply them.
        """
        changes: list[Change] = []
        try:
            for operation in operations:
                path, value = operation.get("path"), operation["value"]
                if operation["op"] == "remove":
                    return None
                given = {path: value} if path else value
                changes += [self._change(name, item) for name, item in given.items()]
        except NotPlain:
            return None
        return changes

    def _change(self, path: str, value: Any) -> Change:
        if path in self.places:
            name, inner, judge = self.places[path]
            return Change(name, inner, judge(value))
        found = ENTRY.fullmatch(path)
        entry = self.entries.get((found["name"], found["inner"])) if found else None
        if found is None or entry is None:
            raise NotPlain
        return Change(found["name"], found["inner"], entry(value), of_type=found["type"])

    @staticmethod
    def changed(document: Document, changes: Sequence[Change]) -> Document:
        """Return a stored document with changes.

        :raises NotPlain: When what is stored is such that the models have to apply them.
        """
        changed = dict(document)
        for change in changes:
            if change.inner is None:
                changed[change.name] = change.value
            elif change.of_type is None:
                if change.name == EXTENSION:
                    changed = _with_extension(changed, change)
                changed[change.name] = {**changed.get(change.name, {}), change.inner: change.value}
            else:
                changed[change.name] = _with_entry(changed.get(change.name, []), change.of_type, change)
        return changed


# What the schemas say is the same for both services of an application.
plain_users = cache(PlainUsers)


def replaced_document(stored: Document, replacement: Document) -> Document:
    """Return a replacement with what it keeps of the stored document that it replaces."""
    return {**replacement, **{name: stored[name] for name in KEPT if name in stored and name not in replacement}}


def _with_extension(document: Document, change: Change) -> Document:
    """Return a User that has the extension, whatever is given in it.

    :raises NotPlain: When more is known of the manager than the id.
    """
    known = document.get(EXTENSION)
    if known is None:
        schemas = document["schemas"]
        return {**document, "schemas": schemas if EXTENSION in schemas else [*schemas, EXTENSION], EXTENSION: {}}
    if isinstance(change.value, dict) and known.get(change.inner, {}).keys() - {"value"}:
        raise NotPlain
    return document


def _with_entry(entries: list[Document], of_type: str, change: Change) -> list[Document]:
    """Return the entries of a list with a value in the one of a type, which is made where it is missing.

    :raises NotPlain: When there are several.
    """
    if sum(entry.get("primary") is True for entry in entries) > 1:
        raise NotPlain
    same = [position for position, entry in enumerate(entries) if entry.get("type", "").lower() == of_type.lower()]
    if len(same) > 1:
        raise NotPlain
    given = {str(change.inner): change.value}
    if not same:
        return [*entries, {"type": of_type, **given}]
    return [{**entry, **given} if position == same[0] else entry for position, entry in enumerate(entries)]


def _places_in(name: str, separator: str, attributes: Sequence[Attribute]) -> dict[str, Place]:
    """Return the places of an object's attributes of one value, by their paths."""
    return {f"{name}{separator}{a.name}": (name, a.name, _judge_of(a)) for a in attributes if _is_single(a)}


def _judged(judges: dict[str, Judge], values: Document) -> Document:
    """Return values in the order in which they came, each judged by its name."""
    judged: Document = {}
    for name, value in values.items():
        judge = judges.get(name, _never)
        judged[name] = value if judge is _text and value.__class__ is str else judge(value)  # most are texts
    return judged


def _text(value: Any) -> Any:
    if type(value) is not str:
        raise NotPlain
    return value


def _flag(value: Any) -> bool:
    if type(value) is bool:
        return value
    if type(value) is not str or value not in FLAGS:
        raise NotPlain
    return FLAGS[value]


def _manager(value: Any) -> Document:
    if type(value) is not dict or value.keys() != {"value"} or type(value["value"]) is not str:
        raise NotPlain
    return value


_MANAGER = (EXTENSION, "manager", _manager)


def _schemas(value: Any) -> Any:
    if value not in SCHEMAS:
        raise NotPlain
    return value


def _is_single(attribute: Attribute) -> bool:
    types = (Attribute.Type.string, Attribute.Type.boolean)
    return not attribute.multi_valued and attribute.type in types and attribute.name != "password"


def _judge_of(attribute: Attribute) -> Judge:
    if attribute.mutability == Mutability.read_only:
        return _never
    if attribute.type == Attribute.Type.boolean:
        return _flag
    if attribute.type == Attribute.Type.string and not attribute.multi_valued:
        return _text
    if attribute.type != Attribute.Type.complex:
        return _never
    one = _object_of({a.name or "": _judge_of(a) for a in attribute.sub_attributes or []})
    return _list_of(one) if attribute.multi_valued else one


def _never(_value: Any) -> Any:
    raise NotPlain


def _object_of(judges: dict[str, Judge]) -> Judge:
    def judge(value: Any) -> Any:
        if type(value) is not dict or not value:
            raise NotPlain
        return _judged(judges, value)

    return judge


def _list_of(one: Judge) -> Judge:
    def judge(value: Any) -> Any:
        if type(value) is not list or not value:
            raise NotPlain
        entries = [one(entry) for entry in value]
        if len(entries) > 1 and sum(entry.get("primary", False) for entry in entries) > 1:
            raise NotPlain
        return entries

    return judge
