"""What a request says about the members of a group, as rows that come and go: none of the others is read.

A PATCH may change the attributes of a group and its members, in several
operations. Neither depends on the other, so the members are taken out of it.
"""

import re
from typing import Any

from scim2_models import InvalidFilterException, InvalidPathException, InvalidValueException, Path, ScimProvider
from scim2_models.path import CompareOperator, Comparison, FilterNode, LogicalExpr, LogicalOperator

from directory.group_membership import MemberChange, Members
from scim.provider import Group
from scim.refusals import in_other_words

# What Okta and Entra send, read without a parser.
ONE_MEMBER = re.compile(r'members\[value eq "([^"\\]*)"\]', re.IGNORECASE)
MEMBERS = ("members", f"{Group.__schema__}:members".lower())


def take_members(payload: dict[str, Any]) -> tuple[dict[str, Any], MemberChange]:
    """Return the body of a group without its members, and these as the whole new list of them.

    :raises InvalidValueException: When something in the list is no member.
    """
    rest = {name: value for name, value in payload.items() if name.lower() not in MEMBERS}
    sent = next((value for name, value in payload.items() if name.lower() in MEMBERS), None)
    return rest, MemberChange(read_members(sent), replaces=True)


def read_members(sent: Any, *, leaving: bool = False) -> Members:
    """Return the members of a list, each once, with the names that the IdP wrote beside them.

    :raises InvalidValueException: When something in it is no member: not an
        object with a ``value``, or a group, unless it is only to leave.
    """
    members: dict[str, str | None] = {}
    entries = sent if isinstance(sent, list) else [] if sent is None else [sent]
    for entry in entries:
        user_id, display = _read_member(entry, leaving=leaving)
        members.setdefault(user_id, display)
    return members


def _read_member(entry: Any, *, leaving: bool) -> tuple[str, str | None]:
    said = {"value": entry} if isinstance(entry, str) else entry
    if not isinstance(said, dict):
        raise InvalidValueException(detail="A member is an object with a value: the id of a user.")
    said = {name.lower(): value for name, value in said.items()}
    user_id, kind, display = said.get("value"), said.get("type"), said.get("display")
    if not isinstance(user_id, str) or not user_id:
        raise InvalidValueException(detail="Each member needs a value: the id of a user, as a text.")
    if not leaving and (user_id.startswith("grp_") or (isinstance(kind, str) and kind.lower() == "group")):
        raise InvalidValueException(
            detail="A group cannot be a member of a group here. Send the people of the inner group as members instead."
        )
    return user_id, display if isinstance(display, str) and display else None


class MemberOperations:
    """Reads the operations of a PATCH on members, in their order, into who joins and who leaves in the end."""

    def __init__(self, provider: ScimProvider) -> None:
        self.provider = provider
        self.added: dict[str, str | None] = {}
        self.removed: set[str] = set()
        self.replaces = False

    def take(self, operations: list[Any]) -> list[Any]:
        """Read the operations on members, and return the others."""
        return [rest for rest in map(self._take, operations) if rest is not None]

    def change(self) -> MemberChange:
        """Return who joins and who leaves."""
        return MemberChange(self.added, self.removed, replaces=self.replaces, warns=True)

    def _take(self, operation: Any) -> Any:
        """Read one operation, and return what is left of it: all of it, a part, or None."""
        op, path, value = operation["op"], operation.get("path"), operation.get("value")
        if path:
            head = path.partition("[")[0].strip().lower()
            if head.rpartition(":")[2].partition(".")[0].partition(" ")[0] != "members":
                return operation
            self._apply(op, path, value)
            return None
        if not isinstance(value, dict):
            return operation
        rest = {name: item for name, item in value.items() if name.lower() not in MEMBERS}
        for name in value.keys() - rest.keys():
            self._apply(op, name, value[name])
        return {**operation, "value": rest} if rest or not value else None

    def _apply(self, op: str, path: str, value: Any) -> None:
        selected = ONE_MEMBER.fullmatch(path)
        if selected is not None and op == "remove":
            self._remove({selected[1]: None})
        elif path.lower() not in MEMBERS:
            self._apply_to_selected(op, path)
        elif op == "add":
            self._add(read_members(value))
        elif op == "replace":
            self.replaces, self.added, self.removed = True, dict(read_members(value)), set()
        elif value is None:
            self.replaces, self.added, self.removed = True, {}, set()
        else:
            self._remove(read_members(value, leaving=True))

    def _apply_to_selected(self, op: str, path: str) -> None:
        """Remove the members whom a path selects.

        :raises InvalidPathException: When the operation would change a part of a member.
        """
        bound: Any = Path.__class_getitem__(Group)
        with self.provider:
            try:
                target = bound(path)
            except InvalidPathException as error:
                raise in_other_words(error) from error
            binding = target.resolve()
        if op != "remove" or binding is None or binding.sub_field_name is not None or target.value_filter is None:
            raise InvalidPathException(
                path=path,
                detail="Members are changed as a whole: add them with path members, "
                'remove them with members[value eq "…"].',
            )
        self._remove(dict.fromkeys(_selected(target.value_filter)))

    def _add(self, members: Members) -> None:
        self.removed.difference_update(members)
        self.added = {**members, **self.added}

    def _remove(self, members: Members) -> None:
        self.removed.update(members)
        self.added = {user_id: display for user_id, display in self.added.items() if user_id not in members}


def _selected(node: FilterNode) -> list[str]:
    """Return the ids that a filter over members compares with.

    :raises InvalidFilterException: When it selects members by anything else.
    """
    if isinstance(node, LogicalExpr) and node.op == LogicalOperator.or_:
        return [user_id for term in node.terms for user_id in _selected(term)]
    if (
        isinstance(node, Comparison)
        and node.op == CompareOperator.eq
        and str(node.attr_path).lower() == "value"
        and isinstance(node.value, str)
    ):
        return [node.value]
    raise InvalidFilterException(detail='Members are selected by their ids: members[value eq "…"], joined by or.')
