"""What the product's backend learns from an event, as sentences."""

from typing import Any

from simulator.exchange import JsonObject
from simulator.receiver import Event


def sentence(event: Event, organization: str) -> str:
    """Return what an event tells the product."""
    data = event.body["data"]
    if event.type.startswith("scimUser."):
        return _about_person(event.type, data, organization)
    if event.type.startswith("scimGroup."):
        return _about_group(event.type, data)
    return f"{event.type} happened"


def _about_person(event_type: str, data: JsonObject, organization: str) -> str:
    name = display_name(data["user"])
    if event_type == "scimUser.provisioned":
        role = data.get("role")
        return f"{name} joined {organization}" + (f" as {role}" if role else "")
    if event_type == "scimUser.deprovisioned":
        return f"{name} may no longer enter {organization}"
    changes = data.get("changes") or {}
    if not changes:
        return f"{name} has other attributes in the directory"
    return f"{name}: " + ", ".join(_change(field, change) for field, change in changes.items())


def _about_group(event_type: str, data: JsonObject) -> str:
    name = data["group"].get("display_name")
    members = data.get("members") or {}
    if event_type == "scimGroup.created":
        return f"there is a group “{name}”"
    if event_type == "scimGroup.deleted":
        return f"the group “{name}” is gone"
    return f"the group “{name}” changed: {len(members.get('added', []))} joined, {len(members.get('removed', []))} left"


def _change(field: str, change: Any) -> str:
    if isinstance(change, dict) and "to" in change:
        return f"{field} {change.get('from')} → {change['to']}"
    return f"{field} is now {change}"


def display_name(user: JsonObject) -> str:
    """Return a name to call a user by."""
    full_name = " ".join(part for part in (user.get("first_name"), user.get("last_name")) if part)
    return full_name or user.get("email_address") or user.get("username") or str(user.get("id"))
