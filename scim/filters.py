"""SCIM filters as SQL (RFC 7644 §3.4.2.2), never evaluated over rows."""

import re
from collections.abc import Callable
from typing import Any

from scim2_models import InvalidFilterException, ScimFilter
from scim2_models.path import (
    CompareOperator,
    Comparison,
    FilterVisitor,
    LogicalExpr,
    LogicalOperator,
    Not,
    ValuePath,
)
from sqlalchemy import ColumnElement, and_, exists, false, not_, or_

from folding import fold
from models import DirectoryGroup, DirectoryGroupMember, DirectoryUser, DirectoryUserEmail

USER_SCHEMA = "urn:ietf:params:scim:schemas:core:2.0:User"
GROUP_SCHEMA = "urn:ietf:params:scim:schemas:core:2.0:Group"

MAX_LENGTH = 4096
MAX_GROUPS = 50

Equality = Callable[[str], ColumnElement[bool]]


def _email_equals(value: str, of_type: str | None = None) -> ColumnElement[bool]:
    found = exists().where(
        DirectoryUserEmail.organization_id == DirectoryUser.organization_id,
        DirectoryUserEmail.user_id == DirectoryUser.user_id,
        DirectoryUserEmail.value_key == fold(value),
    )
    return found if of_type is None else found.where(DirectoryUserEmail.type_key == fold(of_type))


def _member_equals(value: str) -> ColumnElement[bool]:
    return exists().where(
        DirectoryGroupMember.organization_id == DirectoryGroup.organization_id,
        DirectoryGroupMember.group_id == DirectoryGroup.id,
        DirectoryGroupMember.user_id == value,
    )


# The attributes that IdPs look up, each on an index that leads with the organization.
USER_EQUALITIES: dict[str, Equality] = {
    "id": lambda value: DirectoryUser.user_id == value,
    "userName": lambda value: DirectoryUser.user_name_key == fold(value),
    "externalId": lambda value: DirectoryUser.external_id == value,
    "emails": _email_equals,
    "emails.value": _email_equals,
}
GROUP_EQUALITIES: dict[str, Equality] = {
    "id": lambda value: DirectoryGroup.id == value,
    "displayName": lambda value: DirectoryGroup.display_name_key == fold(value),
    "externalId": lambda value: DirectoryGroup.external_id == value,
    "members": _member_equals,
    "members.value": _member_equals,
}


class SqlFilter(FilterVisitor[ColumnElement[bool]]):
    """Compiles a filter that is bound to one model to a condition over the table of its resources.

    :raises InvalidFilterException: On a comparison that no index serves.
    """

    def __init__(self, scim_filter: ScimFilter[Any], schema: str, equalities: dict[str, Equality]) -> None:
        self.filter = scim_filter
        self.schema = schema
        self.equalities = {name.lower(): equality for name, equality in equalities.items()}
        self.served = ", ".join(equalities)

    def visit_comparison(self, node: Comparison) -> ColumnElement[bool]:
        """Compile ``attribute eq "value"``."""
        path = node.attr_path
        if self.filter.resolve_comparison(path, strict=False) is None:
            return false()  # another type's attribute, in a search over both (RFC 7644 §3.4.2.1)
        name = path.attr.lower() + (f".{path.sub_attr.lower()}" if path.sub_attr else "")
        foreign = path.uri is not None and path.uri.lower() != self.schema.lower()
        equality = None if foreign else self.equalities.get(name)
        if equality is None or node.op != CompareOperator.eq or not isinstance(node.value, str):
            raise self.unsupported()
        return equality(node.value)

    def visit_logical_expr(self, node: LogicalExpr) -> ColumnElement[bool]:
        """Compile ``and`` and ``or``."""
        join = and_ if node.op == LogicalOperator.and_ else or_
        return join(*(self.visit(term) for term in node.terms))

    def visit_not(self, node: Not) -> ColumnElement[bool]:
        """Compile ``not (…)``."""
        return not_(self.visit(node.expr))

    def visit_present(self, node: Any) -> ColumnElement[bool]:  # noqa: ARG002
        """Refuse ``pr``."""
        raise self.unsupported()

    def visit_value_path(self, node: ValuePath) -> ColumnElement[bool]:
        """Compile Entra's look-up ``emails[type eq "work"].value eq "…"``, an address of one type."""
        terms = node.val_filter.terms if isinstance(node.val_filter, LogicalExpr) else (node.val_filter,)
        wanted = {
            term.attr_path.attr.lower(): term.value
            for term in terms
            if isinstance(term, Comparison) and term.op == CompareOperator.eq and isinstance(term.value, str)
        }
        joined = not isinstance(node.val_filter, LogicalExpr) or node.val_filter.op == LogicalOperator.and_
        if (
            node.attr_path.attr.lower() != "emails"
            or not joined
            or wanted.keys() != {"type", "value"}
            or len(terms) != 2
        ):
            raise self.unsupported()
        return _email_equals(wanted["value"], wanted["type"])

    def compile(self) -> ColumnElement[bool]:
        """Return the condition of the whole filter."""
        return self.visit(self.filter.ast)

    def unsupported(self) -> InvalidFilterException:
        """Return the refusal of a filter, saying which ones are served."""
        return InvalidFilterException(
            detail=f"This filter is not supported. Compare with eq to a text: {self.served} (joined by and, or, not)."
        )


def compile_filter(scim_filter: ScimFilter[Any], resource_type: str) -> ColumnElement[bool]:
    """Return a filter as a condition over the table of a resource type.

    :raises InvalidFilterException: When the filter cannot be answered from an index.
    """
    schema, equalities = (USER_SCHEMA, USER_EQUALITIES) if resource_type == "User" else (GROUP_SCHEMA, GROUP_EQUALITIES)
    return SqlFilter(scim_filter, schema, equalities).compile()


SURROGATE_PAIR = re.compile(r"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}")
NO_CHARACTER = re.compile(r"\\u(0000|[dD][89a-fA-F][0-9a-fA-F]{2})|[\0\ud800-\udfff]")


def holds_no_character(expression: str) -> bool:
    """Tell whether a filter or path holds, as an escape or as it is, what no database stores: NUL or half a pair."""
    return NO_CHARACTER.search(SURROGATE_PAIR.sub("", expression)) is not None


def check_filter_size(expression: Any) -> None:
    """Refuse a filter that only costs time to parse, or compares with what cannot be stored.

    :raises InvalidFilterException: When it is too long, opens too many groups, or holds no proper text.
    """
    if not isinstance(expression, str):
        return
    if holds_no_character(expression):
        raise InvalidFilterException(detail="The filter holds a character that cannot be compared.")
    if len(expression) > MAX_LENGTH or expression.count("(") + expression.count("[") > MAX_GROUPS:
        raise InvalidFilterException(detail=f"The filter is longer than {MAX_LENGTH} characters, or nested too deeply.")
