"""Request bodies: strict JSON, and the deviations of known IdPs mended before the protocol is applied."""

import json
from typing import Any

from scim2_models import InvalidSyntaxException, MutabilityException

# Deeper than any SCIM resource, and far from the limit of the parser's recursion.
MAX_DEPTH = 32


def decode(body: bytes) -> Any:
    """Return the JSON value of a body.

    :raises InvalidSyntaxException: When it is not JSON as RFC 8259 means it, or
        holds what cannot be stored or compared: duplicate keys, NaN, lone
        surrogates, NUL characters, deep nesting.
    """
    try:
        value = json.loads(body, object_pairs_hook=_object, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise InvalidSyntaxException(detail=f"The body is not valid JSON: {_reason(error)}") from error
    _check(value, MAX_DEPTH)
    return value


def _reason(error: Exception) -> str:
    """Return why a body is no JSON, without quoting the body."""
    if isinstance(error, json.JSONDecodeError):
        return f"{error.msg} at line {error.lineno}, column {error.colno}."
    if isinstance(error, UnicodeDecodeError):
        return "it is not encoded in UTF-8."
    if isinstance(error, RecursionError):
        return "it is nested too deeply."
    return str(error)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise ValueError("a key appears twice in one object.")
    return value


def _refuse_constant(_name: str) -> Any:
    raise ValueError("NaN and Infinity are no JSON numbers.")


def _check(value: Any, depth: int) -> None:
    if depth == 0:
        raise InvalidSyntaxException(detail=f"The body is nested more than {MAX_DEPTH} levels deep.")
    if isinstance(value, str):
        _check_text(value)
    elif isinstance(value, float) and value in (float("inf"), float("-inf")):
        raise InvalidSyntaxException(detail="The body holds a number that is too large.")
    elif isinstance(value, dict):
        for key, item in value.items():
            _check_text(key)
            _check(item, depth - 1)
    elif isinstance(value, list):
        for item in value:
            _check(item, depth - 1)


def _check_text(text: str) -> None:
    if "\0" in text:
        raise InvalidSyntaxException(detail="The body holds a NUL character, which cannot be stored.")
    if not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
        raise InvalidSyntaxException(detail="The body holds half of a surrogate pair, which is no character.")


def mend_resource(payload: Any) -> Any:
    """Return a resource payload with Entra's bare manager id put where the schema has it, and nulls left out."""
    if not isinstance(payload, dict):
        return payload
    mended = {key: value for key, value in payload.items() if value is not None or key.lower() == "externalid"}
    for key, value in mended.items():
        if key.lower() == ENTERPRISE and isinstance(value, dict):
            mended[key] = {name: _manager(name, item) for name, item in value.items()}
    return mended


ENTERPRISE = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:user"


def _manager(name: str, value: Any) -> Any:
    """Return the manager as a complex value; Entra sends the bare id, or an array of one."""
    if name.lower().split(":")[-1] != "manager":
        return value
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if isinstance(value, str):
        return {"value": value} if value else None
    if isinstance(value, dict) and value.get("value") == "":
        return None
    return value


def mend_patch(payload: Any, resource_id: str) -> Any:
    """Return a PATCH payload without the deviations that mean nothing.

    Okta repeats the ``id`` of the resource in a value without a path; Entra
    adds ``"$ref": null`` to members, and names the manager by a bare id.
    """
    if not isinstance(payload, dict):
        return payload
    key = next((name for name in payload if name.lower() == "operations"), None)
    operations = payload.get(key) if key is not None else None
    if not isinstance(operations, list):
        return payload
    return {**payload, key: [_mend_operation(operation, resource_id) for operation in operations]}


def _mend_operation(operation: Any, resource_id: str) -> Any:
    if not isinstance(operation, dict):
        return operation
    mended = {name: value for name, value in operation.items() if name.lower() in ("op", "path", "value")}
    path, value = mended.get("path"), mended.get("value")
    if isinstance(path, str) and path.lower().endswith((":manager", ":manager.value")):
        mended["path"] = path[: -len(".value")] if path.lower().endswith(".value") else path
        mended["value"] = _manager("manager", value)
        if mended["value"] is None:
            mended = {"op": "remove", "path": mended["path"]}
    elif isinstance(value, list):
        mended["value"] = [_without_nulls(item) for item in value]
    elif not path and isinstance(value, dict):
        mended["value"] = {
            name: _manager(name, item) for name, item in value.items() if not _repeats_id(name, item, resource_id)
        }
    return mended


def _without_nulls(item: Any) -> Any:
    return {name: value for name, value in item.items() if value is not None} if isinstance(item, dict) else item


def _repeats_id(name: str, value: Any, resource_id: str) -> bool:
    """Tell whether a member is the ``id`` of the resource itself.

    :raises MutabilityException: When it is the id of another one.
    """
    if name.lower() != "id":
        return False
    if value != resource_id:
        raise MutabilityException(attribute="id", detail="The id of a resource cannot be changed.")
    return True
