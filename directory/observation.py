"""What was seen of an IdP while it is being connected: its calls, what was wrong with them, and a test person's way."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, func, or_, select
from sqlalchemy.orm import Session

from directory.mappings import read_mapping
from ids import first_id
from models import DirectoryActivity, DirectoryUser, OrganizationMembership, Role, ScimToken, User

# What keeps an IdP from calling at all. Other refusals are about one person or group.
CONNECTION_REASONS = frozenset(
    {
        "token_revoked",
        "token_expired",
        "token_garbled",
        "bearer_missing",
        "bearer_twice",
        "base_url_wrong",
        "directory_disabled",
    }
)
LOOKED_AT = 500
NAMED = 3


@dataclass(frozen=True)
class Sighting:
    """One entry of the activity log, with the token it came with; times in Unix milliseconds."""

    id: str
    action: str
    status: int
    reason: str | None
    detail: str | None
    path: str
    user_agent: str | None
    target_label: str | None
    occurred_at: int
    token_name: str | None
    token_prefix: str | None
    token_revoked_at: int | None
    token_expires_at: int | None


@dataclass(frozen=True)
class Connection:
    """Whether the IdP gets through: usable tokens, its latest call, and what the log saw last."""

    usable_tokens: int
    last_call_at: int | None
    success: Sighting | None
    refusal: Sighting | None

    @property
    def verdict(self) -> str:
        """Return ``no_token``, ``waiting`` (no call yet), ``wrong`` (it is refused) or ``connected``."""
        if self.refusal is not None and (self.success is None or self.refusal.id > self.success.id):
            if self.refusal.reason in CONNECTION_REASONS:
                return "wrong"
            if self.last_call_at is None:
                return "waiting"
        if self.success is None and self.last_call_at is None:
            return "waiting" if self.usable_tokens else "no_token"
        return "connected" if self.usable_tokens else "no_token"


@dataclass(frozen=True)
class TrialPerson:
    """Somebody whom the IdP assigned, took away and assigned again, as far as that was seen."""

    user_id: str
    label: str
    assigned_at: int
    unassigned_at: int | None
    reassigned_at: int | None
    is_member: bool
    role_name: str | None
    missing: Sequence[str]

    @property
    def steps_seen(self) -> int:
        """How many of the three steps were seen."""
        return 1 + (self.unassigned_at is not None) + (self.reassigned_at is not None)


@dataclass(frozen=True)
class Diagnosis:
    """Something that goes wrong often: whether it was seen here, when last, and by what."""

    key: str
    seen_at: int | None = None
    evidence: str | None = None


def watch_connection(session: Session, organization_id: str, now: int) -> Connection:
    """Return whether an organization's IdP gets through, and what is wrong where it does not."""
    usable = ScimToken.revoked_at.is_(None) & or_(ScimToken.expires_at.is_(None), ScimToken.expires_at > now)
    tokens, last_call_at = session.execute(
        select(func.count().filter(usable), func.max(ScimToken.last_used_at)).where(
            ScimToken.organization_id == organization_id
        )
    ).one()
    columns = DirectoryActivity.status, DirectoryActivity.action
    return Connection(
        usable_tokens=tokens,
        last_call_at=last_call_at,
        success=_latest(session, organization_id, columns[0] < 400, columns[1] != "mapped"),
        refusal=_latest(session, organization_id, columns[0] >= 400, columns[1] != "mapped"),
    )


def _latest(session: Session, organization_id: str, *conditions: ColumnElement[bool]) -> Sighting | None:
    """Return the latest entry of an organization's log that meets the conditions."""
    row = session.execute(
        select(
            DirectoryActivity.id,
            DirectoryActivity.action,
            DirectoryActivity.status,
            DirectoryActivity.reason,
            DirectoryActivity.detail,
            DirectoryActivity.path,
            DirectoryActivity.user_agent,
            DirectoryActivity.target_label,
            DirectoryActivity.occurred_at,
            ScimToken.name.label("token_name"),
            ScimToken.prefix.label("token_prefix"),
            ScimToken.revoked_at.label("token_revoked_at"),
            ScimToken.expires_at.label("token_expires_at"),
        )
        .outerjoin(
            ScimToken,
            (ScimToken.id == DirectoryActivity.token_id)
            & (ScimToken.organization_id == DirectoryActivity.organization_id),
        )
        .where(DirectoryActivity.organization_id == organization_id, *conditions)
        .order_by(DirectoryActivity.id.desc())
        .limit(1)
    ).one_or_none()
    return None if row is None else Sighting(**row._mapping)


def find_trial_person(session: Session, organization_id: str, since: int) -> TrialPerson | None:
    """Return who got furthest on the way assigned, unassigned, assigned again since a moment; the latest of equals."""
    columns = DirectoryActivity
    rows = session.execute(
        select(columns.target_id, columns.target_label, columns.action, columns.occurred_at)
        .where(
            columns.organization_id == organization_id,
            columns.id >= first_id("req", since),
            columns.target_type == "User",
            columns.action.in_(("created", "restored", "activated", "deactivated", "deleted")),
        )
        .order_by(columns.id.desc())
        .limit(LOOKED_AT)
    ).all()
    ways: dict[str, list[tuple[str, int]]] = {}
    labels: dict[str, str] = {}
    for target_id, label, action, occurred_at in reversed(rows):
        user_id = str(target_id)
        ways.setdefault(user_id, []).append((action, occurred_at))
        labels[user_id] = label or user_id
    people = [(user_id, steps) for user_id, way in ways.items() if (steps := _steps(way))]
    if not people:
        return None
    user_id, steps = max(people, key=lambda person: (len(person[1]), person[1][0]))
    return _trial_person(session, organization_id, user_id, labels[user_id], steps)


def _steps(way: Sequence[tuple[str, int]]) -> list[int]:
    """Return when somebody was assigned, unassigned and assigned again, as far as it came."""
    times: list[int] = []
    for action, occurred_at in way:
        leaves = action in ("deactivated", "deleted")
        if len(times) < 3 and leaves == (len(times) == 1):
            times.append(occurred_at)
    return times


def _trial_person(
    session: Session, organization_id: str, user_id: str, label: str, steps: Sequence[int]
) -> TrialPerson | None:
    """Return a test person with what the product knows of them now."""
    row = session.execute(
        select(User.first_name, User.last_name, User.email_address, Role.name)
        .select_from(User)
        .join(DirectoryUser, DirectoryUser.user_id == User.id)
        .outerjoin(
            OrganizationMembership,
            (OrganizationMembership.user_id == User.id)
            & (OrganizationMembership.organization_id == organization_id)
            & OrganizationMembership.deleted_at.is_(None),
        )
        .outerjoin(Role, Role.id == OrganizationMembership.role_id)
        .where(DirectoryUser.organization_id == organization_id, User.id == user_id)
    ).one_or_none()
    if row is None:
        return None
    named = zip(("first name", "last name", "e-mail address"), row[:3], strict=True)
    missing = [name for name, value in named if not value] if row[3] is not None else []
    times: list[int | None] = [*steps, *[None] * (3 - len(steps))]
    return TrialPerson(user_id, label, steps[0], times[1], times[2], row[3] is not None, row[3], missing)


# -- What goes wrong often ------------------------------------------------------------------


def list_diagnoses(session: Session, organization_id: str, since: int) -> list[Diagnosis]:
    """Return what goes wrong often, each with whether it was seen since a moment."""
    return [
        _refused(session, organization_id, since, "unauthorized", DirectoryActivity.status == 401),
        _refused(session, organization_id, since, "base_url", DirectoryActivity.reason == "base_url_wrong"),
        _refused(session, organization_id, since, "switched_off", DirectoryActivity.reason == "directory_disabled"),
        _nameless(session, organization_id, since),
        _groups_without_roles(session, organization_id, since),
        _refused(session, organization_id, since, "rate_limited", DirectoryActivity.status == 429),
    ]


def _refused(session: Session, organization_id: str, since: int, key: str, condition: ColumnElement[bool]) -> Diagnosis:
    seen = _latest(session, organization_id, condition, DirectoryActivity.id >= first_id("req", since))
    return Diagnosis(key) if seen is None else Diagnosis(key, seen.occurred_at, seen.detail)


def _nameless(session: Session, organization_id: str, since: int) -> Diagnosis:
    """Tell who arrived without a first name, and has none still."""
    rows = session.execute(
        select(DirectoryActivity.target_label, DirectoryActivity.occurred_at)
        .join(DirectoryUser, DirectoryUser.user_id == DirectoryActivity.target_id)
        .join(User, User.id == DirectoryUser.user_id)
        .where(
            DirectoryActivity.organization_id == organization_id,
            DirectoryUser.organization_id == organization_id,
            DirectoryActivity.id >= first_id("req", since),
            DirectoryActivity.action.in_(("created", "restored")),
            DirectoryActivity.target_type == "User",
            DirectoryUser.active,
            DirectoryUser.deleted_at.is_(None),
            User.managed_by_organization_id == organization_id,
            or_(User.first_name.is_(None), User.first_name == ""),
        )
        .order_by(DirectoryActivity.id.desc())
        .limit(NAMED)
    ).all()
    if not rows:
        return Diagnosis("nameless")
    return Diagnosis("nameless", rows[0].occurred_at, ", ".join(label or "" for label, _ in rows))


def _groups_without_roles(session: Session, organization_id: str, since: int) -> Diagnosis:
    """Tell which groups brought members and gave nobody a role."""
    rows = session.execute(
        select(DirectoryActivity.target_label, DirectoryActivity.effects, DirectoryActivity.occurred_at)
        .where(
            DirectoryActivity.organization_id == organization_id,
            DirectoryActivity.id >= first_id("req", since),
            DirectoryActivity.target_type == "Group",
            DirectoryActivity.action.in_(("created", "updated")),
        )
        .order_by(DirectoryActivity.id.desc())
        .limit(LOOKED_AT)
    ).all()
    joined = [row for row in rows if any(effect["changes"].get("joined") for effect in row.effects)]
    if not joined or any("role" in effect["changes"] for row in joined for effect in row.effects):
        return Diagnosis("groups")
    names = ", ".join(dict.fromkeys(f"“{row.target_label}”" for row in joined[:NAMED]))
    reads = read_mapping(session, organization_id).reads_groups
    why = "The mapping reads groups, and none of these gives a role" if reads else "The mapping reads no groups yet"
    return Diagnosis("groups", joined[0].occurred_at, f"{why}: {names}.")
