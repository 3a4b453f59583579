"""Where each attribute of a resource is stored, so that filters and orders can speak of it in SQL."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from functools import cache
from inspect import isclass
from typing import Any

from scim2_models import AttributeBinding, ComplexAttribute, InvalidFilterException, Resource, ScimFilter
from scim2_models.path import AttrPath
from sqlalchemy import ColumnElement, Text, and_, cast, false, func, literal, not_, or_, select, true

from directory.resources import ENTERPRISE
from folding import fold
from models import DirectoryGroup, DirectoryGroupMember, DirectoryUser, DirectoryUserEmail
from scim.json_sql import Entries, JsonSql, Node, boolean_column, moment_column, text_column

# Schemas that are known as a whole: what they do not declare does not exist.
KNOWN_SCHEMAS = ("urn:ietf:params:scim:schemas:core:2.0", "urn:ietf:params:scim:schemas:extension:enterprise:2.0")

Condition = ColumnElement[bool]


class Kind(StrEnum):
    """How the values of an attribute are compared."""

    text = "a text, whatever its case"
    exact = "a text with its case"
    boolean = "true or false"
    binary = "base64"
    moment = "a dateTime"
    undeclared = "whatever the IdP sent"
    complex = "an attribute with sub-attributes"


@dataclass(frozen=True)
class Rows:
    """Values that are rows of another table. ``of`` is the query of their owners' ids; it names the organization."""

    owner: Any
    of: Any
    members: dict[str, Node]
    place: tuple[Any, ...]

    def any(self, condition: Condition) -> Condition:
        """Tell whether a row meets a condition, starting from the rows, which have indexes."""
        found: Condition = self.owner.in_(self.of.where(condition))
        return found

    def member(self, name: str) -> Node:
        """Return a sub-attribute."""
        return self.members[name]

    def first(self, expression: ColumnElement[Any]) -> ColumnElement[Any]:
        """Return what an expression says of an owner's first row."""
        owned = self.of.where(self.of.selected_columns[0] == self.owner).with_only_columns(expression)
        first: ColumnElement[Any] = (
            owned.order_by(*self.place).limit(1).correlate(self.owner.class_.__table__).scalar_subquery()
        )
        return first


@dataclass(frozen=True)
class Attribute:
    """A stored attribute: its own value, or one in each of its entries. Any of ``nodes`` may hold it."""

    kind: Kind
    nodes: tuple[tuple[Node, Entries | Rows | None], ...] = field(default=())

    def any(self, test: Callable[[Node], Condition]) -> Condition:
        """Tell whether a value passes a test."""
        found = [test(node) if entries is None else entries.any(test(node)) for node, entries in self.nodes]
        return or_(*found)

    def is_null(self) -> Condition:
        """Tell whether the attribute, or one of its entries, has no value."""
        conditions = [
            node.is_null if entries is None else entries.any(node.is_null) | not_(entries.any(true()))
            for node, entries in self.nodes
        ]
        return and_(*conditions)

    def first(self, expression: Callable[[Node], ColumnElement[Any]]) -> ColumnElement[Any]:
        """Return the single value by which resources are ordered."""
        node, entries = self.nodes[0]
        return expression(node) if entries is None else entries.first(expression(node))


class StoredAttributes:
    """The attributes of one resource type in one organization."""

    def __init__(self, resource_type: str, model: type[Resource[Any]], organization_id: str, json: JsonSql) -> None:
        self.resource_type = resource_type
        self.organization_id = organization_id
        self.json = json
        self.names = _names_of(model)
        self.table: Any = DirectoryUser if resource_type == "User" else DirectoryGroup
        self.columns = _columns_of(resource_type)
        self.table_id: Any = DirectoryUser.user_id if resource_type == "User" else DirectoryGroup.id

    # -- By name ----------------------------------------------------------------

    def find(self, path: AttrPath, *, comparing: bool) -> Attribute | None:
        """Return the attribute of a name, or None when this resource type does not declare it.

        A comparison of a multi-valued attribute is one of its ``value``.

        :raises InvalidFilterException: When it is known and cannot be filtered.
        """
        path = self._mended(path, comparing=comparing)
        resolve = self.names.resolve_comparison if comparing else self.names.resolve
        binding = resolve(path, strict=False)
        if binding is not None:
            return self.of_binding(binding)
        return None if is_known_schema(path.uri) and not self._is_extension(path) else self._undeclared(path)

    def _mended(self, path: AttrPath, *, comparing: bool) -> AttrPath:
        """Return Entra's ``manager eq "…"`` as the schema has it: the manager's id, in the enterprise extension."""
        own = path.uri is None or path.uri.lower() == ENTERPRISE.lower()
        if self.resource_type != "User" or path.attr.lower() != "manager" or not own:
            return path
        sub = path.sub_attr or ("value" if comparing else None)
        return AttrPath("manager", sub, ENTERPRISE)

    def _is_extension(self, path: AttrPath) -> bool:
        """Tell whether a name is the URN of a declared extension as a whole, as in ``urn:…:User pr``."""
        extensions = self.names.model.get_extension_models() if self.names.model else {}  # type: ignore[attr-defined]
        return str(path).lower() in {urn.lower() for urn in extensions}

    def of_binding(self, binding: AttributeBinding) -> Attribute:
        """Return a declared attribute."""
        name = _name(binding)
        if name.rpartition(".")[2] == "$ref" and name.partition(".")[0] in ("groups", "members"):
            raise InvalidFilterException(
                detail="Addresses are not compared here. Compare the value beside $ref instead."
            )
        if name == "meta.location":
            raise InvalidFilterException(detail="Addresses are not compared. Compare id instead of meta.location.")
        if name.partition(".")[0] == "password":
            raise InvalidFilterException(detail="Passwords are not kept, so no filter finds them. Leave password out.")
        if name in self.columns:
            kind, node = self.columns[name]
            return Attribute(kind, ((node, None),))
        head, _, sub = name.partition(".")
        if head not in ("groups", "members"):
            return self._in_document(binding)
        rows = self._rows(head)
        if not sub:
            return Attribute(Kind.complex, ((Node(not_(rows.any(true())), rows.any(true())), None),))
        return Attribute(kind_of(binding), ((rows.member(sub), rows),))

    def entries_of(self, path: AttrPath) -> "EntryAttributes | None":
        """Return the attributes of the entries that a value path selects from; None when another type declares it.

        :raises InvalidFilterException: When the attribute has one value only.
        """
        binding = self.names.resolve(path, strict=False)
        if binding is None:
            if is_known_schema(path.uri):
                return None
            entries = self.json.entries(self.table.document_key, (fold(path.uri or ""), fold(path.attr)))
            return EntryAttributes(self, None, path, entries)
        if not binding.is_multivalued:
            raise InvalidFilterException(
                detail="Brackets select among several values, and this attribute has one. Write attribute.subAttribute."
            )
        self.of_binding(binding)
        if binding.field_name in ("groups", "members"):
            return EntryAttributes(self, binding, path, self._rows(binding.field_name))
        return EntryAttributes(self, binding, path, self.json.entries(self.table.document_key, _path(binding)))

    # -- In the document ----------------------------------------------------------

    def _in_document(self, binding: AttributeBinding) -> Attribute:
        """Return an attribute of the folded document."""
        kind, path, document = kind_of(binding), _path(binding), self.table.document_key
        if not binding.is_multivalued or kind is Kind.complex:
            return Attribute(kind, ((self.json.at(document, path), None),))
        if binding.sub_field_name is None:
            entries = self.json.entries(document, path)
            return Attribute(kind, ((entries.itself, entries),))
        entries = self.json.entries(document, path[:-1])
        return Attribute(kind, ((entries.member(path[-1]), entries),))

    def _undeclared(self, path: AttrPath) -> Attribute:
        """Return an attribute of an extension that no schema declares; its key may be the whole name."""
        document, uri, attr = self.table.document_key, fold(path.uri or ""), fold(path.attr)
        nodes: list[tuple[Node, Entries | Rows | None]] = []
        for keys in ((uri, attr), (f"{uri}:{attr}",)):
            entries = self.json.entries(document, keys)
            nodes.append((entries.itself if path.sub_attr is None else entries.member(fold(path.sub_attr)), entries))
        return Attribute(Kind.undeclared, tuple(nodes))

    # -- In tables ------------------------------------------------------------------

    def _rows(self, name: str) -> Rows:
        member = DirectoryGroupMember
        mine = member.organization_id == self.organization_id
        if name == "groups":
            together = (DirectoryGroup.organization_id == member.organization_id) & (
                DirectoryGroup.id == member.group_id
            )
            return Rows(
                DirectoryUser.user_id,
                select(member.user_id).join(DirectoryGroup, together).where(mine),
                {
                    "value": text_column(member.group_id),
                    "display": text_column(DirectoryGroup.display_name_key),
                    "type": text_column(cast(literal("direct"), Text)),
                },
                (member.joined_at, member.group_id),
            )
        together = (DirectoryUser.organization_id == member.organization_id) & (DirectoryUser.user_id == member.user_id)
        shown = func.coalesce(member.display_key, DirectoryUser.display_name_key, DirectoryUser.user_name_key)
        return Rows(
            DirectoryGroup.id,
            select(member.group_id).join(DirectoryUser, together).where(mine),
            {
                "value": text_column(member.user_id),
                "display": text_column(shown),
                "type": text_column(cast(literal("user"), Text)),
            },
            (member.user_id,),
        )

    def email_equals(self, value: str, of_type: str | None) -> Condition:
        """Tell whether somebody has an address, of one type if one is given; answered from an index."""
        found = select(DirectoryUserEmail.user_id).where(
            DirectoryUserEmail.organization_id == self.organization_id, DirectoryUserEmail.value_key == fold(value)
        )
        if of_type is not None:
            found = found.where(DirectoryUserEmail.type_key == fold(of_type))
        return DirectoryUser.user_id.in_(found)


@dataclass(frozen=True)
class EntryAttributes:
    """The names inside the brackets of a value path: those of one entry."""

    owner: StoredAttributes
    binding: AttributeBinding | None
    path: AttrPath
    entries: Entries | Rows

    def find(self, path: AttrPath, *, comparing: bool) -> Attribute | None:  # noqa: ARG002
        """Return a sub-attribute of an entry.

        :raises InvalidFilterException: When the entries have no such sub-attribute.
        """
        if path.uri is not None or path.sub_attr is not None:
            raise InvalidFilterException(detail="Brackets hold names of sub-attributes, without a URN and a dot.")
        if self.binding is None:
            if path.attr.lower() == "value" and isinstance(self.entries, Entries):
                member = self.entries.member("value")
                return Attribute(Kind.undeclared, ((member, None), (self.entries.itself, None)))
            return Attribute(Kind.undeclared, ((self.entries.member(fold(path.attr)), None),))
        binding = self.owner.names.resolve(AttrPath(self.path.attr, path.attr, self.path.uri), strict=False)
        if binding is None:
            if path.attr.lower() == "value" and isinstance(self.entries, Entries) and not _is_complex(self.binding):
                return Attribute(kind_of(self.binding), ((self.entries.itself, None),))
            raise undeclared_attribute()
        return self._sub_attribute(binding)

    def _sub_attribute(self, binding: AttributeBinding) -> Attribute:
        self.owner.of_binding(binding)  # refuses what cannot be compared
        sub = _name(binding).rpartition(".")[2]
        kind = kind_of(binding)
        return Attribute(kind, ((self.entries.member(sub), None),))

    def entries_of(self, path: AttrPath) -> "EntryAttributes | None":  # noqa: ARG002
        """Refuse brackets within brackets, which the grammar does not have."""
        raise undeclared_attribute()


def undeclared_attribute() -> InvalidFilterException:
    """Return the refusal of a name that no schema has."""
    return InvalidFilterException(
        detail="The filter names an attribute that no schema declares. /Schemas lists those that can be compared; "
        "an attribute of another extension is named with its URN."
    )


def is_known_schema(uri: str | None) -> bool:
    """Tell whether a schema is one whose attributes are all known; no URN means the resource's own."""
    return uri is None or uri.lower().startswith(tuple(schema.lower() for schema in KNOWN_SCHEMAS))


def kind_of(binding: AttributeBinding) -> Kind:
    """Return how a declared attribute is compared."""
    target = binding.target_type
    if not isclass(target):
        return Kind.exact if binding.case_exact else Kind.text
    for base, kind in (
        (ComplexAttribute, Kind.complex),
        (bool, Kind.boolean),
        (bytes, Kind.binary),
        (datetime, Kind.moment),
    ):
        if issubclass(target, base):
            return kind
    return Kind.exact if binding.case_exact else Kind.text


def _is_complex(binding: AttributeBinding) -> bool:
    return isclass(binding.field_type) and issubclass(binding.field_type, ComplexAttribute)


def _name(binding: AttributeBinding) -> str:
    """Return the name of an attribute in small letters, without the URN when it is the resource's own."""
    schema = str(getattr(binding.model, "__schema__", ""))
    name = binding.urn.removeprefix(f"{schema}:").lower()
    return name if schema.lower().startswith(KNOWN_SCHEMAS[0].lower()) else f"{schema.lower()}:{name}"


def _path(binding: AttributeBinding) -> tuple[str, ...]:
    """Return where an attribute is in the folded document."""
    schema = str(getattr(binding.model, "__schema__", ""))
    path = tuple(fold(name) for name in binding.urn.removeprefix(f"{schema}:").split("."))
    return path if schema.startswith(KNOWN_SCHEMAS[0]) else (fold(schema), *path)


@cache
def _names_of(model: type[Resource[Any]]) -> ScimFilter[Any]:
    """Return what resolves the names of a model; what it filters does not matter."""
    bound: Any = ScimFilter.__class_getitem__(model)
    names: ScimFilter[Any] = bound("id pr")
    return names


@cache
def _columns_of(resource_type: str) -> dict[str, tuple[Kind, Node]]:
    """Return the attributes that are columns, by their names in small letters."""
    columns = _user_columns() if resource_type == "User" else _group_columns()
    return {**columns, "meta.resourcetype": (Kind.exact, text_column(cast(literal(resource_type), Text)))}


def _user_columns() -> dict[str, tuple[Kind, Node]]:
    return {
        **_meta_columns(DirectoryUser),
        "id": (Kind.exact, text_column(DirectoryUser.user_id)),
        "username": (Kind.text, text_column(DirectoryUser.user_name_key)),
        "externalid": (Kind.exact, text_column(DirectoryUser.external_id)),
        "displayname": (Kind.text, text_column(DirectoryUser.display_name_key)),
        "active": (Kind.boolean, boolean_column(DirectoryUser.shown_active)),
    }


def _group_columns() -> dict[str, tuple[Kind, Node]]:
    return {
        **_meta_columns(DirectoryGroup),
        "id": (Kind.exact, text_column(DirectoryGroup.id)),
        "externalid": (Kind.exact, text_column(DirectoryGroup.external_id)),
        "displayname": (Kind.text, text_column(DirectoryGroup.display_name_key)),
    }


def _meta_columns(table: Any) -> dict[str, tuple[Kind, Node]]:
    version = literal('W/"', Text) + cast(table.version, Text) + literal('"', Text)
    return {
        "meta": (Kind.complex, Node(is_null=false(), present=true())),
        "meta.created": (Kind.moment, moment_column(table.created_at)),
        "meta.lastmodified": (Kind.moment, moment_column(table.last_modified_at)),
        "meta.version": (Kind.exact, text_column(version)),
    }
