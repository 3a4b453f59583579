"""An attribute mapping in words: paths, destinations, expressions, and what would become of people."""

import json
import re
from typing import Any

from flask import Blueprint

from blueprints.profile.words import counted
from directory.expressions import OutputOutline, outline_expression
from directory.mapping_tally import ADDRESS, JOINS, LEAVES, PROFILE, ROLE, Outcome

SHOWN_CHARACTERS = 160

DESTINATIONS = {
    "email_address": "E-mail address",
    "username": "User name",
    "first_name": "First name",
    "last_name": "Last name",
    "external_id": "External id",
    "active": "Active",
    "organization_role": "Role",
    "public_metadata": "Public metadata",
    "role": "Role",
}
PATHS = {
    "username": "User name",
    "name.givenname": "First name",
    "name.familyname": "Last name",
    "externalid": "Id at the identity provider",
    "active": "Whether the person is active",
    "emails[primary eq true].value": "Primary e-mail address",
    "groups[*].value": "Names of all groups",
    "groups[0].value": "Name of the first group",
    "title": "Job title",
    "displayname": "Display name",
}
NAMES = {"emails": "E-mail addresses", "phonenumbers": "Phone numbers", "ims": "Instant messaging"}
APPLICATIONS = {
    "pending": "Waiting for a worker.",
    "running": "Being applied.",
    "done": "Everybody follows the mapping.",
    "failed": "Applying the mapping failed.",
    "superseded": "A newer mapping takes its place.",
}
FILTERS = {
    "downcase": "in small letters",
    "upcase": "in capital letters",
    "strip": "without space around it",
    "first": "the first of them",
    "last": "the last of them",
}
FILTERS_WITH_ARGUMENTS = {
    "replace": "“{0}” replaced by “{1}”",
    "append": "with “{0}” after it",
    "prepend": "with “{0}” before it",
    "split": "split at “{0}”",
    "default": "“{0}” where there is none",
}
_CONDITION = re.compile(r"\[(.*)\]")
_EQUALS = re.compile(r'([A-Za-z.]+) eq (?:"((?:[^"\\]|\\.)*)"|(\w+))')
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


def path_in_words(path: str) -> str:
    """Return what stands at a SCIM path, such as ``Department`` or ``Phone numbers: type “work”``."""
    known = PATHS.get(path.lower())
    if known:
        return known
    end = path.rpartition(":")[2] if path[:4].lower() == "urn:" else path
    head, condition = _CONDITION.sub("", end), _CONDITION.search(end)
    names = [name for name in head.split(".") if name not in ("value", "User")] or [head]
    words = ", ".join(NAMES.get(name.lower()) or _spaced(name) for name in names)
    return f"{words}{_condition_in_words(condition[1])}" if condition else words


def _spaced(name: str) -> str:
    spaced = _HUMP.sub(" ", name)
    lowered = " ".join(word if word.isupper() else word.lower() for word in spaced.replace("_", " ").split())
    return lowered[:1].upper() + lowered[1:]


def _condition_in_words(condition: str) -> str:
    if condition == "*":
        return ", all of them"
    if condition.isdigit():
        return f", number {int(condition) + 1}"
    asked = _EQUALS.fullmatch(condition.strip())
    if asked is None:
        return f", where {condition}"
    value = _unquoted(asked[2]) if asked[2] is not None else asked[3]
    if asked[1].lower() in ("display", "value"):
        return f" named “{value}”"
    return ", the primary one" if asked[1].lower() == "primary" else f", {asked[1]} “{value}”"


def _unquoted(text: str) -> str:
    try:
        return str(json.loads(f'"{text}"'))
    except ValueError:
        return text


def destination_in_words(name: str) -> str:
    """Return a destination, such as ``First name`` or ``Public metadata: employee number``."""
    head, _, rest = name.partition(".")
    words = DESTINATIONS.get(head, name)
    return f"{words}: {' › '.join(_spaced(key).lower() for key in rest.split('.'))}" if rest else words


def expression_in_words(text: str) -> str:
    """Return what an expression does, such as ``in small letters, “admins” replaced by “org:admin”``."""
    parts = outline_expression(text)
    if len(parts) == 1 and isinstance(parts[0], OutputOutline):
        return _output_in_words(parts[0], alone=True)
    return ", then ".join(f"“{part}”" if isinstance(part, str) else _output_in_words(part) for part in parts)


def _output_in_words(output: OutputOutline, *, alone: bool = False) -> str:
    words = [_filter_in_words(name, arguments) for name, arguments in output.filters]
    if output.start is not None:
        return ", ".join([f"always “{output.start}”" if alone else f"“{output.start}”", *words])
    start = [f"its {_spaced(output.attribute).lower()}"] if output.attribute else []
    return ", ".join([*start, *words]) or ("as it was sent" if alone else "the value")


def _filter_in_words(name: str, arguments: tuple[Any, ...]) -> str:
    if name == "default" and not arguments:
        return "nothing where there is none"
    pattern = FILTERS_WITH_ARGUMENTS.get(name)
    if pattern is None:
        return FILTERS.get(name, name)
    texts = [str(argument) for argument in (*arguments, "", "")]
    return pattern.format(*texts)


def shown_value(value: Any) -> str:
    """Return a value as it can be read: a text as it is, anything else as JSON, cut off where it gets long."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[: SHOWN_CHARACTERS - 1]}…"


def shown_or_none(value: Any) -> str | None:
    """Return a value as it can be read, or None for nothing."""
    return None if value is None else shown_value(value)


def outcome_in_words(outcome: Outcome, number: int) -> str:
    """Return what becomes of some people, such as ``3 people lose their membership``."""
    people, one = counted(number, "person", "people"), number == 1
    if outcome.kind == LEAVES:
        return f"{people} {'loses' if one else 'lose'} the membership"
    if outcome.kind == JOINS:
        return f"{people} {'becomes' if one else 'become'} active"
    if outcome.kind == ROLE:
        return f"{people} {_role_in_words(outcome, one)}"
    if outcome.kind == ADDRESS:
        return f"{people} {'gets' if one else 'get'} another e-mail address"
    if outcome.kind == PROFILE:
        return f"{people} {'gets' if one else 'get'} another profile"
    return f"{people} {'stays' if one else 'stay'} as before, with a warning"


def _role_in_words(outcome: Outcome, one: bool) -> str:
    verb = ("gains {}", "loses {}", "gets another role") if one else ("gain {}", "lose {}", "get another role")
    if not outcome.before and not outcome.after:
        return verb[2]
    if outcome.after == "":
        return verb[1].format(outcome.before)
    if outcome.before == "":
        return verb[0].format(outcome.after)
    return f"{verb[0].format(outcome.after)} instead of {outcome.before}"


def application_in_words(state: str) -> str:
    """Return in a sentence how far a mapping is applied."""
    return APPLICATIONS[state]


def add_filters(bp: Blueprint) -> None:
    """Make the words available in all templates."""
    for words in (
        path_in_words,
        destination_in_words,
        expression_in_words,
        shown_value,
        shown_or_none,
        outcome_in_words,
        application_in_words,
    ):
        bp.add_app_template_filter(words)
