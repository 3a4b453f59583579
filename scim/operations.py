"""The operations of a PATCH, read strictly in their structure, and mended where IdPs write something of their own."""

import re
from collections.abc import Iterator
from typing import Any

from scim2_models import (
    InvalidPathException,
    InvalidSyntaxException,
    InvalidValueException,
    MutabilityException,
    NoTargetException,
)

from scim.bodies import ENTERPRISE, OFTEN_EMPTY, READ_ONLY, mend_manager, mend_value
from scim.filters import holds_no_character
from scim.provider import EnterpriseUser, Group, User

# Each is applied to a copy of the resource; operations on the members of a group are not counted.
MAX_OPERATIONS = 1000
# A path is parsed, which costs time by its length: one of them, and all of a request that are not of the plainest form.
MAX_PATH = 4096
MAX_PATHS = 65_536
PLAIN_PATH = re.compile(r'[\w.:$-]*|members\[value eq "[^"\\]*"\]', re.IGNORECASE)
OPS = ("add", "replace", "remove")
KNOWN_MEMBERS = frozenset({"op", "path", "value"})
PLAIN_MEMBERS = frozenset({"schemas", "Operations"})
# Where most operations lead, in the spelling of the schema: there is nothing to be mended in them.
PLAIN_PATHS = frozenset(
    {"active", "userName", "displayName", "title", "name.givenName", "name.familyName", "name.formatted"}
)
MANAGER = f"{EnterpriseUser.__schema__}:manager"
CORE = (str(User.__schema__).lower(), str(Group.__schema__).lower())
# Schemas after which some write a dot before the attribute, as the attribute mapping does.
DOTTED = (ENTERPRISE, *CORE)

Operation = dict[str, Any]


def read_operations(payload: Any, resource_id: str) -> list[Operation]:
    """Return the operations of a PATCH body as the schema has them: ``op`` in lower case, ``path``, ``value``.

    A value without a path may hold what only the server gives: it is left out.
    Okta repeats the ``id`` there. What a key with a filter names becomes an
    operation of its own, and setting something to null removes it.

    :raises InvalidSyntaxException: When the body does not have the structure of a PATCH.
    :raises InvalidValueException: When an operation is none, or lacks its value.
    :raises InvalidPathException: When a path holds what no text can hold.
    :raises NoTargetException: When a removal does not say of what.
    :raises MutabilityException: When a value without a path gives another ``id``.
    """
    sent = None
    if isinstance(payload, dict):
        is_plain = payload.keys() <= PLAIN_MEMBERS
        sent = payload.get("Operations") if is_plain else next(_values(payload, "operations"), None)
    if not isinstance(sent, list):
        raise InvalidSyntaxException(detail="The body of a PATCH is an object with an array of Operations.")
    operations: list[Operation] = []
    for index, operation in enumerate(sent):
        operations += _mended(_checked(operation, f"Operations[{index}]"), resource_id)
    paths = [operation["path"] for operation in operations if operation.get("path")]
    if paths:
        _check_paths(paths)
    return operations


def _values(members: Operation, name: str) -> Iterator[Any]:
    """Yield what an object has under a name in lower case, however it is spelt."""
    return (value for key, value in members.items() if key.lower() == name)


def _check_paths(paths: list[str]) -> None:
    """Refuse paths that only cost time to parse.

    :raises InvalidPathException: When one of them, or all together, are too long.
    """
    filtered = [len(path) for path in paths if not PLAIN_PATH.fullmatch(path)]
    if max(map(len, paths), default=0) > MAX_PATH or sum(filtered) > MAX_PATHS:
        raise InvalidPathException(
            path="",
            detail=f"A path is longer than {MAX_PATH} characters, or the paths with filters are together longer than "
            f"{MAX_PATHS}. Send several requests.",
        )


def check_number(operations: list[Operation]) -> None:
    """Refuse more operations than one request may cost.

    :raises InvalidValueException: When there are more than ``MAX_OPERATIONS``.
    """
    if len(operations) > MAX_OPERATIONS:
        raise InvalidValueException(detail=f"A PATCH may hold {MAX_OPERATIONS} operations. Send several requests.")


def _checked(operation: Any, label: str) -> Operation:
    """Return an operation with the members that the protocol knows, whatever their case."""
    if not isinstance(operation, dict):
        raise InvalidSyntaxException(detail=f"{label} must be an object with op, path and value.")
    known = operation
    if not operation.keys() <= KNOWN_MEMBERS:
        known = {name.lower(): value for name, value in operation.items() if name.lower() in KNOWN_MEMBERS}
    op, path, value = known.get("op"), known.get("path") or "", known.get("value")
    if not isinstance(op, str):
        raise InvalidSyntaxException(detail=f"{label} needs an op: add, replace or remove.")
    op = op.lower()
    if op not in OPS:
        raise InvalidValueException(detail=f"{label} has an unknown op. Use add, replace or remove.")
    if not isinstance(path, str):
        raise InvalidPathException(path="", detail=f"{label} has a path that is no text.")
    if path and path not in PLAIN_PATHS and holds_no_character(path):
        raise InvalidPathException(path="", detail=f"The path of {label} holds a character that cannot be compared.")
    if op != "remove" and ("value" not in known or (op == "add" and value is None)):
        raise InvalidValueException(detail=f"{label} needs a value to {op}.")
    path = path.strip()
    if not path and op == "remove":
        raise NoTargetException(detail=f"{label} needs a path that says what to remove.")
    if not path and not isinstance(value, dict):
        raise InvalidValueException(detail=f"{label} has no path, so its value must be an object of attributes.")
    return {"op": op, "path": path, "value": value}


def _mended(operation: Operation, resource_id: str) -> list[Operation]:
    op, path, value = operation["op"], operation["path"], operation["value"]
    if path:
        is_plain = path in PLAIN_PATHS and value.__class__ in (str, bool) and op != "remove"
        return [operation if is_plain else _mended_at(op, _mended_path(path), value)]
    kept: dict[str, Any] = {}
    alone: list[Operation] = []
    for name, item in value.items():
        if name in PLAIN_PATHS:
            kept[name] = item
            continue
        _check_paths([name])
        key = _mended_path(name)
        if _is_silent(key, item, resource_id):
            continue
        if "[" in key or key.startswith(MANAGER):
            if item is not None or op == "replace":
                alone.append(_mended_at(op, key, item))
        else:
            kept[key] = None if _says_none(key, item) else mend_value(key, item)
    return [{"op": op, "value": kept}, *alone] if kept else alone


def _mended_path(path: str) -> str:
    """Return a path as the schema has it: a colon after the schema, and the manager in its extension."""
    lower = path.lower()
    for schema in DOTTED:
        if lower.startswith(f"{schema}."):
            path = f"{path[: len(schema)]}:{path[len(schema) + 1 :]}"
    lower = path.lower()
    if lower in ("manager", "manager.value", MANAGER.lower(), f"{MANAGER.lower()}.value"):
        return MANAGER
    return path


def _mended_at(op: str, path: str, value: Any) -> Operation:
    """Return an operation on a path; one that sets it to nothing removes it."""
    if path == MANAGER:
        value = None if op == "remove" else mend_manager(value)
        if isinstance(value, dict):  # its name is the server's to give
            value = {name: item for name, item in value.items() if name.lower() != "displayname" and item is not None}
    elif value is not None:
        value = mend_value(path, [_without_nulls(item) for item in value] if isinstance(value, list) else value)
    if op == "remove" or value is None or _says_none(path, value):
        # An entry without its value says nothing: it goes as a whole.
        target = path[: -len(".value")] if path.lower().endswith("].value") else path
        return {"op": "remove", "path": target, "value": value if op == "remove" else None}
    return {"op": op, "path": path, "value": value}


def _says_none(path: str, value: Any) -> bool:
    """Tell whether an empty text stands for nothing: templates fill references with it."""
    return value == "" and path.lower().rpartition(":")[2] in OFTEN_EMPTY


def _without_nulls(item: Any) -> Any:
    return {name: value for name, value in item.items() if value is not None} if isinstance(item, dict) else item


def _is_silent(key: str, value: Any, resource_id: str) -> bool:
    """Tell whether a member of a value without a path is one that only the server gives, or no attribute's name."""
    name = key.lower()
    for schema in CORE:
        name = name.removeprefix(f"{schema}:")
    head = name.partition(".")[0].partition("[")[0]
    if name == "id" and value != resource_id:
        raise MutabilityException(attribute="id", detail="The id of a resource cannot be changed. Leave it out.")
    return head in READ_ONLY or head.startswith("__")
