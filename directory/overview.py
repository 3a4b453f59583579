"""The state of one organization's directory at a glance."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import String, and_, cast, func, or_, select
from sqlalchemy.orm import Session

from directory.memberships import count_admins
from directory.observation import CONNECTION_REASONS
from directory.remedies import Remedy, remedy_for
from ids import first_id
from models import DirectoryActivity, DirectoryGroup, DirectoryUser, ScimToken

RECENT_REQUESTS = 500
SHOWN_TROUBLES = 5
DAY_MS = 24 * 3600 * 1000
# An IdP that has nothing to change may be silent for days; after this long somebody should look.
QUIET_MS = 7 * DAY_MS
FAILING = 3


@dataclass(frozen=True)
class Trouble:
    """A request of the IdP that was refused, or that succeeded with something to know."""

    method: str
    path: str
    status: int
    sentences: Sequence[str]
    occurred_at: int
    id: str = ""
    reason: str | None = None
    label: str | None = None

    @property
    def remedy(self) -> Remedy | None:
        """What a refusal means and how it is mended; None of a success."""
        return remedy_for(self.reason) if self.refused else None

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
    errors_of_day: int
    is_failing: bool
    read_at: int

    @property
    def state(self) -> str:
        """Return the state in one word.

        ``no_token``, ``waiting`` (no call yet), ``cut_off`` (no usable token), ``failing`` (its latest calls were
        refused), ``quiet`` (nothing heard for a week) or ``connected``.
        """
        if self.last_call_at is None:
            return "waiting" if self.usable_tokens else "no_token"
        if not self.usable_tokens:
            return "cut_off"
        if self.is_failing:
            return "failing"
        return "quiet" if self.read_at - self.last_call_at > QUIET_MS else "connected"

    @property
    def quiet_days(self) -> int:
        """For how many whole days nothing was heard of the IdP."""
        return 0 if self.last_call_at is None else (self.read_at - self.last_call_at) // DAY_MS


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
        errors_of_day=_count_errors(session, organization_id, now - DAY_MS),
        is_failing=_is_failing(session, organization_id),
        read_at=now,
    )


def _count_errors(session: Session, organization_id: str, since: int) -> int:
    """Return how many requests were refused or failed since a moment."""
    query = select(func.count()).where(
        DirectoryActivity.organization_id == organization_id,
        DirectoryActivity.status >= 400,
        DirectoryActivity.id >= first_id("req", since),
    )
    return session.scalar(query) or 0


def _is_failing(session: Session, organization_id: str) -> bool:
    """Tell whether the IdP does not get through: its latest calls were all refused, or the latest one for good."""
    latest = session.execute(
        select(DirectoryActivity.status, DirectoryActivity.reason)
        .where(DirectoryActivity.organization_id == organization_id, DirectoryActivity.action != "mapped")
        .order_by(DirectoryActivity.id.desc())
        .limit(FAILING)
    ).all()
    if latest and latest[0].reason in CONNECTION_REASONS:
        return True
    return len(latest) == FAILING and all(row.status >= 400 for row in latest)


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
        select(
            columns.method,
            columns.path,
            columns.status,
            columns.detail,
            columns.warnings,
            columns.occurred_at,
            columns.id,
            columns.reason,
            columns.target_label,
        )
        .where(or_(columns.status >= 400, cast(columns.warnings, String) != "[]"))
        .order_by(columns.occurred_at.desc())
        .limit(limit)
    )
    return [
        Trouble(method, path, status, [detail, *warnings] if detail else warnings, occurred_at, *more)
        for method, path, status, detail, warnings, occurred_at, *more in session.execute(query)
    ]
