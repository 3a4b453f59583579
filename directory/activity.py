"""The activity log: what the IdP asked for, what became of it, and what its admin should know."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field
from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import Session
from typing_extensions import TypedDict

from clock import now_ms
from directory.directories import Directory
from ids import first_id, new_id
from models import DirectoryActivity
from webhooks.representations import Moment

DETAIL_LENGTH = 1000
WARNINGS = 20


class ScimActivityObject(TypedDict):
    """A request of an identity provider that wrote or was refused."""

    id: str
    object: Literal["scim_activity"]
    organization_id: str
    scim_token_id: str | None
    method: str
    path: str
    status: int
    detail: Annotated[str | None, Field(description="Why it was refused.")]
    warnings: Annotated[list[str], Field(description="What the admin should know of it.")]
    user_agent: str | None
    occurred_at: Moment


def record_activity(
    session: Session,
    directory: Directory,
    *,
    method: str,
    path: str,
    status: int,
    detail: str | None = None,
    user_agent: str | None = None,
) -> None:
    """Write one request of an IdP into the log. Bodies are not kept: they hold people's data, and passwords."""
    session.add(
        DirectoryActivity(
            id=new_id("req"),
            organization_id=directory.organization_id,
            token_id=directory.token_id,
            method=method,
            path=path[:DETAIL_LENGTH],
            status=status,
            detail=detail[:DETAIL_LENGTH] if detail else None,
            warnings=list(dict.fromkeys(directory.warnings))[:WARNINGS],
            user_agent=user_agent[:200] if user_agent else None,
            occurred_at=now_ms(),
        )
    )


@dataclass(frozen=True)
class ActivityFilter:
    """Which requests are wanted; what is None is not asked for. Moments are in Unix milliseconds.

    ``status_class`` is 2 for those that succeeded, 4 for those refused, 5 for those that failed. ``about`` is the id of
    a person or group whom the address names.
    """

    status_class: int | None = None
    method: str | None = None
    about: str | None = None
    token_id: str | None = None
    since: int | None = None
    until: int | None = None

    def conditions(self) -> Iterator[ColumnElement[bool]]:
        """Yield what must hold of a request."""
        request = DirectoryActivity
        if self.status_class is not None:
            yield request.status.between(self.status_class * 100, self.status_class * 100 + 99)
        if self.method is not None:
            yield request.method == self.method
        if self.about is not None:
            yield request.path.contains(f"/{self.about}", autoescape=True)
        if self.token_id is not None:
            yield request.token_id == self.token_id
        if self.since is not None:
            yield request.id >= first_id("req", self.since)
        if self.until is not None:
            yield request.id < first_id("req", self.until)


EVERYTHING = ActivityFilter()


def list_activity(
    session: Session,
    organization_id: str,
    wanted: ActivityFilter = EVERYTHING,
    *,
    limit: int,
    before: str | None = None,
) -> Sequence[DirectoryActivity]:
    """Return one page of the log, the latest first; ``before`` is the id of the last one of the page before."""
    query = select(DirectoryActivity).where(DirectoryActivity.organization_id == organization_id, *wanted.conditions())
    if before is not None:
        query = query.where(DirectoryActivity.id < before)
    return session.scalars(query.order_by(DirectoryActivity.id.desc()).limit(limit)).all()


def activity_object(activity: DirectoryActivity) -> ScimActivityObject:
    """Return a request of an IdP as the JSON API shows it."""
    return {
        "id": activity.id,
        "object": "scim_activity",
        "organization_id": activity.organization_id,
        "scim_token_id": activity.token_id,
        "method": activity.method,
        "path": activity.path,
        "status": activity.status,
        "detail": activity.detail,
        "warnings": activity.warnings,
        "user_agent": activity.user_agent,
        "occurred_at": activity.occurred_at,
    }
