"""Judging the values that people and backends give: each problem names its place and says what to do."""

import re

from clock import now_ms
from errors import DomainError

NAME_LENGTH = 200
ADDRESS_LENGTH = 320
# What every mail system takes for an address: one @, something on both sides, nothing that separates addresses.
ADDRESS = re.compile(r"[^@\s,;<>\"]+@[^@\s,;<>\"]+")


def problem(param: str, message: str, long_message: str | None = None, *, code: str = "invalid_value") -> DomainError:
    """Return what is wrong with one member of a request."""
    return DomainError(message, long_message=long_message, code=code, meta={"param": param})


def name_problems(
    param: str, value: str, message: str, *, example: str | None = None, longest: int = NAME_LENGTH
) -> list[DomainError]:
    """Return what is wrong with a name: it has characters, not all blank, and no more than the longest one."""
    if value.strip() and len(value) <= longest:
        return []
    such_as = f", such as {example}" if example else ""
    return [problem(param, message, f"Give 1 to {longest} characters{such_as}.")]


def text_problems(param: str, value: str) -> list[DomainError]:
    """Return what is wrong with a short text about a person, such as a first name: it is as long as a name."""
    return name_problems(param, value, f"{param} is empty or too long.")


def end_problems(expires_at: int | None) -> list[DomainError]:
    """Return what is wrong with the end of a credential: it is still to come, unless there is none."""
    if expires_at is None or expires_at > now_ms():
        return []
    advice = "Give a future moment in Unix milliseconds, or leave it out."
    return [problem("expires_at", "expires_at is in the past.", advice)]


def address_problems(param: str, value: str) -> list[DomainError]:
    """Return what is wrong with an e-mail address."""
    if len(value) <= ADDRESS_LENGTH and ADDRESS.fullmatch(value) and value.isprintable():
        return []
    return [problem(param, f"{param} is no e-mail address.", "Give one address, such as ada@example.com.")]
