"""What the activity log keeps of a body: its beginning, and never a secret.

An admin who looks for the reason of a refusal has to see what the IdP really
sent. Passwords come with every new person of Okta's, so bodies are masked
before they are written down.
"""

import json
import re
from functools import lru_cache
from typing import Any
from urllib.parse import unquote

KEPT_BYTES = 8 * 1024
# A larger body that holds a secret is not parsed; it is kept up to the secret.
PARSED_BYTES = 64 * 1024
MASK = "[not kept]"
# The names of attributes are few and come again; longer ones are not worth remembering.
SHORT = 64

# What a name holds that names a secret; every write is searched for them, so there is no expression here.
SECRET_WORDS = (
    "passw",
    "passphrase",
    "secret",
    "token",
    "credential",
    "privatekey",
    "private_key",
    "apikey",
    "api_key",
)
SECRET_NAMES = frozenset({"pin", "otp"})
# A letter that is written as an escape may hide one of these names.
SUSPICIOUS = (*SECRET_WORDS, *(f'"{name}"' for name in SECRET_NAMES), "\\u00")
OUR_PREFIXES = ("scim_", "sk_", "whsec_", "signin_", "setup_")
OUR_SECRETS = re.compile(rf"({'|'.join(OUR_PREFIXES)})[A-Za-z0-9+/=]{{20,}}")


def kept_body(body: bytes | None) -> str | None:
    """Return what is kept of a body as text: masked, at most 8 KiB, and at its end how long it was; None for none."""
    if not body:
        return None
    head = body[: PARSED_BYTES if len(body) <= PARSED_BYTES else KEPT_BYTES]
    folded = head.lower().decode("latin-1")  # a text of as many characters is searched in a third of the time
    suspicious = [*filter(folded.__contains__, SUSPICIOUS)]
    if not suspicious:
        return _text(body[:KEPT_BYTES], len(body))
    masked = _masked_json(body) if len(body) <= PARSED_BYTES else None
    if masked is not None:
        return _text(masked[:KEPT_BYTES], len(masked))
    return _text(body[: min(KEPT_BYTES, *map(folded.index, suspicious))], len(body))


def _masked_json(body: bytes) -> bytes | None:
    """Return a JSON body with its secrets masked; None where a secret has no known end."""
    try:
        return json.dumps(_masked(json.loads(body)), ensure_ascii=False).encode("utf-8", "replace")
    except (ValueError, RecursionError):
        return None


def shown_document(text: str) -> str:
    """Return a stored SCIM resource for somebody who reads it: indented, and masked as a body is."""
    return _without_our_secrets(json.dumps(_masked(json.loads(text)), ensure_ascii=False, indent=2))


def kept_query(query: str) -> str:
    """Return what is kept of the query of an address: all of it, or nothing where it may hold a secret."""
    if not query or _is_secret(query) or ("%" in query and _is_secret(unquote(query))):
        return ""
    return f"?{_without_our_secrets(query)}"


def _is_secret(name: str) -> bool:
    """Tell whether a name, or a path that ends with one, is that of a secret."""
    return _is_short_secret(name) if len(name) <= SHORT else _is_short_secret.__wrapped__(name)


@lru_cache(maxsize=4096)
def _is_short_secret(name: str) -> bool:
    folded = name.lower()
    return any(word in folded for word in SECRET_WORDS) or folded.rpartition(":")[2].rpartition(".")[2] in SECRET_NAMES


def _masked(value: Any) -> Any:
    """Return a JSON value with a mask in place of every secret."""
    if isinstance(value, list):
        return [_masked(item) for item in value]
    if not isinstance(value, dict):
        return value
    masked = {name: MASK if _is_secret(name) else _masked(item) for name, item in value.items()}
    path = str(next((item for name, item in value.items() if name.lower() == "path"), ""))  # it may be no text
    if _is_secret(path):  # the operation of a PATCH, whose filter may compare with the secret
        hidden = ("value", "path") if '"' in path else ("value",)
        masked = {name: MASK if name.lower() in hidden else item for name, item in masked.items()}
    return masked


def _text(part: bytes, length: int) -> str:
    """Return the beginning of a body as a text that every database can hold."""
    text = _without_our_secrets(part.decode("utf-8", "replace")).replace("\0", "\N{REPLACEMENT CHARACTER}")
    return text if len(part) == length else f"{text}… ({length:,} bytes in all)"


def _without_our_secrets(text: str) -> str:
    return OUR_SECRETS.sub(MASK, text) if any(map(text.__contains__, OUR_PREFIXES)) else text
