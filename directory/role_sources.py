"""Which rule of the attribute mapping gives a role: for the people of a page, and for a group as such."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy.orm import Session

from directory.explanation import Step
from directory.mapping import Mapping
from directory.mapping_people import Person, find_people
from directory.mappings import read_mapping
from directory.resources import load
from directory.roles import KnownRoles
from models import DirectoryGroup


@dataclass(frozen=True)
class RoleSource:
    """Where a role was read: at a path of the mapping, and the name of the group where that path is about groups."""

    path: str
    group: str | None


@dataclass(frozen=True)
class GroupRole:
    """What the mapping makes of being in one group.

    ``role_key`` and ``role_name`` are the role of most permissions that it
    names and that exists. ``unknown`` are candidates that are no role of the
    environment. ``steps`` are the rules that read something of the group;
    ``by_position`` tells that one of them reads a group at a certain place
    among all groups of a person, so for this one it only counts there.
    """

    role_key: str | None
    role_name: str | None
    unknown: Sequence[str]
    steps: Sequence[Step]
    by_position: bool


def find_role_sources(session: Session, organization_id: str, user_ids: Sequence[str]) -> dict[str, RoleSource]:
    """Return for each of these people whose role the mapping gives now where it was read; for the others nothing."""
    mapping = read_mapping(session, organization_id).of_roles()
    if not mapping.maps_role or not user_ids:
        return {}
    people = find_people(session, organization_id, user_ids, with_groups=mapping.reads_groups)
    found = {person.row.user_id: _role_source(mapping, person) for person in people}
    return {user_id: source for user_id, source in found.items() if source is not None}


def _role_source(mapping: Mapping, person: Person) -> RoleSource | None:
    steps = _steps_of(mapping, person)
    step = next((step for step in steps if step.outcome == "used" and step.result == person.role_key), None)
    if step is None or person.role_key is None:
        return None
    if not reads_groups(step) or not isinstance(step.raw, str):
        return RoleSource(step.path, None)
    names = {group[key]: group["display"] for key in ("externalId", "id", "value") for group in person.groups}
    return RoleSource(step.path, names.get(step.raw, step.raw))


def reads_groups(step: Step) -> bool:
    """Tell whether a step reads the groups of a person."""
    return step.path.lower().startswith("groups")


def _steps_of(mapping: Mapping, person: Person) -> Sequence[Step]:
    row = person.row
    return mapping.explain({**load(row.document), "groups": row.sent_groups}, person.groups).steps


def role_of_group(mapping: Mapping, roles: KnownRoles, group: DirectoryGroup) -> GroupRole:
    """Return what the mapping makes of being in a group, and in no other."""
    value: dict[str, Any] = {
        "value": group.display_name,
        "display": group.display_name,
        "id": group.id,
        "externalId": group.external_id,
    }
    steps = [step for step in mapping.of_roles().explain({}, [value]).steps if reads_groups(step) and step.raw]
    keys = list(dict.fromkeys(str(step.result) for step in steps if step.outcome == "used"))
    known = roles.named(keys)
    best = max(known, key=lambda role: (len(role.permissions), role.key), default=None)
    return GroupRole(
        role_key=best.key if best else None,
        role_name=best.name if best else None,
        unknown=[key for key in keys if key not in roles.by_key],
        steps=steps,
        by_position=any(step.path[len("groups[") :].partition("]")[0].isdigit() for step in steps),
    )
