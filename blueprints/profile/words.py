"""Times, names and sources in words, as filters of the templates."""

import re
from urllib.parse import urlsplit
from zlib import crc32

from flask import Blueprint
from markupsafe import Markup, escape

from clock import now_ms, to_datetime

MINUTE = 60_000
HOUR = 60 * MINUTE
DAY = 24 * HOUR
TINTS = 6

ROLE_SOURCES = {
    "default": "Default role",
    "mapping": "Attribute mapping",
    "manual": "Set by hand",
}

WAYS_IN = {"sign_in_link": "by a one-time link", "setup_link": "by a setup link", "password": "by password"}
# What user agents call themselves, the most telling name first: Chrome says Safari too, Edge says all of them.
BROWSERS = (("Edg", "Edge"), ("OPR/", "Opera"), ("Firefox/", "Firefox"), ("Chrome/", "Chrome"), ("Safari/", "Safari"))
SYSTEMS = (
    ("Android", "Android"),
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Windows", "Windows"),
    ("Mac OS", "macOS"),
    ("CrOS", "ChromeOS"),
    ("Linux", "Linux"),
)


def day(milliseconds: int) -> str:
    """Return a moment as a day in UTC, such as ``3 Nov 2025``."""
    moment = to_datetime(milliseconds)
    return f"{moment.day} {moment:%b %Y}"


def minute(milliseconds: int) -> str:
    """Return a moment to the minute, such as ``3 Nov 2025, 14:05 UTC``."""
    return f"{day(milliseconds)}, {to_datetime(milliseconds):%H:%M} UTC"


def second(milliseconds: int) -> str:
    """Return a moment to the second, such as ``3 Nov 2025, 14:05:09 UTC``."""
    return f"{day(milliseconds)}, {to_datetime(milliseconds):%H:%M:%S} UTC"


def machine_time(milliseconds: int) -> str:
    """Return a moment as the ``datetime`` attribute of HTML wants it."""
    return f"{to_datetime(milliseconds):%Y-%m-%dT%H:%M:%SZ}"


def ago(milliseconds: int, now: int | None = None) -> str:
    """Return how long ago a moment was, such as ``4 minutes ago``; after a month, its day."""
    passed = (now_ms() if now is None else now) - milliseconds
    if passed < MINUTE:
        return "just now"
    for unit, name, end in ((MINUTE, "minute", HOUR), (HOUR, "hour", DAY), (DAY, "day", 31 * DAY)):
        if passed < end:
            return f"{counted(passed // unit, name)} ago"
    return f"on {day(milliseconds)}"


def lately(milliseconds: int, now: int | None = None) -> str:
    """Return how long ago a moment was, to the second in the last minute: ``4 seconds ago``."""
    passed = (now_ms() if now is None else now) - milliseconds
    return f"{counted(max(1, passed // 1000), 'second')} ago" if passed < MINUTE else ago(milliseconds, now)


def weekday(milliseconds: int, now: int | None = None) -> str:
    """Return a moment as somebody would name its day: ``today at 14:05 UTC``, ``on Monday``, ``on 3 Nov 2025``."""
    moment, today = to_datetime(milliseconds), to_datetime(now_ms() if now is None else now)
    days = (today.date() - moment.date()).days
    if days == 0:
        return f"today at {moment:%H:%M} UTC"
    if days == 1:
        return "yesterday"
    return f"on {moment:%A}" if 1 < days < 7 else f"on {day(milliseconds)}"


def marked(text: str) -> Markup:
    """Return a sentence of a guide as HTML: ``**bold**`` and code in backquotes."""
    html = str(escape(text))
    html = re.sub(r"\*\*(.+?)\*\*", r"<b>\1</b>", html)
    return Markup(re.sub(r"`(.+?)`", r"<code translate='no'>\1</code>", html))  # noqa: S704  (escaped above)


def until(milliseconds: int, now: int | None = None) -> str:
    """Return how far ahead a moment is, such as ``in 4 minutes``; ``now`` for one that is over."""
    ahead = milliseconds - (now_ms() if now is None else now)
    if ahead <= 0:
        return "now"
    if ahead < MINUTE:
        return f"in {counted(max(1, ahead // 1000), 'second')}"
    for unit, name, end in ((MINUTE, "minute", HOUR), (HOUR, "hour", 2 * DAY)):
        if ahead < end:
            return f"in {counted(ahead // unit, name)}"
    return f"on {day(milliseconds)}"


def host(url: str) -> str:
    """Return the host of an address; the rest of it may hold a secret."""
    return urlsplit(url).hostname or url


def counted(number: int, noun: str, plural: str | None = None) -> str:
    """Return a number with its noun, such as ``1 person`` or ``1,204 people``."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def role_source(source: str) -> str:
    """Return in words where a member's role comes from."""
    return ROLE_SOURCES.get(source, source)


def way_in(proven_by: str) -> str:
    """Return in words how somebody signed in."""
    return WAYS_IN.get(proven_by, proven_by)


def browser(user_agent: str | None) -> str:
    """Return in words what a user agent says it is, such as ``Firefox on Linux``; it may say what it likes."""
    said = user_agent or ""
    name = next((name for mark, name in BROWSERS if mark in said), None)
    system = next((name for mark, name in SYSTEMS if mark in said), None)
    return f"{name or 'A browser'} on {system}" if system else name or "A browser"


def initials(name: str) -> str:
    """Return one or two letters that stand for a name; a question mark where it has no letters."""
    words = [word for word in name.partition("@")[0].split() if word[0].isalnum()]
    if not words:
        return "?"
    return "".join(word[0] for word in (words if len(words) < 2 else (words[0], words[-1]))).upper()


def tint(key: str) -> int:
    """Return the number of the colour that marks a person, the same on every page."""
    return crc32(key.encode()) % TINTS


def add_filters(bp: Blueprint) -> None:
    """Make the words available in all templates."""
    for words in (
        day,
        minute,
        second,
        until,
        host,
        machine_time,
        ago,
        lately,
        weekday,
        marked,
        counted,
        role_source,
        way_in,
        browser,
        initials,
        tint,
    ):
        bp.add_app_template_filter(words)
