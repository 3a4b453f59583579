"""What the activity log keeps of a body: its beginning, and never a secret.

An admin who looks for the reason of a refusal has to see what the IdP really
sent. Passwords come with every new person of Okta's, so bodies are masked
before they are written down.
"""

import json
import re
from typing import Any

KEPT_BYTES = 8 * 1024
# A larger body that holds a secret is not parsed; it is kept up to the secret.
PARSED_BYTES = 64 * 1024
MASK = "[not kept]"

SECRET_NAME = re.compile(r"passw|passphrase|secret|token|credential|private_?key|api_?key|\bpin\b|otp", re.IGNORECASE)
# A letter that is written as an escape may hide one of these names.
SUSPICIOUS = re.compile(rb"passw|passphrase|secret|token|credential|private_?key|api_?key|pin\b|otp|\\u00[4-7]", re.I)
OUR_SECRETS = re.compile(r"\b(scim|sk|whsec|signin|setup)_[A-Za-z0-9+/=]{20,}")


def kept_body(body: bytes | None) -> str | None:
    """Return what is kept of a body as text: masked, at most 8 KiB, and at its end how long it was; None for none."""
    if not body:
        return None
    head = body[: PARSED_BYTES if len(body) <= PARSED_BYTES else KEPT_BYTES]
    suspicious = SUSPICIOUS.search(head)
    if suspicious is None:
        return _text(body[:KEPT_BYTES], len(body))
    if len(body) <= PARSED_BYTES:
        try:
            masked = json.dumps(_masked(json.loads(body)), ensure_ascii=False).encode("utf-8", "replace")
            return _text(masked[:KEPT_BYTES], len(masked))
        except (ValueError, RecursionError):
            pass  # not JSON, so nobody can say where the secret ends
    return _text(body[: min(suspicious.start(), KEPT_BYTES)], len(body))


def kept_query(query: str) -> str:
    """Return what is kept of the query of an address: all of it, or nothing where it may hold a secret."""
    if not query or SECRET_NAME.search(query):
        return ""
    return f"?{_without_our_secrets(query)}"


def _masked(value: Any) -> Any:
    """Return a JSON value with a mask in place of every secret."""
    if isinstance(value, list):
        return [_masked(item) for item in value]
    if not isinstance(value, dict):
        return value
    masked = {name: MASK if SECRET_NAME.search(name) else _masked(item) for name, item in value.items()}
    path = next((item for name, item in value.items() if name.lower() == "path"), None)
    if isinstance(path, str) and SECRET_NAME.search(path):  # the operation of a PATCH
        masked = {name: MASK if name.lower() == "value" else item for name, item in masked.items()}
    return masked


def _text(part: bytes, length: int) -> str:
    """Return the beginning of a body as a text that every database can hold."""
    text = _without_our_secrets(part.decode("utf-8", "replace")).replace("\0", "\N{REPLACEMENT CHARACTER}")
    return text if len(part) == length else f"{text}… ({length:,} bytes in all)"


def _without_our_secrets(text: str) -> str:
    return OUR_SECRETS.sub(MASK, text) if "_" in text else text
