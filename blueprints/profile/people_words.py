"""What became of a person, and where a role comes from, in words, as filters of the templates."""

import json
from typing import Any

from flask import Blueprint

from directory.person_history import HistoryEntry

FIELDS = {
    "email_address": "E-mail address",
    "username": "User name",
    "first_name": "First name",
    "last_name": "Last name",
    "external_id": "External id",
    "active": "Active",
    "role": "Role",
    "role_source": "Source of the role",
    "organization_role": "Role",
}
METADATA = "public_metadata."

OUTCOMES = {
    "used": "Used",
    "overruled": "Not needed",
    "empty": "Nothing there",
    "unusable": "Not usable",
}

STANDINGS = {
    "active": "Active",
    "deactivated": "Deactivated by the IdP",
    "deleted": "Deleted by the IdP",
    "removed": "Removed by hand",
}

# What became of somebody, by the type of the event, and how it looks: given, taken, or changed.
EVENTS = {
    "scimUser.provisioned": ("given", "Access given by the directory: a member from now on"),
    "scimUser.updated": ("changed", "Changed by the directory"),
    "scimUser.deprovisioned": ("taken", "Access taken by the directory: membership and all sessions ended"),
    "organizationMembership.created": ("given", "Added by hand"),
    "organizationMembership.updated": ("changed", "Changed by hand"),
    "organizationMembership.deleted": ("taken", "Removed by hand: membership and all sessions ended"),
    "organization.lastAdminRemoved": ("taken", "Nobody was left who could manage directory sync"),
}

MAX_SHOWN_CHARACTERS = 200


def field_name(field: str) -> str:
    """Return a field of a person in words; of the metadata its own path."""
    return FIELDS.get(field) or field.removeprefix(METADATA)


def plain_value(value: Any) -> str:
    """Return a value as a short text: a text as it is, anything else as JSON."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= MAX_SHOWN_CHARACTERS else f"{text[: MAX_SHOWN_CHARACTERS - 1]}…"


def pretty_json(text: str) -> str:
    """Return JSON text with its indentation, for somebody who reads it."""
    return json.dumps(json.loads(text), ensure_ascii=False, indent=2)


def entry_kind(entry: HistoryEntry) -> str:
    """Return how an entry of a history looks: ``given``, ``taken`` or ``changed``."""
    return EVENTS.get(entry.type, ("changed", ""))[0]


def entry_title(entry: HistoryEntry) -> str:
    """Return in words what an entry of a history is about."""
    return EVENTS.get(entry.type, ("", entry.type))[1]


def outcome(name: str) -> str:
    """Return in words what became of a rule of the mapping."""
    return OUTCOMES.get(name, name)


def standing(name: str) -> str:
    """Return in words whether somebody is a member, or why not any more."""
    return STANDINGS.get(name, name)


def add_filters(bp: Blueprint) -> None:
    """Make the words available in all templates."""
    for words in (field_name, plain_value, pretty_json, entry_kind, entry_title, outcome, standing):
        bp.add_app_template_filter(words)
