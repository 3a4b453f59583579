"""The attribute mapping of an organization's directory: read, replaced, tried, and how far it is applied."""

from typing import Annotated, Any

from flask import Response, jsonify
from pydantic import Field
from sqlalchemy.orm import Session

from blueprints.auth import require_reach
from blueprints.management import bp
from blueprints.management.requests import Body, bad_parameter, encode_cursor, json_body, page_cursor, page_limit
from database import db
from directory.mapping import Mapping, compile_mapping
from directory.mapping_applications import application_object, find_application
from directory.mapping_preview import (
    count_people,
    preview_directory,
    preview_object,
    preview_person,
    preview_resource,
)
from directory.mappings import find_mapping_override, replace_mapping
from organizations.organizations import get_organization
from organizations.representations import attribute_mapping_object

# What a preview counts over the pages of a directory.
COUNTED = ("examined", "changed", "warned", "deactivated")
PATH = "/organizations/<organization_id>/scim/attribute-mappings"


class NewMapping(Body):
    """The body that replaces the override; an empty mapping brings the defaults back."""

    mapping: dict[str, Any]


class TriedMapping(NewMapping):
    """The body that tries a mapping: on the whole directory, on one of its people, or on a resource."""

    user_id: str | None = None
    resource: dict[str, Any] | None = None
    groups: Annotated[list[str], Field(max_length=1000)] | None = None


@bp.get(PATH, endpoint="read_attribute_mapping")
def read(organization_id: str) -> Response:
    """Return what the organization overrides of the default mapping, and how far that is applied."""
    require_reach(organization_id)
    with db.reading() as session:
        get_organization(session, organization_id)
        return _mapping(session, organization_id)


@bp.put(PATH, endpoint="replace_attribute_mapping")
def replace(organization_id: str) -> Response:
    """Replace the override. A mapping that cannot work is refused whole, naming each place."""
    require_reach(organization_id)
    body = json_body(NewMapping)
    with db.unit_of_work() as session:
        get_organization(session, organization_id)
        replace_mapping(session, organization_id, body.mapping)
        return _mapping(session, organization_id)


def _mapping(session: Session, organization_id: str) -> Response:
    override = find_mapping_override(session, organization_id)
    application = find_application(session, organization_id)
    return jsonify(
        {**attribute_mapping_object(organization_id, override), "application": application_object(application)}
    )


@bp.post(f"{PATH}/preview", endpoint="preview_attribute_mapping")
def preview(organization_id: str) -> Response:
    """Tell whom a mapping would change, and how, without saving it."""
    require_reach(organization_id)
    body = json_body(TriedMapping)
    mapping = compile_mapping(body.mapping)
    if body.user_id is not None and body.resource is not None:
        raise bad_parameter("resource", "Give user_id or resource, not both.")
    if body.groups is not None and body.resource is None:
        raise bad_parameter("groups", "groups are for a resource; people of the directory have theirs.")
    with db.reading() as session:
        get_organization(session, organization_id)
        if body.resource is not None:
            tried = preview_resource(session, organization_id, mapping, body.resource, body.groups or [])
        elif body.user_id is not None:
            tried = preview_person(session, organization_id, mapping, body.user_id)
        else:
            return _page(session, organization_id, mapping)
    counts = (1, int(bool(tried.changes)), int(bool(tried.warnings)), int(tried.lets_go))
    return jsonify(
        data=[preview_object(tried)],
        meta={"next_cursor": None, "total": 1, **dict(zip(COUNTED, counts, strict=True))},
    )


def _page(session: Session, organization_id: str, mapping: Mapping) -> Response:
    """Return one page of the whole directory. The cursor carries the counts of the pages before."""
    after, before = _preview_cursor()
    found = preview_directory(session, organization_id, mapping, after=after, limit=page_limit())
    counts = [so_far + getattr(found, name) for name, so_far in zip(COUNTED, before, strict=True)]
    following = None if found.last is None else encode_cursor(":".join((found.last, *map(str, counts))))
    return jsonify(
        data=[preview_object(one) for one in found.previews],
        meta={
            "next_cursor": following,
            "total": max(count_people(session, organization_id), counts[0]),
            **dict(zip(COUNTED, counts, strict=True)),
        },
    )


def _preview_cursor() -> tuple[str | None, list[int]]:
    """Return where a preview goes on, and what was counted before, as ``COUNTED`` names it."""
    cursor = page_cursor()
    if cursor is None:
        return None, [0] * len(COUNTED)
    last, *counts = cursor.split(":")
    if len(counts) != len(COUNTED) or not all(count.isdigit() and len(count) < 12 for count in counts):
        raise bad_parameter("cursor", "cursor is none that a preview gave.")
    return last, [int(count) for count in counts]
