"""What became of a person, and where a role comes from, in words, as filters of the templates."""

import json
from collections.abc import Sequence
from typing import Any

from flask import Blueprint

from blueprints.profile.providers import PROVIDERS
from directory.advice import provider_of
from directory.kept_bodies import shown_document
from directory.person_explanation import Origin
from directory.person_history import HistoryEntry
from directory.remedies import remedy_for

FIELDS = {
    "first_name": "First name",
    "last_name": "Last name",
    "email_address": "E-mail address",
    "username": "User name",
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
    "scimUser.provisioned": ("given", "The directory gave access: a member from then on"),
    "scimUser.updated": ("changed", "Changed by a group, or by the attribute mapping"),
    "scimUser.deprovisioned": ("taken", "The directory took the access: membership and all sessions ended"),
    "organizationMembership.created": ("given", "Added by hand"),
    "organizationMembership.updated": ("changed", "Changed by hand"),
    "organizationMembership.deleted": ("taken", "Removed by hand: membership and all sessions ended"),
    "organization.lastAdminRemoved": ("taken", "Nobody was left who could manage directory sync"),
}

# The same in the words of the request that did it, behind the name of the IdP.
ACTS = {
    "created": "created this person",
    "restored": "created this person again, and the same user came back",
    "updated": "changed this person",
    "activated": "activated this person: a member again from then on",
    "deactivated": "deactivated this person: membership and all sessions ended",
    "deleted": "deleted this person: membership and all sessions ended",
    "refused": "asked for something that was refused",
    "failed": "asked for something that failed here",
}

UNKNOWN_CALLER = "The identity provider"

MAX_SHOWN_CHARACTERS = 200


def field_name(field: str) -> str:
    """Return a field of a person in words; of the metadata its own path."""
    return FIELDS.get(field) or field.removeprefix(METADATA)


def plain_value(value: Any) -> str:
    """Return a value as a short text: a text as it is, anything else as JSON."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= MAX_SHOWN_CHARACTERS else f"{text[: MAX_SHOWN_CHARACTERS - 1]}…"


def caller_name(user_agent: str | None) -> str:
    """Return the name of the IdP that calls itself so, as the beginning of a sentence."""
    provider = provider_of(user_agent)
    return PROVIDERS[provider].name if provider else UNKNOWN_CALLER


def entry_kind(entry: HistoryEntry) -> str:
    """Return how an entry of a history looks: ``given``, ``taken``, ``changed`` or ``refused``."""
    if entry.request is not None and entry.request.status >= 400:
        return "refused"
    return EVENTS.get(entry.type or "", ("changed", ""))[0]


def entry_title(entry: HistoryEntry) -> str:
    """Return in words what an entry of a history is about."""
    if entry.request is not None and entry.request.action in ACTS:
        return f"{caller_name(entry.request.user_agent)} {ACTS[entry.request.action]}"
    return EVENTS.get(entry.type or "", ("", entry.type or ""))[1]


def in_reading_order(origins: Sequence[Origin]) -> list[Origin]:
    """Return the fields of a profile as one reads them: the name first, the metadata last."""
    order = list(FIELDS)
    return sorted(origins, key=lambda origin: order.index(origin.field) if origin.field in order else len(order))


def outcome(name: str) -> str:
    """Return in words what became of a rule of the mapping."""
    return OUTCOMES.get(name, name)


def standing(name: str) -> str:
    """Return in words whether somebody is a member, or why not any more."""
    return STANDINGS.get(name, name)


def add_filters(bp: Blueprint) -> None:
    """Make the words available in all templates."""
    for words in (
        field_name,
        plain_value,
        in_reading_order,
        caller_name,
        entry_kind,
        entry_title,
        outcome,
        standing,
        shown_document,
        remedy_for,
    ):
        bp.add_app_template_filter(words)
