"""Where a mapping may write: a list of allowed destinations, and what each of them accepts."""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from directory.sizes import MAX_INTEGER_BITS, Oversize, plain_copy, text_bytes
from directory.syntax import SyntaxProblem, closest

PROFILE_FIELDS = ("email_address", "username", "first_name", "last_name", "external_id", "active")
ORGANIZATION_ROLE = "organization_role"
PUBLIC_METADATA = "public_metadata"
ALLOWED = (*PROFILE_FIELDS, ORGANIZATION_ROLE, f"{PUBLIC_METADATA}.<key>")

MAX_TEXT_BYTES = 4096
MAX_EMAIL_LENGTH = 254  # RFC 5321 section 4.5.3.1, erratum 1690
MAX_ROLE_LENGTH = 128
MAX_METADATA_BYTES = 16 * 1024
MAX_METADATA_DEPTH = 5

_METADATA_KEY = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}")
_CAMEL_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_EMAIL = re.compile(r"[^\s@\x00-\x1f\x7f]+@[^\s@\x00-\x1f\x7f]+")

NICKNAMES = {
    "email": "email_address",
    "e_mail": "email_address",
    "mail": "email_address",
    "given_name": "first_name",
    "family_name": "last_name",
    "surname": "last_name",
    "login": "username",
    "user_name": "username",
    "role": ORGANIZATION_ROLE,
    "roles": ORGANIZATION_ROLE,
    "org_role": ORGANIZATION_ROLE,
    "status": "active",
    "metadata": f"{PUBLIC_METADATA}.<key>",
    PUBLIC_METADATA: f"{PUBLIC_METADATA}.<key>",
}


class Unusable(ValueError):
    """A value that a destination does not accept; its text is a sentence for the IT admin, without the value."""


@dataclass(frozen=True, slots=True)
class Destination:
    """A place that a mapping may write to. ``name`` is as it is written in a mapping.

    ``is_role`` tells whether values are candidates for the role; ``metadata_keys``
    are the keys below ``public_metadata``, from the outside in, and empty for
    any other destination.
    """

    name: str
    is_role: bool = field(init=False, compare=False)
    metadata_keys: tuple[str, ...] = field(init=False, compare=False)

    def __post_init__(self) -> None:
        head, *keys = self.name.split(".")
        object.__setattr__(self, "is_role", self.name == ORGANIZATION_ROLE)
        object.__setattr__(self, "metadata_keys", tuple(keys) if head == PUBLIC_METADATA else ())


def find_destination(text: str) -> Destination | None:
    """Return the destination of a name, or None when a mapping may not write there."""
    if text in PROFILE_FIELDS or text == ORGANIZATION_ROLE:
        return Destination(text)
    head, *keys = text.split(".")
    if head == PUBLIC_METADATA and 1 <= len(keys) <= MAX_METADATA_DEPTH and all(map(_METADATA_KEY.fullmatch, keys)):
        return Destination(text)
    return None


def parse_destination(text: str) -> Destination:
    """Read the name of a destination.

    :raises SyntaxProblem: When there is none of that name; it suggests the nearest.
    """
    destination = find_destination(text)
    if destination is not None:
        return destination
    if text.startswith(f"{PUBLIC_METADATA}."):
        reason = (
            f"{text!r} is no place in public_metadata: its keys begin with a letter, contain letters, digits, _ and -, "
            f"and are at most {MAX_METADATA_DEPTH} deep."
        )
        raise SyntaxProblem(reason, column=len(PUBLIC_METADATA) + 2)
    suggestion = suggest_destination(text)
    hint = f"Did you mean {suggestion!r}?" if suggestion else f"There are: {', '.join(ALLOWED)}."
    raise SyntaxProblem(f"There is no destination {text!r}. {hint}", column=1, suggestion=suggestion)


def suggest_destination(text: str) -> str | None:
    """Return the destination that a misspelt one is nearest to, or None."""
    word = _CAMEL_HUMP.sub("_", text.strip()).lower().replace("-", "_")
    head, dot, rest = word.partition(".")
    names = (*PROFILE_FIELDS, ORGANIZATION_ROLE, PUBLIC_METADATA)
    if not dot:
        found = closest(word, names, NICKNAMES)
        return f"{PUBLIC_METADATA}.<key>" if found == PUBLIC_METADATA else found
    in_metadata = find_destination(f"{PUBLIC_METADATA}.{rest}") is not None
    if in_metadata and (head.endswith("data") or closest(head, (PUBLIC_METADATA,)) is not None):
        return f"{PUBLIC_METADATA}.{rest}"
    if head in ("user", "profile") and "." not in rest:  # as the profile is called in IdPs
        return closest(rest, names, NICKNAMES) or (f"{PUBLIC_METADATA}.{rest}" if in_metadata else None)
    return None


# -- What a destination accepts ----------------------------------------------------


def as_text(value: Any) -> str | None:
    """Return a value as text, as it was sent; None for an empty one.

    :raises Unusable: For a list, an object, or a text that is too long.
    """
    text = value if value.__class__ is str else _other_text(value)
    if text is None:
        return None
    if len(text) > MAX_TEXT_BYTES // 4 and text_bytes(text, MAX_TEXT_BYTES) > MAX_TEXT_BYTES:
        raise Unusable(f"the value is longer than {MAX_TEXT_BYTES} bytes")
    return text if text.strip() else None


def _other_text(value: Any) -> str | None:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return _number_text(value)
    if value is None or isinstance(value, str):
        return value
    kind = "a list" if isinstance(value, list) else "an object"
    raise Unusable(f"the value is {kind}, but text is needed: let the path end in one attribute, such as [0].value")


def _number_text(value: int | float) -> str:
    if isinstance(value, float) and not math.isfinite(value):
        raise Unusable("the value is no finite number")
    if isinstance(value, int) and value.bit_length() > MAX_INTEGER_BITS:
        raise Unusable("the number is too long")
    return str(value)


def is_email_address(text: str) -> bool:
    """Tell whether a text has the shape of an e-mail address: something, one @, something, and no space."""
    return len(text) <= MAX_EMAIL_LENGTH and _EMAIL.fullmatch(text) is not None


def as_email(value: Any) -> str | None:
    """Return an e-mail address without surrounding space; None for an empty value.

    :raises Unusable: For anything else.
    """
    text = (as_text(value) or "").strip()
    if text and not is_email_address(text):
        raise Unusable("the value is no e-mail address")
    return text or None


def as_login_email(value: Any) -> str | None:
    """Return a user name as e-mail address, if it is one."""
    text = (as_text(value) or "").strip()
    return text if is_email_address(text) else None


def as_login_name(value: Any) -> str | None:
    """Return a user name that is no e-mail address."""
    return None if as_login_email(value) else as_text(value)


def as_boolean(value: Any) -> bool | None:
    """Return true or false, which may also be written as texts (Entra sends ``"True"``).

    :raises Unusable: For anything else.
    """
    word = value.strip().lower() if isinstance(value, str) else value
    if word is None or word == "":
        return None
    if word is True or word == "true":
        return True
    if word is False or word == "false":
        return False
    raise Unusable("the value is neither true nor false")


def as_role(value: Any) -> str | None:
    """Return the key of a role, without surrounding space. An object stands for its ``value``.

    :raises Unusable: For a list, an object without ``value``, or a text that is too long for a role.
    """
    if isinstance(value, dict):
        value = value.get("value")
    text = (as_text(value) or "").strip()
    if len(text) > MAX_ROLE_LENGTH:
        raise Unusable("the value is too long for a role")
    return text or None


def as_metadata(value: Any) -> Any:
    """Return a copy of any JSON value; None for an empty text, list or object.

    :raises Unusable: When it is too large or too deep to be stored with the user.
    """
    if isinstance(value, str) and not value.strip():
        return None
    try:
        copy = plain_copy(value, MAX_METADATA_BYTES)
    except Oversize as error:
        raise Unusable(f"the value {error}") from error
    return None if copy in ([], {}) else copy


def converter(destination: Destination) -> Callable[[Any], Any]:
    """Return the function that makes a value fit a destination."""
    if destination.is_role:
        return as_role
    if destination.metadata_keys:
        return as_metadata
    return {"email_address": as_email, "active": as_boolean}.get(destination.name, as_text)
