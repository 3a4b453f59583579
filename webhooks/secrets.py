"""Signing secrets at rest: encrypted with a key derived from the application's secret key."""

import base64
from collections.abc import Sequence

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF


class CannotOpen(Exception):
    """A secret was sealed with a secret key that is neither the present one nor a fallback."""


class SecretBox:
    """Encrypts webhook signing secrets. They cannot be hashed, since each delivery is signed with them.

    What is sealed is sealed with ``secret_key``; what was sealed with one of ``fallbacks`` can be opened too.
    """

    def __init__(self, secret_key: str, fallbacks: Sequence[str] = ()) -> None:
        self._current = _fernet(secret_key)
        self._any = MultiFernet([self._current, *map(_fernet, fallbacks)])

    def seal(self, secret: str) -> str:
        """Return the secret encrypted and authenticated, as text."""
        return self._current.encrypt(secret.encode()).decode()

    def open(self, sealed: str) -> str:
        """Return the secret that ``seal`` was given.

        :raises CannotOpen: When it was sealed with a key that is not known.
        """
        try:
            return self._any.decrypt(sealed.encode()).decode()
        except InvalidToken as error:
            raise CannotOpen from error

    def is_current(self, sealed: str) -> bool:
        """Tell whether a secret was sealed with the present key, so that no fallback is needed for it."""
        try:
            self._current.decrypt(sealed.encode())
        except InvalidToken:
            return False
        return True


def _fernet(secret_key: str) -> Fernet:
    key = HKDF(algorithm=hashes.SHA256(), length=32, salt=None, info=b"authn-scim webhook secrets").derive(
        secret_key.encode()
    )
    return Fernet(base64.urlsafe_b64encode(key))
