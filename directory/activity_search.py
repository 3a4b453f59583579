"""Looking things up in the activity log: pages of it, narrowed, and all of it for an export."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from sqlalchemy import ColumnElement, Select, String, cast, or_, select
from sqlalchemy.orm import Session, undefer

from errors import NotFound
from ids import first_id
from models import DirectoryActivity, DirectorySetup, ScimToken

What = Literal["", "writes", "changes", "refused", "warned", "tests"]
WHAT: tuple[What, ...] = ("", "writes", "changes", "refused", "warned", "tests")
METHODS = ("", "POST", "PUT", "PATCH", "DELETE", "GET")
TARGETS = ("", "User", "Group")


@dataclass(frozen=True)
class ActivityFilter:
    """Which requests are wanted; empty means all. ``since`` and ``until`` are in Unix milliseconds.

    ``status_class`` is 2 for those that succeeded, 4 for those refused, 5 for those that failed.
    """

    what: str = ""
    status: int | None = None
    status_class: int | None = None
    method: str = ""
    target_type: str = ""
    target_id: str = ""
    token_id: str = ""
    parent_id: str = ""
    words: str = ""
    since: int | None = None
    until: int | None = None

    @property
    def is_empty(self) -> bool:
        """Whether nothing is left out."""
        return self == ActivityFilter()


@dataclass(frozen=True)
class ActivityPage:
    """One page, the latest first, and the ids beside which the pages around it begin, None where there are none."""

    entries: Sequence[DirectoryActivity]
    newer_than: str | None
    older_than: str | None


def search_activity(
    session: Session,
    organization_id: str,
    wanted: ActivityFilter,
    *,
    limit: int,
    older_than: str | None = None,
    newer_than: str | None = None,
) -> ActivityPage:
    """Return one page of an organization's activity log, without the bodies."""
    query, column = _matching(organization_id, wanted), DirectoryActivity.id
    if newer_than is not None:
        found = session.scalars(query.where(column > newer_than).order_by(column).limit(limit + 1)).all()
        entries = found[:limit][::-1]
        newer, older = (entries[0].id if len(found) > limit else None), (entries[-1].id if entries else None)
        return ActivityPage(entries, newer, older)
    if older_than is not None:
        query = query.where(column < older_than)
    found = session.scalars(query.order_by(column.desc()).limit(limit + 1)).all()
    entries = found[:limit]
    newer = entries[0].id if entries and older_than is not None else None
    return ActivityPage(entries, newer, entries[-1].id if len(found) > limit else None)


def list_activity(
    session: Session,
    organization_id: str,
    wanted: ActivityFilter,
    *,
    limit: int,
    older_than: str | None = None,
    with_bodies: bool = True,
) -> Sequence[DirectoryActivity]:
    """Return the next requests, the latest first; ``older_than`` is the id of the last one of the page before."""
    query = _matching(organization_id, wanted)
    if with_bodies:
        query = query.options(undefer(DirectoryActivity.request_body), undefer(DirectoryActivity.answer_body))
    if older_than is not None:
        query = query.where(DirectoryActivity.id < older_than)
    return session.scalars(query.order_by(DirectoryActivity.id.desc()).limit(limit)).all()


def get_activity(session: Session, organization_id: str, activity_id: str) -> DirectoryActivity:
    """Return one request with its bodies.

    :raises NotFound: When the organization's log has none of this id.
    """
    query = (
        select(DirectoryActivity)
        .where(DirectoryActivity.organization_id == organization_id, DirectoryActivity.id == activity_id)
        .options(undefer(DirectoryActivity.request_body), undefer(DirectoryActivity.answer_body))
    )
    found = session.scalar(query)
    if found is None:
        raise NotFound("No such request in the activity log.", code="activity_not_found")
    return found


def _matching(organization_id: str, wanted: ActivityFilter) -> Select[DirectoryActivity]:
    entry = DirectoryActivity
    query = select(entry).where(entry.organization_id == organization_id)
    for column, value in (
        (entry.status, wanted.status),
        (entry.method, wanted.method),
        (entry.target_type, wanted.target_type),
        (entry.target_id, wanted.target_id),
        (entry.token_id, wanted.token_id),
        (entry.parent_id, wanted.parent_id),
    ):
        if value:
            query = query.where(column == value)
    if wanted.status_class is not None:
        query = query.where(entry.status.between(wanted.status_class * 100, wanted.status_class * 100 + 99))
    if wanted.since is not None:
        query = query.where(entry.id >= first_id("req", wanted.since))
    if wanted.until is not None:
        query = query.where(entry.id < first_id("req", wanted.until))
    if wanted.words:
        texts = (entry.target_label, entry.path, entry.detail, entry.target_id, entry.user_agent, entry.id)
        query = query.where(or_(*(text.icontains(wanted.words, autoescape=True) for text in texts)))
    condition = _condition(wanted.what)
    return query if condition is None else query.where(condition)


def _condition(what: str) -> ColumnElement[bool] | None:
    entry = DirectoryActivity
    if what == "refused":
        return entry.status >= 400
    if what == "tests":
        return entry.action == "tested"
    if what == "warned":
        return cast(entry.warnings, String) != "[]"
    if what == "changes":
        return entry.action.not_in(("unchanged", "tested", "refused", "failed", "bulk"))
    return entry.method.not_in(("GET", "HEAD")) if what == "writes" else None


def token_names(session: Session, organization_id: str, token_ids: Sequence[str | None]) -> dict[str, str]:
    """Return the labels of tokens, with the beginning of each, by their ids."""
    query = select(ScimToken).where(ScimToken.organization_id == organization_id, ScimToken.id.in_(set(token_ids)))
    return {token.id: f"{token.name} ({token.prefix}…)" for token in session.scalars(query)}


def find_provider(session: Session, organization_id: str) -> str | None:
    """Return the key of the IdP that the admin said is connected, such as ``okta``, or None."""
    return session.scalar(select(DirectorySetup.provider).where(DirectorySetup.organization_id == organization_id))
