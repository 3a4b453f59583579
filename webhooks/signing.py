"""Signatures of webhooks, as Standard Webhooks 1.0 writes them. Pure: the time and the secrets are given."""

import base64
import hmac
import secrets
from collections.abc import Sequence

PREFIX = "whsec_"
SECRET_BYTES = 32  # the specification asks for 24 to 64


def new_signing_secret() -> str:
    """Return a new random secret: ``whsec_`` and the base64 of 32 bytes."""
    return PREFIX + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()


def signature_headers(message_id: str, timestamp: int, body: bytes, signing_secrets: Sequence[str]) -> dict[str, str]:
    """Return the three headers that let a receiver verify a message.

    :param timestamp: Of this attempt, in Unix seconds.
    :param signing_secrets: One secret, or two while a rotated one still counts;
        the receiver accepts the message when any signature fits its own secret.
    """
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(signature(message_id, timestamp, body, secret) for secret in signing_secrets),
    }


def signature(message_id: str, timestamp: int, body: bytes, signing_secret: str) -> str:
    """Return one signature: ``v1,`` and the base64 of HMAC-SHA256 over ``id.timestamp.body``.

    :raises ValueError: When the secret is no base64 after its prefix.
    """
    key = base64.b64decode(signing_secret.removeprefix(PREFIX), validate=True)
    signed = f"{message_id}.{timestamp}.".encode() + body
    return "v1," + base64.b64encode(hmac.digest(key, signed, "sha256")).decode()
