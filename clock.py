"""Time: stored and answered as integer Unix milliseconds, shown to SCIM clients as RFC 3339 UTC."""

import time
from datetime import UTC, datetime
from functools import lru_cache


def now_ms() -> int:
    """Return the present moment in Unix milliseconds."""
    return time.time_ns() // 1_000_000


def to_datetime(milliseconds: int) -> datetime:
    """Return Unix milliseconds as an aware UTC datetime."""
    seconds, rest = divmod(milliseconds, 1000)
    return datetime.fromtimestamp(seconds, UTC).replace(microsecond=rest * 1000)


def to_rfc3339(milliseconds: int) -> str:
    """Return Unix milliseconds as SCIM writes a dateTime (RFC 7643 §2.3.5): ``2026-01-31T09:30:00.125000Z``.

    A whole second has no fraction, as in what the protocol library writes: a
    resource looks the same however it is answered.
    """
    seconds, rest = divmod(milliseconds, 1000)
    return f"{_second(seconds)}.{rest:03}000Z" if rest else f"{_second(seconds)}Z"


@lru_cache(1024)
def _second(seconds: int) -> str:
    """Return a second without its zone. Those who are read together were often made in the same one."""
    return datetime.fromtimestamp(seconds, UTC).isoformat().removesuffix("+00:00")
