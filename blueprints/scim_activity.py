"""Which SCIM requests are written down in the activity log: those that write, fail or test the connection."""

import json
import logging
import re
import time
from collections.abc import Sequence
from typing import Any

from flask import Response, current_app, request
from redis import RedisError
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from blueprints.arrivals import Arrival, this_application, this_request
from blueprints.errors import trace_id
from database import db
from directory.activity import Call, Outcome, activity_entry, record_activity, record_entries
from directory.directories import Directory
from directory.kept_bodies import PARSED_BYTES, kept_query
from errors import Conflict
from ids import new_id
from organizations.scim_tokens import TokenHolder
from organizations.token_recognition import recognise_token
from scim.bulk import OperationResult
from scim.reasons import reason_of

log = logging.getLogger(__name__)

DISCOVERY = re.compile(r"/scim/v2/(ServiceProviderConfig|ResourceTypes|Schemas)(/[^/]+)?/?")
LISTS = re.compile(r"/scim/v2/(Users|Groups)/?")
# Names that nobody has, by which Entra ID and OneLogin try whether a look-up works.
NOBODY = re.compile(r"""AzureAD_Test|\beq ["'][0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}["']""", re.IGNORECASE)
RESOURCE = re.compile(r"/scim/v2/(Users|Groups)/[^/]+/?")
# What an IdP repeats many times in a second is written down once in this time.
REPEATED_MS = {"tested": 2_000, "rate_limited": 10_000, 401: 5_000}


def call_of(arrival: Arrival, *, keep_bodies: bool) -> Call:
    """Return a request as the log keeps it."""
    sent = arrival.query_string
    query = kept_query(sent.decode("latin-1")) if sent and keep_bodies else ""
    return Call(arrival.trace_id, arrival.method, arrival.path + query, arrival.scim_body, user_agent(arrival))


def user_agent(arrival: Arrival) -> str | None:
    """Return what the client of a request calls itself, or None."""
    return arrival.environ.get("HTTP_USER_AGENT") or None


def keeps_bodies() -> bool:
    """Tell whether this deployment keeps what was sent and answered."""
    return bool(this_application().config["ACTIVITY_BODIES"])


def milliseconds(arrival: Arrival) -> int:
    """Return how long a request has taken so far."""
    return round((time.perf_counter() - arrival.began_at) * 1000)


def log_write(session: Session, directory: Directory, status: int, text: str | None, detail: str | None = None) -> None:
    """Write a request that succeeded into the log, in its own transaction."""
    arrival, keep = this_request(), keeps_bodies()
    outcome = Outcome(status, text.encode() if text else None, detail, duration_ms=milliseconds(arrival))
    record_activity(session, directory, call_of(arrival, keep_bodies=keep), outcome, keep_bodies=keep)


def log_operations(session: Session, directory: Directory, results: Sequence[OperationResult]) -> None:
    """Write the operations of a Bulk request into the log, each as if it had come alone."""
    parent, agent, keep = trace_id(), user_agent(this_request()), keeps_bodies()
    record_entries(session, [_entry_of(directory, result, parent, agent, keep_bodies=keep) for result in results])


def _entry_of(
    directory: Directory, result: OperationResult, parent: str, agent: str | None, *, keep_bodies: bool
) -> dict[str, Any]:
    directory = directory.noting(result.warnings, result.effects)
    path = f"/scim/v2{result.path}"
    body = None if result.data is None else json.dumps(result.data).encode()
    call = Call(new_id("req"), result.method or "", path, body, agent, parent_id=parent)
    error: dict[str, Any] = {} if result.error is None else result.error.model_dump()
    outcome = Outcome(
        result.status,
        json.dumps(result.to_json()).encode(),
        error.get("detail"),
        reason_of(path, result.status, error) if error else None,
    )
    return activity_entry(directory, call, outcome, keep_bodies=keep_bodies)


def note_answer(response: Response) -> Response:
    """Write down a request that was refused or failed, or that tested the connection; others were, or need not be."""
    arrival = this_request()
    try:
        if response.status_code >= 400:
            _note_refusal(response)
        elif arrival.method == "GET" and arrival.scim_holder is not None and is_test(arrival, arrival.scim_holder):
            _note_test(arrival.scim_holder, response)
    except OperationalError as error:  # the answer itself is not to suffer
        log.warning("a request could not be written into the activity log (trace %s): %s", trace_id(), error.orig)
    except Conflict:  # its entry is there: it was committed, and the answer of the database got lost
        log.warning("a request was answered %d, and yet was done (trace %s)", response.status_code, trace_id())
    return response


def is_test(arrival: Arrival, holder: TokenHolder) -> bool:
    """Tell whether a read looks like the test of a connection: the first one with a token, or one that wants nothing.

    Okta lists one or two people, others read what the server can do or look for a name that nobody has.
    """
    if holder.last_used_at is None:
        return True
    query = arrival.query
    wanted = query.get("filter")
    if wanted is not None:
        return NOBODY.search(wanted) is not None
    return (query.get("count") in ("0", "1", "2") and LISTS.fullmatch(arrival.path) is not None) or bool(
        DISCOVERY.fullmatch(arrival.path)
    )


def _note_test(holder: TokenHolder, response: Response) -> None:
    if not _is_news(f"{holder.token_id}:tested:{request.path}", REPEATED_MS["tested"]):
        return
    directory = Directory(holder.organization_id, holder.token_id, holder.enterprise_connection_id)
    with db.unit_of_work() as session:
        log_write(session, directory, response.status_code, response.get_data(as_text=True))


def _note_refusal(response: Response) -> None:
    status = response.status_code
    if status == 404 and request.method == "GET" and RESOURCE.fullmatch(request.path) and not _is_doubled():
        return  # an IdP asks whether somebody is still there, and that is an answer
    holder = this_request().scim_holder or this_request().token_holder
    error = json.loads(response.get_data() or b"{}") if response.is_json else {}
    if status == 401:
        _note_stranger(response, error)
    elif holder is not None:
        reason = reason_of(request.path, status, error)
        if status == 429 and not _is_news(f"{holder.token_id}:429", REPEATED_MS["rate_limited"]):
            return
        _write_refusal(holder.organization_id, holder.token_id, reason, response, error)


def _is_doubled() -> bool:
    return reason_of(request.path, 404, {}) == "base_url_wrong"


def _note_stranger(response: Response, error: dict[str, Any]) -> None:
    """Write down a request whose token opens nothing, for the organization that the token once belonged to."""
    with db.reading() as session:
        found = recognise_token(session, request.headers.get("Authorization"))
    if found is not None and _is_news(f"{found.token_id}:{found.reason}", REPEATED_MS[401]):
        _write_refusal(found.organization_id, found.token_id, found.reason, response, error)


def _write_refusal(organization_id: str, token_id: str, reason: str, response: Response, error: dict[str, Any]) -> None:
    arrival = this_request()
    outcome = Outcome(response.status_code, response.get_data(), error.get("detail"), reason, milliseconds(arrival))
    directory, keep = Directory(organization_id, token_id, label=_sent_label()), keeps_bodies()
    with db.unit_of_work() as session:
        record_activity(session, directory, call_of(arrival, keep_bodies=keep), outcome, keep_bodies=keep)


def _sent_label() -> str | None:
    """Return what a refused body calls its user or group."""
    body = this_request().scim_body
    if not body or len(body) > PARSED_BYTES:
        return None
    try:
        sent = json.loads(body)
    except (ValueError, RecursionError):
        return None
    label = sent.get("userName") or sent.get("displayName") if isinstance(sent, dict) else None
    return label.encode("utf-8", "replace").decode().replace("\0", "") if isinstance(label, str) else None


def _is_news(key: str, milliseconds: int) -> bool:
    """Tell whether something was not written down a moment ago. While Redis is away nobody knows, so it was."""
    try:
        return bool(current_app.extensions["redis"].set(f"activity:{key}", 1, nx=True, px=milliseconds))
    except RedisError as error:
        log.warning("a request was not written into the activity log, since Redis is away: %s", error)
        return False
