"""One renderer of errors, for three audiences: IdPs (SCIM), the product's backend (JSON), people (pages)."""

import json
import logging
import math
import time
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Annotated, Any

from flask import Flask, Response, current_app, jsonify, make_response, render_template
from flask_limiter import RateLimitExceeded
from pydantic import Field
from scim2_server.responses import SCIM_MEDIA_TYPE, ScimResponse
from sqlalchemy.exc import OperationalError
from typing_extensions import TypedDict
from werkzeug.datastructures import Headers
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Response as BaseResponse

from blueprints.arrivals import this_request
from blueprints.bodies import drain_refused_body
from blueprints.limits import limiter
from errors import Conflict, DomainError, Gone, InvalidInput, NotAllowed, NotAuthenticated, NotFound, VersionMismatch

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

log = logging.getLogger(__name__)

# PostgreSQL's codes. Its driver, which knows them by name, is not loaded where SQLite is used.
SERIALIZATION_FAILURE, DEADLOCK_DETECTED = "40001", "40P01"
PROGRAM_LIMIT_EXCEEDED = "54000"
SCIM_ERROR = "urn:ietf:params:scim:api:messages:2.0:Error"
STATUS: dict[type[DomainError], int] = {
    NotAuthenticated: 401,
    NotAllowed: 403,
    NotFound: 404,
    Conflict: 409,
    Gone: 410,
    VersionMismatch: 412,
    InvalidInput: 422,
}
CODES = {
    400: "bad_request",
    404: "not_found",
    405: "method_not_allowed",
    413: "request_too_large",
    415: "unsupported_media_type",
    429: "rate_limited",
    500: "internal_error",
    503: "unavailable",
}
SENTENCES = {
    404: "There is nothing at this address.",
    405: "This address does not answer to this method.",
    413: "The request is larger than this server accepts.",
}


def init_app(app: Flask) -> None:
    """Register the handlers, a trace id on every answer, and the refusal of what no database can hold."""
    app.before_request(_refuse_nul)
    app.after_request(_end_trace)
    app.after_request(drain_refused_body)
    app.register_error_handler(DomainError, _domain_error)
    app.register_error_handler(RateLimitExceeded, _rate_limited)
    app.register_error_handler(HTTPException, _http_error)
    app.register_error_handler(OperationalError, _database_unavailable)
    app.register_error_handler(Exception, _unexpected)


def _refuse_nul() -> None:
    arrival = this_request()
    if arrival.audience == "page":  # the pages find nothing by such a name, and say so themselves
        return
    query = arrival.environ.get("QUERY_STRING", "")
    if "\0" in arrival.path or "%00" in query or "\0" in query:
        raise DomainError("The address holds a NUL character, which nothing is named by.", code="bad_request")


def _end_trace(response: Response) -> Response:
    response.headers.add("X-Request-Id", this_request().trace_id)
    return response


def trace_id() -> str:
    """Return the id by which this request is found in the logs."""
    return this_request().trace_id


# -- Handlers ----------------------------------------------------------------


def _domain_error(error: DomainError) -> BaseResponse:
    status = next((code for kind, code in STATUS.items() if isinstance(error, kind)), 400)
    problems = error.problems if isinstance(error, InvalidInput) else [error]
    return render(status, problems)


def _rate_limited(error: RateLimitExceeded) -> BaseResponse:
    current = limiter.current_limit
    seconds = max(1, math.ceil(current.window.reset_time - time.time())) if current is not None else 1
    if error.limit is not None and error.limit.deduction_amount > 1:  # then one place that gets free is not enough
        seconds = error.limit.limit.get_expiry()
    limit = error.limit.limit if error.limit is not None else "the limit"
    problem = DomainError(f"rate_limited: more than {limit}. Try again in {seconds} s.", code="rate_limited")
    if this_request().audience == "page":
        problem = DomainError("Too many attempts.", long_message=f"Try again in {in_words(seconds)}.")
    response = render(429, [problem])
    # Okta understands an integer of seconds only.
    response.headers["Retry-After"] = str(seconds)
    return response


def in_words(seconds: int) -> str:
    """Return a wait as people say it, such as ``40 seconds`` or ``12 minutes``, rounded up."""
    number, unit = (seconds, "second") if seconds < 90 else (math.ceil(seconds / 60), "minute")
    return f"{number} {unit}" if number == 1 else f"{number} {unit}s"


def _http_error(error: HTTPException) -> BaseResponse:
    if error.code is None or error.code < 400:
        return error.get_response()
    message = SENTENCES.get(error.code) or error.description or error.name
    response = render(error.code, [DomainError(message, code=CODES.get(error.code, "http_error"))])
    for name, value in error.get_headers():
        if name.lower() not in ("content-type", "content-length"):
            response.headers[name] = value
    return response


def _database_unavailable(error: OperationalError) -> BaseResponse:
    if not is_passing(error):
        return _unexpected(error)
    log.error("database unavailable (trace %s): %s", trace_id(), error.orig)
    message = "The database did not answer in time. Nothing was changed; try again."
    response = render(503, [DomainError(message, code="unavailable")])
    response.headers["Retry-After"] = "5"
    return response


def is_deadlock(error: OperationalError) -> bool:
    """Tell whether PostgreSQL broke a transaction off for another one, so that it may be tried again at once."""
    return sqlstate(error) in (DEADLOCK_DETECTED, SERIALIZATION_FAILURE)


def sqlstate(error: OperationalError) -> str | None:
    """Return PostgreSQL's code of a failure; None where it comes from SQLite, or no server said anything."""
    code: str | None = getattr(error.orig, "sqlstate", None)
    return code


def is_passing(error: OperationalError) -> bool:
    """Tell whether a failure of the database may be gone at the next try: a lock, a deadlock, a lost connection.

    What is left is a defect, which trying again does not mend.
    """
    if sqlstate(error) == PROGRAM_LIMIT_EXCEEDED:
        return False
    if error.connection_invalidated or hasattr(error.orig, "sqlstate"):
        return True
    # On a full disk SQLite ends the transaction by itself, and what is heard of it may be that a savepoint is missing.
    return any(word in str(error.orig) for word in ("locked", "busy", "disk", "unable to open", "no such savepoint"))


def _unexpected(error: Exception) -> BaseResponse:
    log.exception("unexpected error (trace %s)", trace_id(), exc_info=error)
    if current_app.config.get("PROPAGATE_EXCEPTIONS"):
        raise error
    message = f"Something went wrong on our side. Tell support this id: {trace_id()}."
    return render(500, [DomainError(message, code="internal_error")])


# -- Rendering ------------------------------------------------------------------


def render(status: int, problems: list[DomainError]) -> BaseResponse:
    """Return an error in the shape that this request's audience reads."""
    return {"scim": _scim_error, "api": _api_error, "page": _page}[this_request().audience](status, problems)


def _scim_error(status: int, problems: list[DomainError]) -> BaseResponse:
    body = {"schemas": [SCIM_ERROR], "status": str(status), "detail": " ".join(p.message for p in problems)}
    if status == 400:
        body["scimType"] = "invalidSyntax"
    headers = {"WWW-Authenticate": 'Bearer realm="SCIM"'} if status == 401 else {}
    return Response(json.dumps(body), status, headers, content_type=SCIM_MEDIA_TYPE)


class ErrorObject(TypedDict):
    """One problem of a request."""

    code: Annotated[str, Field(description="Stable, for programs.")]
    message: Annotated[str, Field(description="What is wrong, in a sentence.")]
    long_message: Annotated[str, Field(description="What to do about it.")]
    meta: Annotated[
        dict[str, Any],
        Field(description="Where it is: `param` names a parameter or member, `pointer` is its JSON pointer."),
    ]


class ErrorsObject(TypedDict):
    """Why a request was refused: every problem that was found."""

    errors: list[ErrorObject]
    trace_id: Annotated[str, Field(description="Tells support which request it was.")]


def _api_error(status: int, problems: list[DomainError]) -> BaseResponse:
    body: ErrorsObject = {
        "errors": [
            {"code": p.code, "message": p.message, "long_message": p.long_message, "meta": p.meta} for p in problems
        ],
        "trace_id": trace_id(),
    }
    response = jsonify(body)
    response.status_code = status
    if status == 401:
        response.headers["WWW-Authenticate"] = 'Bearer realm="management"'
    return response


def _page(status: int, problems: list[DomainError]) -> BaseResponse:
    title = problems[0].message
    text = render_template("errors/error.html", status=status, title=title, message=problems[0].long_message)
    return make_response(text, status)


class OwnHeaders(Headers):
    """Headers whose values are all of our own making, so that none of them has to be looked through."""

    def __init__(self, fields: Iterable[tuple[str, str]]) -> None:
        self._list = list(fields)


class ScimText(Response):
    """An answer of JSON text, which is sent as it is: its headers say how long it is, and addresses are ours.

    Nobody hears of its end, as by ``call_on_close`` of others.
    """

    direct_passthrough = False

    def __init__(self, text: str, status: int, headers: Mapping[str, str]) -> None:
        content = text.encode()
        own = {
            **headers,
            "Content-Type": SCIM_MEDIA_TYPE,
            "Content-Length": str(len(content)),
            "Cache-Control": "no-store",
            "X-Content-Type-Options": "nosniff",
        }
        self.headers = OwnHeaders(own.items())
        self.status = status
        self.response = [content]

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        """Send it; to a HEAD request the headers alone."""
        start_response(self.status, self.headers.to_wsgi_list())
        return () if environ["REQUEST_METHOD"] == "HEAD" else self.response  # type: ignore[return-value]


def scim_answer(answer: ScimResponse) -> Response:
    """Return an answer of the protocol as a response of Flask."""
    text: Any = getattr(answer, "text", None)
    if text is None and answer.body is not None:
        text = json.dumps(answer.body, ensure_ascii=False)
    if text is None:
        headers = {name: value for name, value in answer.headers.items() if name != "Content-Type"}
        response = Response(None, answer.status.value, headers)
        response.headers.pop("Content-Type", None)
        response.headers["Cache-Control"] = "no-store"
        return response
    return ScimText(text, int(answer.status), answer.headers)
