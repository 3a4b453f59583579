"""``/scim/v2``: what an identity provider talks to. The bearer token alone decides the organization."""

import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache, partial
from typing import TYPE_CHECKING

from flask import Blueprint, Response, current_app
from flask.sansio.blueprints import BlueprintSetupState
from flask_limiter.util import get_remote_address
from limits import parse as parse_rate
from limits.storage import RedisStorage
from scim2_models import SCIMException
from scim2_server.errors import UnsupportedMediaTypeException
from scim2_server.requests import ScimRequest
from scim2_server.responses import ScimResponse
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session
from werkzeug.exceptions import HTTPException
from werkzeug.routing import Rule

from blueprints.application import Application
from blueprints.arrivals import Arrival, this_application, this_request
from blueprints.auth import note_token_use, require_directory_on, require_token_holder, usable_token_holder
from blueprints.bodies import has_no_body, request_body
from blueprints.errors import is_deadlock, scim_answer
from blueprints.limits import Places, limiter, places_of
from blueprints.scim_activity import DISCOVERY, log_operations, log_write, note_answer
from blueprints.windows import PlacesHere
from clock import now_ms
from database import db
from directory.directories import Directory
from directory.lists import follow_lists
from errors import Conflict, DomainError
from organizations.scim_tokens import TokenHolder
from scim.bulk import BulkRequest, BulkRun, OperationService, bulk_answer, read_bulk, summary
from scim.handler import DirectoryHandler
from scim.messages import TextResponse
from scim.provider import bulk_capability, make_provider
from scim.service import DirectoryService
from scim.storage import DirectoryStorage, refuse_what_is_taken
from transactions.together import Undone

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

bp = Blueprint("scim", __name__)

PROVIDER = make_provider()
# Two organizations that meet the same new person at once, or lock each other out, are told apart by trying again.
ATTEMPTS = 3
# The whole list of members of a group, which Okta sends with every change: some 100 bytes for each of 80,000.
GROUP_BODY_BYTES = 8 * 1024 * 1024
# A user has some 1,000, and each change of a member 100.
BRIEF_BODY_BYTES, FEW_MEMBERS_BYTES = 16 * 1024, 2 * 1024


def operation_count() -> int:
    """Return how many operations this request counts as: those of a Bulk request, or one."""
    if not is_bulk(this_request()):
        return 1
    try:
        return max(1, len(bulk_request().operations))
    except (SCIMException, DomainError, HTTPException):  # refused by the view, in the shape of an error
        return 1


def token_id() -> str:
    """Return under which token this request is counted."""
    holder = this_request().token_holder
    assert holder is not None
    return holder.token_id


limiter.shared_limit(
    lambda: current_app.config["SCIM_RATE_LIMIT"],
    scope=bp.name,
    key_func=token_id,  # the same window as in has_place_in_limit
    cost=operation_count,
    exempt_when=lambda: usable_token_holder() is None,
)(bp)
limiter.shared_limit(
    lambda: current_app.config["FAILED_AUTH_RATE_LIMIT"],
    scope="scim-failed-authentication",
    key_func=get_remote_address,
    exempt_when=lambda: usable_token_holder() is not None,
    deduct_when=lambda response: response.status_code == 401,
)(bp)


def has_place_in_limit() -> bool:
    """Count a request under its token at once, and tell whether it had a place; then there is nothing else to judge.

    All else goes the long way through the limits above: who has no token or no place left,
    and everybody while Redis is away.
    """
    arrival = this_request()
    holder = arrival.token_holder
    if holder is None or not holder.is_usable(now_ms()) or not limiter.is_counting_for_all:
        return False
    cost = 1 if arrival.method != "POST" else operation_count()
    arrival.has_place = provider().places.take(holder.token_id, cost)
    return arrival.has_place


limiter.has_place = has_place_in_limit


bp.after_request(note_answer)


@dataclass(frozen=True)
class ServiceProvider:
    """SCIM as one application speaks it; ``base_url`` has no slash at its end."""

    service: DirectoryService
    operation_service: OperationService
    places: Places
    base_url: str


@bp.record
def set_up(state: BlueprintSetupState) -> None:
    """Route every path and method here, and have the service of this application announce its limits.

    Which methods a path has is the protocol's business, so it must see those that it does not know as well.
    """
    app, config, storage = state.app, state.app.config, limiter.storage
    assert isinstance(app, Application)
    assert isinstance(storage, RedisStorage)
    endpoint = f"{bp.name}.{serve.__name__}"
    app.view_functions[endpoint] = serve
    anything = Rule(f"{state.url_prefix}/<path:path>", endpoint=endpoint, strict_slashes=False)
    app.url_map.add(Rule(state.url_prefix or "", endpoint=endpoint, strict_slashes=False))
    app.url_map.add(anything)
    app.matched_at_once = partial(match_plain_path, anything)
    bulk = bulk_capability(config["SCIM_BULK_MAX_OPERATIONS"], config["SCIM_BULK_MAX_PAYLOAD_SIZE"])
    secret = config["SECRET_KEY"]
    places = places_of(storage, parse_rate(config["SCIM_RATE_LIMIT"]), bp.name)
    if config["SQLALCHEMY_DATABASE_URI"].startswith("sqlite") and isinstance(places, PlacesHere):
        app.answers_at_once = is_of_few_users
    app.extensions["scim"] = ServiceProvider(
        DirectoryService(PROVIDER, secret=secret, bulk=bulk),
        OperationService(PROVIDER, secret=secret),
        places,
        config["SCIM_BASE_URL"],
    )


# Almost every request is on such a path and for such a host; Werkzeug refuses hosts with labels that are empty or long.
PLAIN_PATH = re.compile(r"/scim/v2/((?:Users|Groups|Bulk)(?:/[A-Za-z0-9_]+)?)")
PLAIN_HOST = re.compile(r"[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63}){0,7}(?::[0-9]{1,5})?")


# A user, or a look-up of one by what is unique, or a page. Another filter may have to read everybody, and who asks for
# no one, or for the page before the first, has everybody counted.
FEW_USERS = re.compile(
    r"""/scim/v2/Users
    (?: /[A-Za-z0-9_]+
      | (?: [?&] (?: startIndex=[1-9][0-9]{0,8} | count=[1-9][0-9]{0,8}
          | filter=(?:userName|externalId) (?:[+]|%20) eq (?:[+]|%20) (?:"|%22) (?:[^&%"+]|%40)* (?:"|%22) ) )*  )""",
    re.VERBOSE,
)


def is_of_few_users(uri: str) -> bool:
    """Tell whether no more than a page of users is read, which on SQLite mostly waits for nobody, and is over soon."""
    return FEW_USERS.fullmatch(uri) is not None


def match_plain_path(rule: Rule, arrival: Arrival) -> bool:
    """Tell whether a request is a plain one. It goes to the rule of all SCIM paths, as if all rules had been tried."""
    environ = arrival.environ
    found = PLAIN_PATH.fullmatch(environ.get("PATH_INFO", ""))
    if (
        found is None
        or arrival.scheme not in ("http", "https")  # others are for WebSockets, as is an upgrade
        or "HTTP_UPGRADE" in environ
        or PLAIN_HOST.fullmatch(environ.get("HTTP_HOST", "")) is None
    ):
        return False
    arrival.url_rule, arrival.view_args = rule, {"path": found[1]}
    return True


def provider() -> ServiceProvider:
    """Return SCIM as this application speaks it."""
    of_application: ServiceProvider = this_application().extensions["scim"]
    return of_application


def is_bulk(arrival: Arrival) -> bool:
    """Tell whether a request is a Bulk request (RFC 7644 §3.7)."""
    return arrival.method == "POST" and (arrival.view_args or {}).get("path", "").strip("/") == "Bulk"


def bulk_request() -> BulkRequest:
    """Return the Bulk request that this request carries, read once.

    :raises SCIMException: When it carries none, or too large a one.
    """
    arrival = this_request()
    if arrival.bulk_request is None:
        body = request_body(max_payload_size(arrival))
        arrival.bulk_request = read_bulk(provider().service, body, arrival.headers.get("Content-Type"))
    return arrival.bulk_request


def max_payload_size(arrival: Arrival) -> int | None:
    """Return how many bytes a Bulk request may have; of others the limit is that of every request."""
    return provider().service.bulk_max_payload_size() if is_bulk(arrival) else None


GROUPS = re.compile(r"/scim/v2/Groups(/|$)")


@bp.before_request
def authenticate() -> None:
    """Let only bearers of a usable token pass; and, to the discovery documents, anybody who sends no token at all."""
    arrival, now = this_request(), now_ms()
    if "HTTP_AUTHORIZATION" not in arrival.environ and DISCOVERY.fullmatch(arrival.path):
        return
    holder = arrival.scim_holder = require_token_holder(now)
    note_token_use(holder, now)
    require_directory_on(holder)
    if GROUPS.match(arrival.path):
        arrival.max_content_length = GROUP_BODY_BYTES


class WireRequest(ScimRequest):
    """A SCIM request whose ``headers`` are the WSGI environment: few of them are ever asked for."""

    headers: dict[str, str]

    def header(self, name: str) -> str | None:
        """Return the value of a header, whatever the case of its name."""
        return self.headers.get(environ_name(name))


@cache
def environ_name(header: str) -> str:
    """Return under which key a header stands in a WSGI environment."""
    name = header.upper().replace("-", "_")
    return name if name in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{name}"


def serve(path: str = "") -> Response:
    """Answer a SCIM request (RFC 7644 §3.2)."""
    arrival = this_request()
    environ, method = arrival.environ, arrival.method
    if environ.get("HTTP_CONTENT_ENCODING", "identity").lower() != "identity":
        raise UnsupportedMediaTypeException(detail="Compressed bodies are not accepted. Send the body as it is.")
    body = b"" if method == "GET" and has_no_body(environ) else request_body(max_payload_size(arrival))
    arrival.scim_body = body
    spoken = provider()
    scim_request = WireRequest(
        method="GET" if method == "HEAD" else method,
        base_url=spoken.base_url,
        path=f"/{path}",
        query=arrival.query,
        headers=environ,
        body=body,
    )
    if method == "OPTIONS":
        return scim_answer(spoken.service.options_response(scim_request))
    holder = arrival.scim_holder
    if holder is None:
        return scim_answer(read(spoken.service, scim_request, Directory("")))
    if method in ("GET", "HEAD") or path.endswith("/.search"):
        return scim_answer(read(spoken.service, scim_request, directory_of(holder)))
    return scim_answer(write(spoken, scim_request, holder))


def directory_of(holder: TokenHolder) -> Directory:
    """Return the directory that a token opens."""
    return Directory(holder.organization_id, holder.token_id, holder.enterprise_connection_id)


def read(service: DirectoryService, scim_request: ScimRequest, directory: Directory) -> ScimResponse:
    """Answer a request that changes nothing, from one snapshot of the database."""
    with db.reading() as session:
        return DirectoryHandler(service, DirectoryStorage(PROVIDER, session, directory)).handle(scim_request)


def write(spoken: ServiceProvider, scim_request: ScimRequest, holder: TokenHolder) -> ScimResponse:
    """Answer a request that may change something: with its events and log entry in one transaction, or not at all."""
    bulk = is_bulk(this_request())
    for attempt in range(1, ATTEMPTS + 1):
        directory = directory_of(holder)
        # What had to give way to others is tried again by itself.
        brief_for = holder.organization_id if attempt == 1 and is_brief(scim_request) else None
        unit = db.unit_of_work(brief_for=brief_for)
        try:
            with unit as session:
                if bulk:
                    return run_bulk(spoken, session, directory)
                storage = DirectoryStorage(PROVIDER, session, directory)
                response = DirectoryHandler(spoken.service, storage).handle(scim_request)
                if response.body is not None:  # rendered once, for the log and for the answer
                    text = json.dumps(response.body, ensure_ascii=False)
                    response = TextResponse(response.status, text, response.headers)
                follow_lists(session, directory.organization_id, directory.effects)
                log_write(session, directory, response.status.value, getattr(response, "text", None))
                return response
        except Conflict as conflict:
            refuse_what_is_taken(conflict)  # as the database may say only at the end, see ``Prepared.run``
            if attempt == ATTEMPTS:
                raise
        except OperationalError as failure:
            if attempt == ATTEMPTS or not (is_deadlock(failure) or isinstance(failure, Undone)):
                raise
    raise AssertionError("unreachable")


def is_brief(scim_request: ScimRequest) -> bool:
    """Tell whether a write takes little time, so that others may wait for it: a user, or a few members of a group.

    What is guessed wrongly is only answered later, with the others.
    """
    kind, body = scim_request.path.strip("/").partition("/")[0], scim_request.body
    if kind == "Users":
        return len(body) <= BRIEF_BODY_BYTES
    if kind != "Groups" or scim_request.method != "PATCH" or len(body) > FEW_MEMBERS_BYTES:
        return False
    text = body.lower()
    # All members may be replaced or removed, and may get another role from a group with another name.
    return b"members" in text and b"value" in text and b'"replace"' not in text and b"displayname" not in text


def run_bulk(spoken: ServiceProvider, session: Session, directory: Directory) -> ScimResponse:
    """Answer a Bulk request. In the log its entry is followed by one for each operation, as if that had come alone."""
    bulk = bulk_request()
    results = BulkRun(spoken.operation_service, session, directory, spoken.base_url).run(bulk)
    effects = [effect for result in results if result.error is None for effect in result.effects]
    follow_lists(session, directory.organization_id, effects)
    this_request().scim_body = None  # what was sent stands beside each operation
    log_write(session, directory, 200, None, summary(results, len(bulk.operations)))
    log_operations(session, directory, results)
    return bulk_answer(results)


@bp.errorhandler(SCIMException)
def refuse(error: SCIMException) -> Response:
    """Answer a request that the protocol refuses (RFC 7644 §3.12)."""
    return scim_answer(provider().service.error_response(error))


class MendSlashes:
    """Lets an IdP write one or more slashes too many: ``/scim/v2//Users/`` is ``/scim/v2/Users``."""

    PREFIX = re.compile(r"/+scim/+v2(?=/|$)")

    def __init__(self, application: Callable[..., Iterable[bytes]]) -> None:
        self.application = application

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        """Pass the request on, with the path of a SCIM request mended."""
        path = environ.get("PATH_INFO", "")
        if "//" in path and self.PREFIX.match(path):
            environ["PATH_INFO"] = re.sub(r"/{2,}", "/", path)
        return self.application(environ, start_response)
