"""Activity: what the IdP asked for, what became of it, and how to mend what went wrong."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from flask import Blueprint, Response, render_template, request

from blueprints.profile.access import may, needs, signed_in
from blueprints.profile.exports import csv_lines, download, json_lines
from blueprints.profile.forms import printable
from blueprints.profile.words import machine_time
from database import db
from directory.activity import ACTIONS, activity_object
from directory.activity_search import (
    METHODS,
    TARGETS,
    WHAT,
    ActivityFilter,
    get_activity,
    list_activity,
    search_activity,
    token_names,
)
from directory.advice import advise
from models import DirectoryActivity
from organizations.roles import PROVISIONING_MANAGE, PROVISIONING_READ

bp = Blueprint("activity", __name__, url_prefix="/organization/directory-sync/activity")

EXPORTED_AT_ONCE = 500

PAGE_SIZE = 50
TEXT_LENGTH = 200
WHAT_WORDS = dict(
    zip(WHAT, ("Everything", "Writes", "What changed something", "Refused", "With a warning", "Tests"), strict=True)
)
TARGET_WORDS = dict(zip(TARGETS, ("People and groups", "People", "Groups"), strict=True))
HEADINGS = (
    *("time", "outcome", "status", "method", "path", "kind", "name", "id", "reason", "detail", "warnings"),
    *("token", "caller", "milliseconds", "request_id"),
)
# What an export holds for whoever may only read: no bodies, and no values of people's profiles.
FOR_ADMINS = ("request_body", "answer_body", "effects")


def chosen() -> tuple[dict[str, str], ActivityFilter]:
    """Return the filters of this address as they were written, and what they mean; nonsense means nothing."""
    written = {
        name: printable(request.args.get(name))[:TEXT_LENGTH]
        for name in ("what", "method", "kind", "target", "token", "bulk", "status", "q", "from", "to")
    }
    written["what"] = written["what"] if written["what"] in WHAT else ""
    written["method"] = written["method"] if written["method"] in METHODS else ""
    written["kind"] = written["kind"] if written["kind"] in TARGETS else ""
    status = written["status"] if written["status"].isascii() and written["status"].isdigit() else ""
    written["status"] = status if len(status) == 3 else ""
    since, until = day_of(written["from"]), day_of(written["to"])
    written["from"], written["to"] = (written["from"] if since else ""), (written["to"] if until else "")
    return {name: value for name, value in written.items() if value}, ActivityFilter(
        what=written["what"],
        status=int(written["status"]) if written["status"] else None,
        method=written["method"],
        target_type=written["kind"],
        target_id=written["target"],
        token_id=written["token"],
        parent_id=written["bulk"],
        words=written["q"],
        since=in_milliseconds(since) if since else None,
        until=in_milliseconds(until + timedelta(days=1)) if until else None,
    )


def day_of(text: str) -> datetime | None:
    """Return the beginning of a day such as 2026-03-01 in UTC, or None; of years in which there were computers."""
    try:
        day = datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError:
        return None
    return day if 1970 <= day.year <= 9000 else None


def in_milliseconds(moment: datetime) -> int:
    """Return a moment in Unix milliseconds."""
    return int(moment.timestamp()) * 1000


@bp.get("")
@needs(PROVISIONING_READ, PROVISIONING_MANAGE)
def show_activity() -> str:
    """Show one page of the requests that the filters of the address leave, the latest first."""
    written, wanted = chosen()
    organization_id = signed_in().organization_id
    with db.reading() as session:
        page = search_activity(
            session,
            organization_id,
            wanted,
            limit=PAGE_SIZE,
            older_than=printable(request.args.get("older_than")) or None,
            newer_than=printable(request.args.get("newer_than")) or None,
        )
        tokens = token_names(session, organization_id, [entry.token_id for entry in page.entries] + [wanted.token_id])
        session.expunge_all()
    return render_template(
        "profile/activity/list.html",
        page=page,
        filters=written,
        tokens=tokens,
        actions=ACTIONS,
        what_words=WHAT_WORDS,
        target_words=TARGET_WORDS,
        method_words={method: method or "Any" for method in METHODS},
    )


@bp.get("/<activity_id>")
@needs(PROVISIONING_READ, PROVISIONING_MANAGE)
def show_request(activity_id: str) -> str:
    """Show one request: what was sent and answered, what changed, and how to mend what went wrong."""
    organization_id = signed_in().organization_id
    with db.reading() as session:
        entry = get_activity(session, organization_id, activity_id)
        shown = {
            "advice": advise(session, entry),
            "token": token_names(session, organization_id, [entry.token_id]).get(entry.token_id or ""),
        }
        session.expunge_all()
    return render_template("profile/activity/request.html", entry=entry, actions=ACTIONS, pretty=pretty, **shown)


def pretty(body: str | None) -> str | None:
    """Return a kept body with a line for each member where it is whole JSON, else as it was kept."""
    if body is None:
        return None
    try:
        return json.dumps(json.loads(body), ensure_ascii=False, indent=2)
    except (ValueError, RecursionError):
        return body


# -- Export ---------------------------------------------------------------------------


@bp.get("/export")
@needs(PROVISIONING_READ, PROVISIONING_MANAGE)
def export() -> Response:
    """Return all requests that the filters of the address leave, as CSV or, with ``format=jsonl``, as JSON lines."""
    organization_id, (_, wanted) = signed_in().organization_id, chosen()
    if request.args.get("format") == "jsonl":
        hidden = () if may(PROVISIONING_MANAGE) else FOR_ADMINS
        entries = exported(organization_id, wanted, with_bodies=True)
        objects = (activity_object(entry) for entry, _ in entries)
        shown = ({name: value for name, value in one.items() if name not in hidden} for one in objects)
        return download(json_lines(shown), "activity.jsonl", "application/jsonl")
    entries = exported(organization_id, wanted, with_bodies=False)
    return download(csv_lines(HEADINGS, (cells(*item) for item in entries)), "activity.csv", "text/csv")


def exported(
    organization_id: str, wanted: ActivityFilter, *, with_bodies: bool
) -> Iterator[tuple[DirectoryActivity, str]]:
    """Yield each entry with the label of its token. Every few hundred are a transaction of their own."""
    last: str | None = None
    while True:
        with db.reading() as session:
            entries = list_activity(
                session, organization_id, wanted, limit=EXPORTED_AT_ONCE, older_than=last, with_bodies=with_bodies
            )
            tokens = token_names(session, organization_id, [entry.token_id for entry in entries])
            session.expunge_all()
        if not entries:
            return
        yield from ((entry, tokens.get(entry.token_id or "", "")) for entry in entries)
        last = entries[-1].id


def cells(entry: DirectoryActivity, token: str) -> tuple[Any, ...]:
    """Return an entry as a row of a spreadsheet."""
    return (
        machine_time(entry.occurred_at),
        ACTIONS.get(entry.action, entry.action),
        entry.status,
        entry.method,
        entry.path,
        entry.target_type,
        entry.target_label,
        entry.target_id,
        entry.reason,
        entry.detail,
        " ".join(entry.warnings),
        token,
        entry.user_agent,
        entry.duration_ms,
        entry.id,
    )
