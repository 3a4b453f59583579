"""When a failed delivery is tried again. Pure: the time and the randomness are given.

A delivery is tried at once, and then after 1 and 5 and 30 minutes, 1, 6, 12 and
24 hours, each counted from the attempt before it: eight attempts within 44
hours and a little. Jitter only lengthens a wait, by up to a tenth, so that a
receiver that comes back is not met by everything at the same moment.

``Retry-After`` can lengthen a wait too, up to 24 hours, and never shorten it: a
receiver may ask for more time, but not to be called more often than it would be.
"""

from collections.abc import Callable
from datetime import UTC
from email.utils import parsedate_to_datetime

MINUTE = 60_000
HOUR = 60 * MINUTE
RETRY_DELAYS = (MINUTE, 5 * MINUTE, 30 * MINUTE, HOUR, 6 * HOUR, 12 * HOUR, 24 * HOUR)
JITTER = 0.1
LONGEST_RETRY_AFTER = 24 * HOUR


def next_attempt_at(
    failed_attempts: int, now: int, random: Callable[[], float], retry_after: int | None = None
) -> int | None:
    """Return when to try again, in Unix milliseconds, or None when the delivery has failed for good.

    :param failed_attempts: How many attempts have failed, the one just made included.
    :param now: When that attempt ended, in Unix milliseconds.
    :param random: Gives a number from 0 to 1.
    :param retry_after: How long the receiver asked to wait, in milliseconds.
    """
    if failed_attempts > len(RETRY_DELAYS):
        return None
    delay = RETRY_DELAYS[failed_attempts - 1]
    return now + max(round(delay * (1 + JITTER * random())), retry_after or 0)


def retry_after_ms(header: str | None, now: int) -> int | None:
    """Return the wait that a ``Retry-After`` header asks for (RFC 9110 §10.2.3), at most 24 hours, in milliseconds.

    Both of its forms are read: seconds, and a date, which is compared with
    ``now``. None when there is no header, or none that can be understood.
    """
    if header is None:
        return None
    text = header.strip()
    if text.isascii() and text.isdigit():
        # Only the first digits count: an absurdly long number is more than the cap in any case.
        return min(int(text[:9]) * 1000, LONGEST_RETRY_AFTER)
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, OverflowError):  # the latter for a time zone beyond all numbers
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0, min(int(moment.timestamp() * 1000) - now, LONGEST_RETRY_AFTER))
