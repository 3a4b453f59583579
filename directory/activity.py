"""The activity log: what the IdP asked for, what became of it, and what its admin should know."""

from sqlalchemy.orm import Session

from clock import now_ms
from directory.directories import Directory
from ids import new_id
from models import DirectoryActivity

DETAIL_LENGTH = 1000
WARNINGS = 20


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
    session.flush()
