"""Signing secrets at rest: encrypted with a key derived from the application's secret key."""

import base64

from cryptography.fernet import Fernet
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF


class SecretBox:
    """Encrypts webhook signing secrets. They cannot be hashed, since each delivery is signed with them."""

    def __init__(self, secret_key: str) -> None:
        key = HKDF(algorithm=hashes.SHA256(), length=32, salt=None, info=b"authn-scim webhook secrets").derive(
            secret_key.encode()
        )
        self._fernet = Fernet(base64.urlsafe_b64encode(key))

    def seal(self, secret: str) -> str:
        """Return the secret encrypted and authenticated, as text."""
        return self._fernet.encrypt(secret.encode()).decode()

    def open(self, sealed: str) -> str:
        """Return the secret that ``seal`` was given.

        :raises cryptography.fernet.InvalidToken: When it was sealed with another secret key.
        """
        return self._fernet.decrypt(sealed.encode()).decode()
