"""Bearer secrets: how they are made and how they are recognised. Only their SHA-256 is ever stored.

A fast hash is right here, unlike for passwords: the secrets carry at least 160
random bits, so there is nothing to guess.
"""

import hashlib
import secrets
from dataclasses import dataclass

# Crockford's base32: no I, L, O, U, so that a secret survives being read aloud.
ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
RANDOM_CHARACTERS = 40  # 5 bits each: 200 bits
PREFIX_LENGTH = 13


@dataclass(frozen=True)
class NewSecret:
    """A secret at the only moment its plaintext exists."""

    plaintext: str
    prefix: str
    hash: str


def new_secret(kind: str) -> NewSecret:
    """Return a new random secret such as ``scim_01HKX9SY…``; ``kind`` is what stands before the underscore."""
    plaintext = f"{kind}_" + "".join(secrets.choice(ALPHABET) for _ in range(RANDOM_CHARACTERS))
    return NewSecret(plaintext, plaintext[:PREFIX_LENGTH], hash_secret(plaintext))


def hash_secret(plaintext: str) -> str:
    """Return the hash under which a secret is stored and looked up (SHA-256, hexadecimal)."""
    return hashlib.sha256(plaintext.encode("utf-8", "surrogatepass")).hexdigest()
