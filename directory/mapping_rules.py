"""The rules of an attribute mapping: the defaults, and how one entry of an override is read."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

from directory.destinations import (
    Destination,
    as_login_email,
    as_login_name,
    converter,
    find_destination,
    parse_destination,
    suggest_destination,
)
from directory.expressions import Expression, parse_expression
from directory.paths import PRIMARY_EMAIL, AttributePath, parse_path
from directory.reading import Reading
from directory.syntax import SyntaxProblem, check_characters

# In the order in which they are asked: the primary e-mail address wins over the user name.
DEFAULTS = (
    (PRIMARY_EMAIL, "email_address"),
    ("userName", "email_address"),
    ("name.givenName", "first_name"),
    ("name.familyName", "last_name"),
    ("externalId", "external_id"),
    ("active", "active"),
)
USER_NAME = "username"  # the identity of the path, not the destination

MAX_VALUE_LENGTH = 2048

Convert = Callable[[Any], Any]


@dataclass(frozen=True)
class Rule:
    """One destination of one path: where to read, what to make of it, where to write it.

    ``is_default`` tells whether the destination is the default one of the path,
    ``source`` whether the override wrote this rule or is silent about the path.
    """

    path: AttributePath
    expression: Expression | None
    destination: Destination
    convert: Convert
    is_default: bool
    source: Literal["default", "override"] = "override"

    def find(self, reading: Reading) -> list[Any]:
        """Return the values at the path, in order.

        :raises Exhausted: When the work of the reading is used up.
        """
        if self.path.identity == PRIMARY_EMAIL:
            return primary_email(reading)
        return self.path.find(reading)


_EMAIL_ADDRESSES = tuple(
    parse_path(text) for text in (PRIMARY_EMAIL, 'emails[type eq "work"].value', "emails[*].value")
)


def primary_email(reading: Reading) -> list[Any]:
    """Return the one e-mail address that counts: the primary, else the first for work, else the first.

    So an IdP that sends one address without marking it primary is understood.
    """
    for path in _EMAIL_ADDRESSES:
        found = path.find(reading)
        if found:
            return found[:1]
    return []


DEFAULT_PATHS = {path.identity: path for path in (parse_path(text) for text, _ in DEFAULTS)}
DEFAULT_DESTINATIONS = {parse_path(text).identity: Destination(name) for text, name in DEFAULTS}


def default_rules(identity: str) -> list[Rule]:
    """Return the rules of a default path that no override mentions."""
    rules = _rules(DEFAULT_PATHS[identity], None, DEFAULT_DESTINATIONS[identity])
    return [replace(rule, source="default") for rule in rules]


def parse_value(path: AttributePath, text: str) -> list[Rule]:
    """Read one value of an override: a destination, or an expression with or without one.

    :raises SyntaxProblem: When it cannot work; its column is a place in ``text``.
    """
    check_characters(text)
    if len(text) > MAX_VALUE_LENGTH:
        raise SyntaxProblem(f"The value is longer than {MAX_VALUE_LENGTH} characters.", column=MAX_VALUE_LENGTH + 1)
    stripped = text.strip()
    try:
        expression, destination = _read(stripped)
    except SyntaxProblem as problem:
        raise problem.shifted(len(text) - len(text.lstrip())) from problem
    destination = destination or DEFAULT_DESTINATIONS.get(path.identity)
    if destination is None:
        reason = "This path has no default destination. Write one after the expression: {{ … }}.public_metadata.<key>"
        raise SyntaxProblem(reason, column=len(text.rstrip()) + 1)
    return _rules(path, expression, destination)


def _read(text: str) -> tuple[Expression | None, Destination | None]:
    if not any(mark in text for mark in ("{{", "}}", "{%")):
        return None, parse_destination(text)
    template, destination = _split_destination(text)
    return parse_expression(template.rstrip()), destination


def _split_destination(text: str) -> tuple[str, Destination | None]:
    """Split ``{{ … }}text.destination`` into the expression with its text, and the destination if there is one.

    The destination is the longest end of the text, after a dot, that is one.
    An end that is nearly one is an error, and not text that a person would get.
    """
    start = text.rfind("}}") + 2
    dots = [position for position in range(start, len(text)) if text[position] == "."] if start > 1 else []
    for dot in dots:
        destination = find_destination(text[dot + 1 :].strip())
        if destination is not None:
            return text[:dot], destination
    for dot in dots:
        end = text[dot + 1 :]
        if dot == start or suggest_destination(end):
            try:
                parse_destination(end)
            except SyntaxProblem as problem:
                raise problem.shifted(dot + 1) from problem
    return text, None


def _rules(path: AttributePath, expression: Expression | None, destination: Destination) -> list[Rule]:
    """Return the rule; for a user name as e-mail address also the one that keeps a user name that is none."""
    if path.identity == USER_NAME and destination.name == "email_address":
        return [
            Rule(path, expression, destination, as_login_email, is_default=True),
            Rule(path, expression, Destination("username"), as_login_name, is_default=True),
        ]
    is_default = DEFAULT_DESTINATIONS.get(path.identity) == destination
    return [Rule(path, expression, destination, converter(destination), is_default)]
