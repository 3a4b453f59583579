"""Drafts of an attribute mapping: changed step by step, tried, and saved as a whole or thrown away.

Each author has a draft of their own, which nobody else sees. It remembers the
version that it was made from, so that two who change the mapping at the same
time are told of each other, and neither overwrites the other unknowingly.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import delete
from sqlalchemy.orm import Session

from clock import now_ms
from directory.mappings import find_mapping_override, replace_mapping
from errors import VersionMismatch
from models import AttributeMapping, MappingDraft, Organization

Override = dict[str, Any]
# A draft that nobody touched for so long is thrown away when another one is begun.
FORGOTTEN_AFTER_MS = 30 * 24 * 3600 * 1000

MAPPING_CHANGED = "mapping_changed"
DRAFT_CHANGED = "draft_changed"


@dataclass(frozen=True)
class Editing:
    """What somebody is editing: their draft, or the saved mapping where they have none.

    ``saved`` and ``version`` are what is saved now, ``{}`` and 0 for the
    defaults. ``revision`` is 0 without a draft. ``base_version`` is the version
    that the draft was made from.
    """

    mapping: Override
    saved: Override
    version: int
    base_version: int
    revision: int

    @property
    def is_draft(self) -> bool:
        """Whether there is anything that is not saved."""
        return self.revision > 0

    @property
    def is_overtaken(self) -> bool:
        """Whether somebody saved another mapping since the draft was begun."""
        return self.is_draft and self.base_version != self.version

    @property
    def differing_paths(self) -> list[str]:
        """The paths of which the draft says something else than what is saved."""
        paths = dict.fromkeys([*self.mapping, *self.saved])
        return [path for path in paths if self.mapping.get(path) != self.saved.get(path)]


def read_editing(session: Session, organization_id: str, author_id: str) -> Editing:
    """Return what an author is editing."""
    override = find_mapping_override(session, organization_id)
    draft = session.get(MappingDraft, (organization_id, author_id), populate_existing=True)
    saved, version = _saved(override)
    if draft is None:
        return Editing(saved, saved, version, version, 0)
    return Editing(draft.mapping, saved, version, draft.base_version, draft.revision)


def _saved(override: AttributeMapping | None) -> tuple[Override, int]:
    return (override.mapping, override.version) if override else ({}, 0)


def change_draft(
    session: Session, organization_id: str, author_id: str, change: Callable[[Override], Override]
) -> Editing:
    """Replace an author's draft by what ``change`` makes of it; the first change begins one.

    A draft that says what is saved is none: it is thrown away.
    """
    session.get_one(Organization, organization_id, with_for_update={"key_share": True})
    before = read_editing(session, organization_id, author_id)
    mapping = change(before.mapping)
    if as_text(mapping) == as_text(before.saved):
        drop_draft(session, organization_id, author_id)
        return read_editing(session, organization_id, author_id)
    draft = session.get(MappingDraft, (organization_id, author_id))
    if draft is None:
        _drop_forgotten(session, organization_id)
        draft = MappingDraft(
            organization_id=organization_id, author_id=author_id, base_version=before.version, revision=0
        )
        session.add(draft)
    draft.mapping, draft.revision, draft.updated_at = mapping, draft.revision + 1, now_ms()
    session.flush()
    return read_editing(session, organization_id, author_id)


def as_text(mapping: Override) -> str:
    """Return a mapping as text; the order of its entries means something."""
    return json.dumps(mapping)


def save_draft(session: Session, organization_id: str, author_id: str, *, revision: int, version: int) -> bool:
    """Make a draft the mapping of the organization, and have it applied; False where nothing was left to save.

    :param revision: That of the draft which the author looked at last.
    :param version: That of the saved mapping with which it was compared.
    :raises VersionMismatch: With the code ``mapping_changed`` when somebody saved
        another mapping since, ``draft_changed`` when the draft was changed since.
    :raises InvalidInput: When an entry cannot work; nothing is saved then.
    """
    session.get_one(Organization, organization_id, with_for_update={"key_share": True})
    editing = read_editing(session, organization_id, author_id)
    if editing.version != version:
        raise VersionMismatch("Somebody else saved another attribute mapping meanwhile.", code=MAPPING_CHANGED)
    if editing.revision != revision:
        raise VersionMismatch("Your draft was changed after this preview.", code=DRAFT_CHANGED)
    if not editing.is_draft:
        return False
    replace_mapping(session, organization_id, editing.mapping)
    drop_draft(session, organization_id, author_id)
    return True


def drop_draft(session: Session, organization_id: str, author_id: str) -> None:
    """Throw a draft away, if there is one."""
    draft = session.get(MappingDraft, (organization_id, author_id))
    if draft is not None:
        session.delete(draft)
        session.flush()


def _drop_forgotten(session: Session, organization_id: str) -> None:
    session.execute(
        delete(MappingDraft).where(
            MappingDraft.organization_id == organization_id,
            MappingDraft.updated_at < now_ms() - FORGOTTEN_AFTER_MS,
        )
    )
