"""PATCH of what no schema declares: extensions and attributes that an IdP sent, and that are kept for it.

The protocol library knows declared attributes only. What is kept beside them is
plain JSON, to which the operations are applied here (RFC 7644 §3.5.2).
"""

from dataclasses import dataclass
from typing import Any

from scim2_models import InvalidPathException, Path, Resource

# Levels that a path may lead down.
MAX_KEYS = 8
CORE = ("urn:ietf:params:scim:schemas:core:2.0:", "urn:ietf:params:scim:schemas:extension:enterprise:2.0:")


@dataclass(frozen=True)
class UndeclaredOperation:
    """One operation on an attribute that no schema declares. ``named`` tells that a path named it."""

    op: str
    path: str
    value: Any
    named: bool


def split_operations(
    model: type[Resource[Any]], operations: list[dict[str, Any]]
) -> tuple[list[dict[str, Any]], list[UndeclaredOperation]]:
    """Return the operations that the protocol library applies, and those on undeclared attributes."""
    declared: list[dict[str, Any]] = []
    undeclared: list[UndeclaredOperation] = []
    for operation in operations:
        op, path, value = operation["op"], operation.get("path"), operation["value"]
        if path and is_declared(model, path):
            declared.append(_without_needless_value(model, operation))
        elif path:
            undeclared.append(UndeclaredOperation(op, path, value, named=True))
        else:
            known = {name: item for name, item in value.items() if is_declared(model, name)}
            undeclared += [
                UndeclaredOperation(op, name, item, named=False)
                for name, item in value.items()
                if name not in known and not _is_python_name(model, name)
            ]
            if known:
                declared.append({**operation, "value": known})
    return declared, undeclared


def is_declared(model: type[Resource[Any]], text: str) -> bool:
    """Tell whether a schema declares what a path or key names; of what is no path at all the library says why."""
    if text.lower() == "schemas":
        return True
    try:
        path = _path(model, text)
        return path.model is not None or (path.resolve() is not None and not _is_python_name(model, text))
    except InvalidPathException:
        return not text.lower().startswith("urn:")


def _path(model: type[Resource[Any]], text: str) -> Any:
    bound: Any = Path.__class_getitem__(model)
    return bound(text)


def _is_python_name(model: type[Resource[Any]], text: str) -> bool:
    """Tell whether a path reaches its attribute by the name of a Python field, as in ``user_name``."""
    if "_" not in text:
        return False
    try:
        binding = _path(model, text).resolve()
    except InvalidPathException:
        return False
    return binding is not None and "_" in _without_filter(text) and "_" not in str(binding.urn).rpartition(":")[2]


def _without_filter(text: str) -> str:
    head, _, rest = text.partition("[")
    return (head + rest.rpartition("]")[2]).rpartition(":")[2]


def _without_needless_value(model: type[Resource[Any]], operation: dict[str, Any]) -> dict[str, Any]:
    """Return a removal as the library applies it.

    Entra names the entries to remove in the value; some write them as bare
    texts, and some repeat the value of what has only one.
    """
    if operation["op"] != "remove" or operation.get("value") is None:
        return operation
    target = _path(model, operation["path"])
    binding = target.resolve()
    if binding is None or not binding.is_multivalued or target.value_filter is not None or binding.sub_field_name:
        return {name: item for name, item in operation.items() if name != "value"}
    value = operation["value"]
    entries = value if isinstance(value, list) else [value]
    return {**operation, "value": [{"value": entry} if isinstance(entry, str) else entry for entry in entries]}


def apply_undeclared(resource: Resource[Any], operations: list[UndeclaredOperation]) -> bool:
    """Apply operations to what a resource keeps beside its declared attributes; tell whether that changed anything.

    :raises InvalidPathException: When a path names an attribute that neither a
        schema declares nor the IdP ever sent.
    """
    if not operations:
        return False
    kept: dict[str, Any] = resource.unknown_attributes
    before = repr(kept)
    for operation in operations:
        keys = _keys(type(resource), kept, operation)
        if len(keys) > MAX_KEYS:
            raise InvalidPathException(path="", detail=f"A path leads more than {MAX_KEYS} levels deep.")
        if operation.op == "remove" or operation.value is None:
            _remove(kept, keys, operation.value)
        else:
            _write(kept, keys, operation.value, is_add=operation.op == "add")
    _list_schemas(resource)
    return repr(kept) != before


def _keys(model: type[Resource[Any]], kept: dict[str, Any], operation: UndeclaredOperation) -> list[str]:
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
    keys = path.split(".")
    if operation.named or is_taken(model, keys[0]):
        raise InvalidPathException(path=path, detail=f"{path[:200]!r} is not an attribute of the schema.")
    return keys


def is_taken(model: type[Resource[Any]], name: str) -> bool:
    """Tell whether a declared attribute goes by a name, on the wire or here: nothing is kept beside it under that."""
    if name.lower() == "schemas":
        return True
    try:
        return _path(model, name).resolve() is not None
    except InvalidPathException:
        return True


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


def _remove(tree: dict[str, Any], keys: list[str], value: Any) -> None:
    """Remove what a path leads to, and the objects that became empty by it; of a list only the entries of the value."""
    key = _existing(tree, keys[0])
    if len(keys) == 1 and isinstance(tree.get(key), list) and value is not None:
        gone = value if isinstance(value, list) else [value]
        tree[key] = [entry for entry in tree[key] if entry not in gone]
        if not tree[key]:
            del tree[key]
    elif len(keys) == 1:
        tree.pop(key, None)
    elif isinstance(tree.get(key), dict):
        _remove(tree[key], keys[1:], value)
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
