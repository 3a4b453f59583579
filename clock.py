"""Time: stored and answered as integer Unix milliseconds, shown to SCIM clients as RFC 3339 UTC."""

import time
from datetime import UTC, datetime


def now_ms() -> int:
    """Return the present moment in Unix milliseconds."""
    return time.time_ns() // 1_000_000


def to_datetime(milliseconds: int) -> datetime:
    """Return Unix milliseconds as an aware UTC datetime."""
    seconds, rest = divmod(milliseconds, 1000)
    return datetime.fromtimestamp(seconds, UTC).replace(microsecond=rest * 1000)


def to_rfc3339(milliseconds: int) -> str:
    """Return Unix milliseconds as SCIM writes a dateTime (RFC 7643 §2.3.5): ``2026-01-31T09:30:00.125000Z``."""
    return to_datetime(milliseconds).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
