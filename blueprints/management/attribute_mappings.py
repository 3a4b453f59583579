"""The attribute mapping of an organization's directory: read, replaced, tried, and how far it is applied."""

from collections.abc import Collection
from typing import Annotated, Any

from flask import request
from pydantic import Field
from sqlalchemy.orm import Session
from typing_extensions import TypedDict

from blueprints.management.operations import audit, operation
from blueprints.management.requests import (
    Body,
    Judged,
    PageMeta,
    PageQuery,
    bad_parameter,
    body_place,
    encode_cursor,
)
from directory.mapping import Mapping, compile_mapping
from directory.mapping_applications import MappingApplicationObject, application_object, find_application
from directory.mapping_preview import (
    MappingEffectObject,
    Preview,
    count_people,
    preview_directory,
    preview_object,
    preview_person,
    preview_resource,
)
from directory.mappings import find_mapping_override, replace_mapping
from errors import DomainError, InvalidInput
from organizations.representations import ScimAttributeMappingObject, attribute_mapping_object

# What a preview counts over the pages of a directory.
COUNTED = ("examined", "changed", "warned", "deactivated")
PATH = "/organizations/<organization_id>/scim/attribute-mappings"


def compiled(override: dict[str, Any]) -> Mapping:
    """Return the mapping of a body.

    :raises InvalidInput: With every problem of it, each with the place of its entry in the body.
    """
    try:
        return compile_mapping(override)
    except InvalidInput as refusal:
        raise InvalidInput([_placed(problem) for problem in refusal.problems]) from refusal


def mapping_problems(override: dict[str, Any]) -> list[DomainError]:
    """Return what is wrong with the mapping of a body."""
    try:
        compiled(override)
    except InvalidInput as refusal:
        return refusal.problems
    return []


def _placed(problem: DomainError) -> DomainError:
    entry = [problem.meta[name] for name in ("key", "index") if name in problem.meta]
    meta = {**problem.meta, **body_place(["mapping", *entry])}
    return DomainError(problem.message, long_message=problem.long_message, code=problem.code, meta=meta)


class NewMapping(Body):
    """The mapping that replaces the override; an empty one brings the defaults back."""

    mapping: Annotated[
        dict[str, Any],
        Judged(mapping_problems),
        Field(description="SCIM paths and what becomes of each.", examples=[{"title": "public_metadata.title"}]),
    ]


class TriedMapping(NewMapping):
    """The mapping to try: on the whole directory, on one of its people, or on a resource."""

    user_id: str | None = None
    resource: Annotated[dict[str, Any] | None, Field(description="A SCIM User that need not be anybody's.")] = None
    groups: Annotated[
        list[str] | None, Field(max_length=1000, description="Names of the groups that the resource is in.")
    ] = None


class AppliedMappingObject(ScimAttributeMappingObject):
    """An organization's override, and how far it is on its way to everybody."""

    application: Annotated[MappingApplicationObject | None, Field(description="Null where there never was one.")]


class PreviewMeta(PageMeta):
    """What was counted, over this page and those before it."""

    total: Annotated[int, Field(description="How many people the directory has.")]
    examined: int
    changed: int
    warned: int
    deactivated: int


class PreviewPage(TypedDict):
    """Those whom the mapping would change, or about whom there is a warning."""

    data: list[MappingEffectObject]
    meta: PreviewMeta


def entity_tag(shown: AppliedMappingObject) -> str:
    """Return what tells two answers apart: the version of the mapping, and how far that is applied."""
    application = shown["application"]
    if application is None:
        return "0"
    return f"{application['version']}.{application['state']}.{application['examined']}"


def expected_versions() -> Collection[int] | None:
    """Return the versions that If-Match names (RFC 9110 §13.1.1), or None when any will do.

    Only the version of the mapping counts: how far it is applied changes by itself.
    """
    if "If-Match" not in request.headers or request.if_match.star_tag:
        return None
    versions = [(tag or "").partition(".")[0] for tag in request.if_match.as_set(include_weak=True)]
    return {int(version) for version in versions if version.isascii() and version.isdigit() and len(version) < 12}


@operation("read_attribute_mapping", "GET", PATH, tag="Attribute mapping", etag=entity_tag)
def read(session: Session, organization_id: str) -> AppliedMappingObject:
    """Return what the organization overrides of the default mapping, and how far that is applied."""
    override = find_mapping_override(session, organization_id)
    application = application_object(find_application(session, organization_id))
    return {**attribute_mapping_object(organization_id, override), "application": application}


@operation(
    "replace_attribute_mapping",
    "PUT",
    PATH,
    tag="Attribute mapping",
    etag=entity_tag,
    errors={412: "The mapping was changed since the version that `If-Match` names."},
)
def replace(session: Session, organization_id: str, body: NewMapping) -> AppliedMappingObject:
    """Replace the override. A mapping that cannot work is refused whole, naming each place.

    With `If-Match` and the `ETag` that a read gave, a change that somebody made meanwhile is not overwritten.
    """
    compiled(body.mapping)
    replace_mapping(session, organization_id, body.mapping, of_versions=expected_versions())
    shown = read(session, organization_id)
    audit(session, "scim_attribute_mapping.replaced", shown, paths=sorted(body.mapping)[:100])
    return shown


@operation("preview_attribute_mapping", "POST", f"{PATH}/preview", tag="Attribute mapping", changes=False)
def preview(session: Session, organization_id: str, body: TriedMapping, query: PageQuery) -> PreviewPage:
    """Tell whom a mapping would change, and how, without saving it."""
    mapping = compiled(body.mapping)
    if body.user_id is not None and body.resource is not None:
        raise bad_parameter("resource", "Give user_id or resource, not both.")
    if body.groups is not None and body.resource is None:
        raise bad_parameter("groups", "groups are for a resource; people of the directory have theirs.")
    if body.resource is not None:
        return _alone(preview_resource(session, organization_id, mapping, body.resource, body.groups or []))
    if body.user_id is not None:
        return _alone(preview_person(session, organization_id, mapping, body.user_id))
    return _page(session, organization_id, mapping, query)


def _alone(tried: Preview) -> PreviewPage:
    return {
        "data": [preview_object(tried)],
        "meta": {
            "next_cursor": None,
            "total": 1,
            "examined": 1,
            "changed": int(bool(tried.changes)),
            "warned": int(bool(tried.warnings)),
            "deactivated": int(tried.lets_go),
        },
    }


def _page(session: Session, organization_id: str, mapping: Mapping, query: PageQuery) -> PreviewPage:
    """Return one page of the whole directory. The cursor carries the counts of the pages before."""
    after, before = _preview_cursor(query.cursor)
    found = preview_directory(session, organization_id, mapping, after=after, limit=query.limit)
    examined, changed, warned, deactivated = (
        so_far + getattr(found, name) for name, so_far in zip(COUNTED, before, strict=True)
    )
    counts = (examined, changed, warned, deactivated)
    return {
        "data": [preview_object(one) for one in found.previews],
        "meta": {
            "next_cursor": None if found.last is None else encode_cursor(":".join((found.last, *map(str, counts)))),
            "total": max(count_people(session, organization_id), examined),
            "examined": examined,
            "changed": changed,
            "warned": warned,
            "deactivated": deactivated,
        },
    }


def _preview_cursor(cursor: str | None) -> tuple[str | None, list[int]]:
    """Return where a preview goes on, and what was counted before, as ``COUNTED`` names it."""
    if cursor is None:
        return None, [0] * len(COUNTED)
    last, *counts = cursor.split(":")
    if len(counts) != len(COUNTED) or not all(count.isdigit() and len(count) < 12 for count in counts):
        raise bad_parameter("cursor", "cursor is none that a preview gave.")
    return last, [int(count) for count in counts]
