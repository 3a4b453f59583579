"""Request bodies: strict JSON, and the deviations of known IdPs mended before the protocol is applied."""

import json
import math
from typing import Any

from scim2_models import InvalidSyntaxException

# Deeper than any SCIM resource, and far from the limit of the parser's recursion.
MAX_DEPTH = 32
# More than any counter needs, and fewer than a number that takes long to read.
MAX_DIGITS = 100

ENTERPRISE = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:user"
READ_ONLY = ("id", "meta", "groups")
# Multi-valued attributes whose entries admin-written templates give as bare texts.
OFTEN_BARE = ("roles", "entitlements")
# What is mended where it is no attribute of an extension.
MENDED = frozenset({*OFTEN_BARE, "manager", "photos"})
# Of what almost every body holds, what is right as it is, if it says anything; the rest is looked at more closely.
AS_SENT = frozenset(
    {"active", "displayName", "emails", "externalId", "locale", "name", "password", "phoneNumbers", "title", "userName"}
)
# References, which a template that has nothing to say fills with an empty text.
OFTEN_EMPTY = ("profileurl", "externalid")


# -- JSON ----------------------------------------------------------------------


def decode(body: bytes) -> Any:
    """Return the JSON value of a body.

    :raises InvalidSyntaxException: When it is not JSON as RFC 8259 means it, or
        holds what cannot be stored or compared: duplicate keys, NaN, lone
        surrogates, NUL characters, deep nesting.
    """
    try:
        text = body.decode("utf-8-sig")  # RFC 8259 §8.1: always UTF-8, and a byte order mark may be ignored
        if text.startswith("\ufeff"):  # a second one is no JSON; the decoder alone would say so in other words
            json.loads(text)
        value = _DECODER.decode(text)
    except (ValueError, RecursionError) as error:
        raise InvalidSyntaxException(detail=f"The body is not valid JSON: {_reason(error)}") from error
    if text.count("{") + text.count("[") >= MAX_DEPTH:
        _check_depth(value)
    if "\\u" in text:  # only as escapes can a JSON text in UTF-8 hold what is no character
        _check_texts(value)
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


def _integer(digits: str) -> int:
    if len(digits) > MAX_DIGITS:
        raise ValueError(f"a number has more than {MAX_DIGITS} digits.")
    return int(digits)


def _number(digits: str) -> float:
    number = float(digits)
    if math.isinf(number):
        raise InvalidSyntaxException(detail="The body holds a number that is too large.")
    return number


# One is kept: ``json.loads`` makes one for each text.
_DECODER = json.JSONDecoder(
    object_pairs_hook=_object, parse_constant=_refuse_constant, parse_int=_integer, parse_float=_number
)


def _check_depth(value: Any) -> None:
    level = [value] if value.__class__ in (dict, list) else []
    for _ in range(MAX_DEPTH - 1):
        inner = (held.values() if held.__class__ is dict else held for held in level)
        level = [item for items in inner for item in items if item.__class__ in (dict, list) and item]
        if not level:
            return
    raise InvalidSyntaxException(detail=f"The body is nested more than {MAX_DEPTH} levels deep.")


def _check_texts(value: Any) -> None:
    if isinstance(value, str):
        _check_text(value)
    elif isinstance(value, dict):
        for key, item in value.items():
            _check_text(key)
            _check_texts(item)
    elif isinstance(value, list):
        for item in value:
            _check_texts(item)


def _check_text(text: str) -> None:
    if "\0" in text:
        raise InvalidSyntaxException(detail="The body holds a NUL character, which cannot be stored.")
    if not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
        raise InvalidSyntaxException(detail="The body holds half of a surrogate pair, which is no character.")


# -- Whole resources --------------------------------------------------------------


def mend_resource(payload: Any, schema: str) -> Any:
    """Return a resource payload as the schema has it.

    What is read-only or null says nothing and is left out. Templates name old
    schemas only, write roles as bare texts, and references as empty ones.
    """
    if not isinstance(payload, dict):
        return payload
    mended: dict[str, Any] = {}
    schemas = None
    for key, value in payload.items():
        if value and key in AS_SENT:
            mended[key] = value
            continue
        name = key.lower()
        # What says nothing is left out; but a null ``externalId`` does: the IdP gives its link up.
        is_silent = (value is None and name != "externalid") or (value == "" and name in OFTEN_EMPTY)
        if not is_silent and name not in READ_ONLY:
            mended[key] = mend_value(key, value) if ":" in name or name in MENDED else value
            schemas = key if schemas is None and name == "schemas" else schemas
    if schemas is not None and isinstance(mended[schemas], list) and schema not in mended[schemas]:
        mended[schemas] = [schema, *mended[schemas]]
    return mended


def mend_value(key: str, value: Any) -> Any:
    """Return the value of an attribute as the schema has it."""
    name = key.lower()
    if name == ENTERPRISE and isinstance(value, dict):
        return {member: mend_value(member, item) for member, item in value.items()}
    if name.rpartition(":")[2] == "manager":
        return mend_manager(value)
    if name in OFTEN_BARE:
        entries = value if isinstance(value, list) else [value]
        return [{"value": entry} if isinstance(entry, str) else entry for entry in entries]
    if name == "photos" and isinstance(value, list):
        return [entry for entry in value if not (isinstance(entry, dict) and entry.get("value") == "")]
    return value


def mend_manager(value: Any) -> Any:
    """Return the manager as a complex value; Entra sends the bare id, or an array of one. Empty means none."""
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if isinstance(value, str):
        return {"value": value} if value else None
    if isinstance(value, dict) and "value" in value and value["value"] in ("", None):
        return None
    return value
