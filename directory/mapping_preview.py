"""Trying an attribute mapping: who would change, and how. It reads from one snapshot and writes nothing."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import Field
from sqlalchemy import func, select
from sqlalchemy.orm import Session
from typing_extensions import TypedDict

from directory.directories import Directory
from directory.mapping import Mapping
from directory.mapping_effects import Effect, decide, evaluate
from directory.mapping_people import Neighbours, find_person, read_people
from directory.profiles import Changes
from directory.roles import AskedRoles, first_role
from errors import NotFound
from models import DirectoryUser

# Bounds of one page: people looked at, and seconds after which it ends early.
LOOKED_AT = 2000
SECONDS = 2.0
BATCH = 200


@dataclass(frozen=True)
class Preview:
    """What a mapping would do to one person: ``changes`` as in ``scimUser.updated``, and what is to be known."""

    user_id: str | None
    user_name: str | None
    changes: Changes
    warnings: Sequence[str]
    lets_go: bool = False

    @classmethod
    def of(cls, effect: Effect) -> "Preview":
        """Return what there is to see of an effect."""
        return cls(effect.user_id, effect.person.row.user_name, effect.changes, effect.warnings, effect.lets_go)


@dataclass(frozen=True)
class PreviewPage:
    """Those among some people who would change, or whom a warning is about.

    ``last`` is the id of the person with whom the page ended, None at the end
    of the directory. The counts are of this page.
    """

    previews: Sequence[Preview]
    examined: int
    changed: int
    warned: int
    deactivated: int
    last: str | None


def preview_directory(
    session: Session, organization_id: str, mapping: Mapping, *, after: str | None, limit: int
) -> PreviewPage:
    """Return what a mapping would do to the next people by their ids, as if they were all written now, in this order.

    A page ends with ``limit`` people to show, after ``LOOKED_AT`` people, or after ``SECONDS``.
    """
    ends = time.monotonic() + SECONDS
    neighbours = Neighbours(organization_id)
    shown: list[Preview] = []
    examined = changed = warned = deactivated = 0
    while True:
        people = read_people(
            session, organization_id, after=after, limit=min(BATCH, max(limit, 20)), with_groups=mapping.reads_groups
        )
        if not people:
            return PreviewPage(shown, examined, changed, warned, deactivated, None)
        effects = decide(session, people, [evaluate(mapping, person) for person in people], neighbours)
        for effect in effects:
            if len(shown) == limit:
                return PreviewPage(shown, examined, changed, warned, deactivated, after)
            examined, after = examined + 1, effect.user_id
            changed += bool(effect.changes)
            warned += bool(effect.warnings)
            deactivated += effect.lets_go
            if effect.changes or effect.warnings:
                shown.append(Preview.of(effect))
        if examined >= LOOKED_AT or time.monotonic() > ends:
            return PreviewPage(shown, examined, changed, warned, deactivated, after)


def preview_person(session: Session, organization_id: str, mapping: Mapping, user_id: str) -> Preview:
    """Return what a mapping would do to one person, by the resource that was last received.

    :raises NotFound: When the directory has no such user.
    """
    person = find_person(session, organization_id, user_id)
    if person is None:
        raise NotFound("No such user in this directory.", code="directory_user_not_found")
    neighbours = Neighbours(organization_id)
    return Preview.of(decide(session, [person], [evaluate(mapping, person)], neighbours)[0])


def preview_resource(
    session: Session, organization_id: str, mapping: Mapping, resource: dict[str, Any], groups: Sequence[str]
) -> Preview:
    """Return what a mapping makes of a resource that need not be anybody's, pushed into groups of these names.

    Everything changes from nothing. Nobody else is looked at, so nothing is said of addresses that are taken.
    """
    if resource.get("active") is None:
        resource = {**resource, "active": True}
    pushed = [{"value": name, "display": name, "id": None, "externalId": None} for name in groups]
    mapped = mapping.evaluate(resource, pushed)
    directory = Directory(organization_id)
    directory.warn(*mapped.warnings)
    given = {name: value for name, value in mapped.fields.items() if value is not None}
    if mapped.public_metadata:
        given["public_metadata"] = mapped.public_metadata
    if mapped.fields.get("active", True):
        given["role"] = first_role(AskedRoles(session), directory, mapped).role.key
    name = resource.get("userName")
    return Preview(
        None,
        name if isinstance(name, str) else None,
        {field: {"from": None, "to": value} for field, value in given.items()},
        tuple(dict.fromkeys(directory.warnings)),
    )


def count_people(session: Session, organization_id: str) -> int:
    """Return how many people a directory has, inactive ones too."""
    query = select(func.count()).where(
        DirectoryUser.organization_id == organization_id, DirectoryUser.deleted_at.is_(None)
    )
    return session.scalar(query) or 0


class MappingEffectObject(TypedDict):
    """What a mapping would do to one person."""

    object: Literal["scim_attribute_mapping_effect"]
    user_id: Annotated[str | None, Field(description="Null for a resource that was only tried.")]
    user_name: str | None
    changes: Annotated[dict[str, Any], Field(description="For each field that would change: `from` and `to`.")]
    warnings: list[str]


def preview_object(preview: Preview) -> MappingEffectObject:
    """Return what a mapping would do to one person, as the JSON API shows it."""
    return {
        "object": "scim_attribute_mapping_effect",
        "user_id": preview.user_id,
        "user_name": preview.user_name,
        "changes": preview.changes,
        "warnings": list(preview.warnings),
    }
