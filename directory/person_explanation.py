"""Explaining one person: where each field and the role come from, and when."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import select
from sqlalchemy.orm import Session

from directory.explanation import Explanation, Step
from directory.mapping_effects import decide
from directory.mapping_people import Neighbours, Person, find_person
from directory.mappings import find_mapping_override, read_mapping
from directory.profiles import PLAIN_FIELDS
from directory.resources import load
from directory.roles import BY_DEFAULT, BY_HAND
from errors import NotFound
from models import DirectoryGroup, DirectoryGroupMember

FIELDS = (*PLAIN_FIELDS, "email_address", "active")
ROLE = "organization_role"


@dataclass(frozen=True)
class Origin:
    """Where one field comes from: every rule for it in the order asked, and when what they read last changed.

    ``value`` is what the person has, ``mapped`` what the mapping gives now.
    ``as_of`` is the latest of: the resource's last change, the last change of
    the mapping where the override was used, the joining of a group where
    groups were read. The value may be older; nothing keeps it from being newer.
    """

    field: str
    value: Any
    mapped: Any
    as_of: int
    steps: Sequence[Step]


@dataclass(frozen=True)
class RoleOrigin:
    """The role of a member, where it comes from, and why; ``role`` is None for whoever is no member.

    ``mapped`` is what the mapping decides now, None where it says nothing of
    roles. ``since`` is the last change of the membership.
    """

    role: str | None
    source: str | None
    mapped: str | None
    candidates: Sequence[str]
    reason: str
    since: int | None
    steps: Sequence[Step]


@dataclass(frozen=True)
class Group:
    """A pushed group that the mapping sees."""

    id: str
    display_name: str
    external_id: str | None
    joined_at: int


@dataclass(frozen=True)
class PersonExplanation:
    """Where all of one person comes from. Times are Unix milliseconds.

    ``managed_here`` tells whether this directory writes the profile; when not,
    each ``value`` is what this directory says and the person's own is elsewhere.
    ``up_to_date`` is false while a new mapping is still on its way to the person.
    """

    organization_id: str
    user_id: str
    user_name: str
    active: bool
    managed_here: bool
    up_to_date: bool
    resource_changed_at: int
    mapping_changed_at: int | None
    fields: Sequence[Origin]
    role: RoleOrigin
    groups: Sequence[Group]
    warnings: Sequence[str]
    object: Literal["directory_user_explanation"] = "directory_user_explanation"


def explain_person(session: Session, organization_id: str, user_id: str) -> PersonExplanation:
    """Return where each field and the role of one person come from, by the resource last received.

    :raises NotFound: When the directory has no such user.
    """
    person = find_person(session, organization_id, user_id)
    if person is None:
        raise NotFound("No such user in this directory.", code="directory_user_not_found")
    override = find_mapping_override(session, organization_id)
    mapping = read_mapping(session, organization_id)
    row = person.row
    explanation = mapping.explain({**load(row.document), "groups": row.sent_groups}, person.groups)
    effect = decide(session, [person], [explanation.mapped], Neighbours(organization_id))[0]
    groups = _groups(session, organization_id, user_id) if mapping.reads_groups else []
    changed_at = override.updated_at if override else None
    times = _Times(row.last_modified_at, changed_at, max((group.joined_at for group in groups), default=0))
    managed_here = effect.profile.managed_by_organization_id == organization_id
    return PersonExplanation(
        organization_id=organization_id,
        user_id=user_id,
        user_name=row.user_name,
        active=row.active,
        managed_here=managed_here,
        up_to_date=not effect.changes,
        resource_changed_at=row.last_modified_at,
        mapping_changed_at=changed_at,
        fields=_origins(person, explanation, times, managed_here=managed_here),
        role=_role_origin(person, explanation, effect.role.mapped_role_key if effect.role else None),
        groups=groups,
        warnings=effect.warnings,
    )


@dataclass(frozen=True)
class _Times:
    resource: int
    mapping: int | None
    groups: int

    def as_of(self, steps: Sequence[Step]) -> int:
        """Return when what these steps read last changed."""
        moments = [self.resource]
        if self.mapping is not None and any(step.source == "override" for step in steps):
            moments.append(self.mapping)
        if any(step.path.lower().startswith("groups") for step in steps):
            moments.append(self.groups)
        return max(moments)


def _origins(person: Person, explanation: Explanation, times: _Times, *, managed_here: bool) -> list[Origin]:
    """Return the origin of each field, and of each place in the metadata that the mapping writes."""
    mapped = explanation.mapped
    said = {**{name: mapped.fields.get(name) for name in FIELDS}, "public_metadata": mapped.public_metadata}
    stored = {name: getattr(person.user, name) for name in (*PLAIN_FIELDS, "email_address")}
    stored = {**stored, "active": person.row.active, "public_metadata": person.user.public_metadata}
    if not managed_here:
        stored = {**said, "active": person.row.active, "email_address": person.user.email_address}
    names = [*FIELDS, *(step.destination for step in explanation.steps if step.destination != ROLE)]
    steps = {name: [step for step in explanation.steps if step.destination == name] for name in names}
    return [
        Origin(name, _at(stored, name), _at(said, name), times.as_of(steps[name]), steps[name])
        for name in dict.fromkeys(names)
    ]


def _at(values: dict[str, Any], name: str) -> Any:
    """Return what stands at a name such as ``public_metadata.a.b``."""
    found: Any = values
    for key in name.split("."):
        found = found.get(key) if isinstance(found, dict) else None
    return found


def _role_origin(person: Person, explanation: Explanation, decided: str | None) -> RoleOrigin:
    membership, mapped = person.membership, explanation.mapped
    steps = [step for step in explanation.steps if step.destination == ROLE]
    if person.role_key is None or membership is None:
        reason = "The person is no member of the organization."
        return RoleOrigin(None, None, None, mapped.role_candidates, reason, None, steps)
    source = membership.role_source
    return RoleOrigin(
        role=person.role_key,
        source=source,
        mapped=decided if mapped.maps_role else None,
        candidates=mapped.role_candidates,
        reason=_reason(source, decided, maps_role=mapped.maps_role, candidates=mapped.role_candidates),
        since=membership.updated_at,
        steps=steps,
    )


def _reason(source: str, decided: str | None, *, maps_role: bool, candidates: Sequence[str]) -> str:
    """Say in a sentence why a member has the role."""
    if source == BY_HAND:
        now = f"The mapping decides {decided}" if maps_role else "The mapping says nothing of roles"
        return f"It was set by hand. {now}; the role stays until the mapping decides another one than that."
    if source == BY_DEFAULT:
        return "It is the default role: when it was given, the mapping said nothing of roles."
    if decided in candidates:
        return "Of the roles that the mapping names and that exist, it is the one of most permissions."
    return "It is the default role: the mapping names no role that exists."


def _groups(session: Session, organization_id: str, user_id: str) -> list[Group]:
    query = (
        select(
            DirectoryGroup.id,
            DirectoryGroup.display_name,
            DirectoryGroup.external_id,
            DirectoryGroupMember.joined_at,
        )
        .join(
            DirectoryGroupMember,
            (DirectoryGroupMember.organization_id == DirectoryGroup.organization_id)
            & (DirectoryGroupMember.group_id == DirectoryGroup.id),
        )
        .where(DirectoryGroupMember.organization_id == organization_id, DirectoryGroupMember.user_id == user_id)
        .order_by(DirectoryGroupMember.joined_at, DirectoryGroup.id)
    )
    return [Group(*row) for row in session.execute(query)]
