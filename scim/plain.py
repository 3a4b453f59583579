"""Ordinary Users, judged by their schemas without building models.

Almost all bodies hold declared attributes only, under their own names, with
values of the declared types. Of these the models of the protocol library would
return what was sent, at twenty times the cost. Whatever is not that plain is
left to the models: another spelling, nulls, numbers for texts, references,
what no schema declares. ``tests/scim/test_plain_users.py`` compares both.
"""

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

from scim2_models import Attribute, Mutability, ScimProvider

from scim.provider import EnterpriseUser, User

Document = dict[str, Any]
# Returns the value as it is stored, or raises NotPlain.
Judge = Callable[[Any], Any]

CORE, EXTENSION = str(User.__schema__), str(EnterpriseUser.__schema__)
SCHEMAS = ([CORE], [CORE, EXTENSION])


class NotPlain(Exception):
    """A value that the models have to judge."""


class PlainUsers:
    """What the schemas of a service provider say about a plain User."""

    def __init__(self, provider: ScimProvider) -> None:
        model: Any = provider.model_for("User")
        attributes: list[Attribute] = model.to_schema().attributes or []
        extension = EnterpriseUser.to_schema().attributes or []
        judges = {attribute.name or "": _judge_of(attribute) for attribute in attributes}
        self.single = {a.name: judges[a.name] for a in attributes if a.name and _is_single(a)}
        for attribute in attributes:
            if attribute.sub_attributes and not attribute.multi_valued:
                inner = [a for a in attribute.sub_attributes if a.name and _is_single(a)]
                self.single |= {f"{attribute.name}.{a.name}": _judge_of(a) for a in inner}
        self.judges: dict[str, Judge] = {
            "schemas": _schemas,
            "externalId": _text,
            **judges,
            EXTENSION: _object_of({a.name or "": _judge_of(a) for a in extension}),
        }
        self.single["externalId"] = _text

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

    def changes(self, operations: Sequence[Document]) -> Document | None:
        """Return the values that the operations of a PATCH give to attributes of one value, by their paths.

        None when the models have to apply them.
        """
        changes: Document = {}
        try:
            for operation in operations:
                path, value = operation.get("path"), operation["value"]
                if operation["op"] == "remove":
                    return None
                changes |= _judged(self.single, {path: value} if path else value)
        except NotPlain:
            return None
        return changes

    @staticmethod
    def changed(document: Document, changes: Document) -> Document:
        """Return a stored document with changes."""
        changed = dict(document)
        for path, value in changes.items():
            name, _, inner = path.partition(".")
            changed[name] = {**changed.get(name, {}), inner: value} if inner else value
        return changed


def _judged(judges: dict[str, Judge], values: Document) -> Document:
    """Return values in the order in which they came, each judged by its name."""
    try:
        return {name: judges[name](value) for name, value in values.items()}
    except KeyError as error:
        raise NotPlain from error


@cache
def _simple(type_: type) -> Judge:
    def judge(value: Any) -> Any:
        if type(value) is not type_:
            raise NotPlain
        return value

    return judge


_text, _flag = _simple(str), _simple(bool)


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
        if sum(entry.get("primary", False) for entry in entries) > 1:
            raise NotPlain
        return entries

    return judge
