"""Judging the values that people and backends give: each problem names its place and says what to do."""

import re

from errors import DomainError

NAME_LENGTH = 200
ADDRESS_LENGTH = 320
# What every mail system takes for an address: one @, something on both sides, nothing that separates addresses.
ADDRESS = re.compile(r"[^@\s,;<>\"]+@[^@\s,;<>\"]+")


def problem(param: str, message: str, long_message: str | None = None, *, code: str = "invalid_value") -> DomainError:
    """Return what is wrong with one member of a request."""
    return DomainError(message, long_message=long_message, code=code, meta={"param": param})


def name_problems(param: str, value: str, message: str, *, example: str | None = None) -> list[DomainError]:
    """Return what is wrong with a name: it has 1 to 200 characters that are not all blank."""
    if value.strip() and len(value) <= NAME_LENGTH:
        return []
    such_as = f", such as {example}" if example else ""
    return [problem(param, message, f"Give 1 to {NAME_LENGTH} characters{such_as}.")]


def address_problems(param: str, value: str) -> list[DomainError]:
    """Return what is wrong with an e-mail address."""
    if len(value) <= ADDRESS_LENGTH and ADDRESS.fullmatch(value) and value.isprintable():
        return []
    return [problem(param, f"{param} is no e-mail address.", "Give one address, such as ada@example.com.")]
