"""What can go wrong in the domain, as stable codes. How it looks on the wire is decided by ``blueprints/errors.py``."""

from typing import Any


class DomainError(Exception):
    """A request that the domain refuses.

    ``code`` is stable and machine-readable, ``message`` a short sentence,
    ``long_message`` says what to do about it, ``meta`` names the place.
    """

    code = "invalid_request"

    def __init__(
        self,
        message: str,
        *,
        long_message: str | None = None,
        code: str | None = None,
        meta: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.long_message = long_message or message
        self.code = code or self.code
        self.meta = meta or {}


class InvalidInput(DomainError):
    """One or more values that cannot be accepted; ``problems`` lists every one of them."""

    code = "invalid_value"

    def __init__(self, problems: list[DomainError]) -> None:
        super().__init__(problems[0].message, long_message=problems[0].long_message)
        self.problems = problems


class NotAuthenticated(DomainError):
    """Nobody, or somebody whose credential is unknown, revoked or expired."""

    code = "not_authenticated"


class NotAllowed(DomainError):
    """Somebody known, without the right to do this."""

    code = "not_allowed"


class NotFound(DomainError):
    """No such object, or one of another organization: the two look the same."""

    code = "not_found"


class Conflict(DomainError):
    """The change contradicts what is stored; ``constraint`` names the rule, where a database constraint found it."""

    code = "conflict"

    def __init__(self, message: str, *, constraint: str | None = None, **kwargs: Any) -> None:
        super().__init__(message, **kwargs)
        self.constraint = constraint


class Gone(DomainError):
    """Something that was there once and is not kept any more."""

    code = "gone"


class VersionMismatch(DomainError):
    """The object changed since the version that the caller expects."""

    code = "version_mismatch"
