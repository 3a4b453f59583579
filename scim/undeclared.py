"""PATCH of what no schema declares: extensions and attributes that an IdP sent, and that are kept for it.

The protocol library knows declared attributes only. What is kept beside them is
plain JSON, to which the operations are applied here (RFC 7644 §3.5.2).
"""

from dataclasses import dataclass
from typing import Any

from scim2_models import InvalidPathException, InvalidValueException, Path, Resource

CORE = ("urn:ietf:params:scim:schemas:core:2.0:", "urn:ietf:params:scim:schemas:extension:enterprise:2.0:")


@dataclass(frozen=True)
class UndeclaredOperation:
    """One operation on an attribute that no schema declares. ``named`` tells that a path named it."""

    op: str
    path: str
    value: Any
    named: bool


def split_operations(model: type[Resource[Any]], operations: list[Any]) -> tuple[list[Any], list[UndeclaredOperation]]:
    """Return the operations that the protocol library applies, and those on undeclared attributes."""
    declared: list[Any] = []
    undeclared: list[UndeclaredOperation] = []
    for operation in operations:
        op = operation.get("op") if isinstance(operation, dict) else None
        path, value = (operation.get("path"), operation.get("value")) if op is not None else (None, None)
        if not isinstance(op, str) or op.lower() not in ("add", "replace", "remove"):
            declared.append(operation)
        elif isinstance(path, str) and path:
            if _is_declared(model, path):
                declared.append(operation)
            else:
                undeclared.append(UndeclaredOperation(op.lower(), path, value, named=True))
        elif isinstance(value, dict):
            known = {name: item for name, item in value.items() if _is_declared(model, name)}
            undeclared += [
                UndeclaredOperation(op.lower(), name, item, named=False)
                for name, item in value.items()
                if name not in known
            ]
            if known:
                declared.append({**operation, "value": known})
        else:
            declared.append(operation)
    return declared, undeclared


def _is_declared(model: type[Resource[Any]], text: str) -> bool:
    """Tell whether a schema declares what a path or key names; of what is no path at all the library says why."""
    if text.lower() == "schemas":
        return True
    bound: Any = Path.__class_getitem__(model)
    try:
        path = bound(text)
        return path.model is not None or path.resolve() is not None
    except InvalidPathException:
        return not text.lower().startswith("urn:")


def apply_undeclared(resource: Resource[Any], operations: list[UndeclaredOperation]) -> bool:
    """Apply operations to what a resource keeps beside its declared attributes; tell whether that changed anything.

    :raises InvalidPathException: When a path names an attribute that neither a
        schema declares nor the IdP ever sent.
    :raises InvalidValueException: When an operation has no value to write.
    """
    kept: dict[str, Any] = resource.unknown_attributes
    before = repr(kept)
    for operation in operations:
        keys = _keys(kept, operation)
        if operation.op == "remove" or operation.value is None:
            if operation.op == "add":
                raise InvalidValueException(detail="An add operation needs a value.")
            _remove(kept, keys)
        else:
            _write(kept, keys, operation.value, is_add=operation.op == "add")
    _list_schemas(resource)
    return repr(kept) != before


def _keys(kept: dict[str, Any], operation: UndeclaredOperation) -> list[str]:
    """Return the keys that lead to the target of an operation, from the top.

    :raises InvalidPathException: When there can be no such target.
    """
    path = operation.path
    if "[" in path or path.lower().startswith(CORE):
        raise InvalidPathException(path=path, detail=f"{path[:200]!r} is not an attribute of the schema.")
    for key in kept:
        if path.lower() == key.lower():
            return [key]
        if path.lower().startswith((f"{key.lower()}:", f"{key.lower()}.")):
            return [key, *path[len(key) + 1 :].split(".")]
    if path.lower().startswith("urn:"):
        schema, _, rest = path.rpartition(":")
        return [path] if isinstance(operation.value, dict) else [schema, *rest.split(".")]
    if operation.named:
        raise InvalidPathException(path=path, detail=f"{path[:200]!r} is not an attribute of the schema.")
    return path.split(".")


def _write(tree: dict[str, Any], keys: list[str], value: Any, *, is_add: bool) -> None:
    """Write a value at the end of a path: objects are merged, and lists grow by an add."""
    key = _existing(tree, keys[0])
    if len(keys) > 1:
        if not isinstance(tree.get(key), dict):
            tree[key] = {}
        _write(tree[key], keys[1:], value, is_add=is_add)
    elif isinstance(tree.get(key), dict) and isinstance(value, dict):
        for name, item in value.items():
            _write(tree[key], [name], item, is_add=is_add)
    elif is_add and isinstance(tree.get(key), list):
        entries = value if isinstance(value, list) else [value]
        tree[key] = [*tree[key], *(entry for entry in entries if entry not in tree[key])]
    else:
        tree[key] = value


def _remove(tree: dict[str, Any], keys: list[str]) -> None:
    """Remove what a path leads to, and the objects that became empty by it."""
    key = _existing(tree, keys[0])
    if len(keys) == 1:
        tree.pop(key, None)
    elif isinstance(tree.get(key), dict):
        _remove(tree[key], keys[1:])
        if not tree[key]:
            del tree[key]


def _existing(tree: dict[str, Any], name: str) -> str:
    """Return a key as it stands in the tree: attribute names ignore case (RFC 7643 §2.1)."""
    return next((key for key in tree if key.lower() == name.lower()), name)


def _list_schemas(resource: Resource[Any]) -> None:
    """Name the schemas of the kept extensions in ``schemas`` (RFC 7643 §3)."""
    kept = [key for key in resource.unknown_attributes if key.lower().startswith("urn:")]
    missing = [key for key in kept if key not in resource.schemas]
    if missing:
        resource.schemas = [*resource.schemas, *missing]
