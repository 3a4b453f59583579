"""The attribute mapping of a directory: read, replaced, and applied to a directory user."""

from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from clock import now_ms
from directory.mapping import Mapping, compile_mapping, compile_stored_mapping
from models import AttributeMapping


def find_mapping_override(session: Session, organization_id: str) -> AttributeMapping | None:
    """Return what an organization overrides of the default mapping, or None."""
    return session.get(AttributeMapping, organization_id)


def load_mapping(session: Session, organization_id: str) -> Mapping:
    """Return the effective mapping of an organization: the defaults under its override."""
    query = select(AttributeMapping.mapping).where(AttributeMapping.organization_id == organization_id)
    return compile_stored_mapping(session.scalar(query) or {})


def replace_mapping(session: Session, organization_id: str, mapping: dict[str, Any]) -> AttributeMapping:
    """Replace the override of an organization; an empty one brings the defaults back.

    It is used for every write of the IdP from now on.

    :raises InvalidInput: When an entry cannot work; nothing is saved then.
    """
    compile_mapping(mapping)
    override = session.get(AttributeMapping, organization_id, with_for_update=True)
    if override is None:
        override = AttributeMapping(organization_id=organization_id, mapping=mapping, version=1, updated_at=now_ms())
        session.add(override)
    else:
        override.mapping, override.version, override.updated_at = mapping, override.version + 1, now_ms()
    session.flush()
    return override
