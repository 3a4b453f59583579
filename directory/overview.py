"""The state of one organization's directory at a glance."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import String, and_, cast, func, or_, select
from sqlalchemy.orm import Session

from directory.memberships import count_admins
from models import DirectoryActivity, DirectoryGroup, DirectoryUser, ScimToken

RECENT_REQUESTS = 500
SHOWN_TROUBLES = 5


@dataclass(frozen=True)
class Trouble:
    """A request of the IdP that was refused, or that succeeded with something to know."""

    method: str
    path: str
    status: int
    sentences: Sequence[str]
    occurred_at: int

    @property
    def refused(self) -> bool:
        """Tell whether the request was refused."""
        return self.status >= 400


@dataclass(frozen=True)
class Overview:
    """Counts, the last call, and what went wrong lately; times in Unix milliseconds."""

    active_people: int
    inactive_people: int
    groups: int
    usable_tokens: int
    last_call_at: int | None
    last_caller: str | None
    troubles: Sequence[Trouble]
    has_admin: bool

    @property
    def state(self) -> str:
        """Return ``no_token``, ``waiting`` (no call yet), ``connected``, or ``cut_off`` (no usable token)."""
        if self.last_call_at is None:
            return "waiting" if self.usable_tokens else "no_token"
        return "connected" if self.usable_tokens else "cut_off"


def get_overview(session: Session, organization_id: str, now: int) -> Overview:
    """Return the state of an organization's directory."""
    active, inactive = count_people(session, organization_id)
    usable, last_call_at = _tokens(session, organization_id, now)
    return Overview(
        active_people=active,
        inactive_people=inactive,
        groups=count_groups(session, organization_id),
        usable_tokens=usable,
        last_call_at=last_call_at,
        last_caller=_last_caller(session, organization_id),
        troubles=list_troubles(session, organization_id),
        has_admin=count_admins(session, organization_id) > 0,
    )


def count_people(session: Session, organization_id: str) -> tuple[int, int]:
    """Return how many people are active and inactive; tombstones are neither."""
    counts: dict[bool, int] = {
        active: number
        for active, number in session.execute(
            select(DirectoryUser.active, func.count())
            .where(DirectoryUser.organization_id == organization_id, DirectoryUser.deleted_at.is_(None))
            .group_by(DirectoryUser.active)
        )
    }
    return counts.get(True, 0), counts.get(False, 0)


def count_groups(session: Session, organization_id: str) -> int:
    """Return how many groups the IdP pushed."""
    return session.scalar(select(func.count()).where(DirectoryGroup.organization_id == organization_id)) or 0


def _tokens(session: Session, organization_id: str, now: int) -> tuple[int, int | None]:
    """Return how many tokens can be used, and when any was used last."""
    usable = and_(ScimToken.revoked_at.is_(None), or_(ScimToken.expires_at.is_(None), ScimToken.expires_at > now))
    row = session.execute(
        select(func.count().filter(usable), func.max(ScimToken.last_used_at)).where(
            ScimToken.organization_id == organization_id
        )
    ).one()
    return row[0], row[1]


def _last_caller(session: Session, organization_id: str) -> str | None:
    """Return how the IdP called itself in its latest logged request."""
    query = (
        select(DirectoryActivity.user_agent)
        .where(DirectoryActivity.organization_id == organization_id)
        .order_by(DirectoryActivity.id.desc())
        .limit(1)
    )
    return session.scalar(query)


def list_troubles(session: Session, organization_id: str, limit: int = SHOWN_TROUBLES) -> Sequence[Trouble]:
    """Return the latest refusals and warnings among the recent requests, the latest first."""
    # Looking at the latest requests only keeps the query short, however long the log is.
    recent = (
        select(DirectoryActivity)
        .where(DirectoryActivity.organization_id == organization_id)
        .order_by(DirectoryActivity.id.desc())
        .limit(RECENT_REQUESTS)
        .subquery()
    )
    columns = recent.c
    query = (
        select(columns.method, columns.path, columns.status, columns.detail, columns.warnings, columns.occurred_at)
        .where(or_(columns.status >= 400, cast(columns.warnings, String) != "[]"))
        .order_by(columns.occurred_at.desc())
        .limit(limit)
    )
    return [
        Trouble(method, path, status, [detail, *warnings] if detail else warnings, occurred_at)
        for method, path, status, detail, warnings, occurred_at in session.execute(query)
    ]
