"""What is logged, and how: a line for people or a JSON object for machines, each with whom it is about.

No line holds a secret, a body, a query or a personal name: a request is told by its
method and path, a page by its route alone, since sign-in links stand in addresses.
"""

import logging
import time

from flask import Flask, Response, has_request_context
from pythonjsonlogger.json import JsonFormatter

from blueprints.arrivals import this_request

HANDLER = "authn-scim"
TEXT = "%(asctime)s %(levelname)s %(name)s: %(message)s"
FIELDS = "%(levelname)s %(name)s %(message)s"

requests_log = logging.getLogger("authn_scim.requests")


def init_app(app: Flask, *, level: str, as_json: bool) -> None:
    """Log on standard error, and at level ``info`` one line for each request."""
    handler = logging.StreamHandler()
    handler.name = HANDLER
    handler.addFilter(_add_context)
    handler.setFormatter(_json_formatter() if as_json else logging.Formatter(TEXT))
    root = logging.getLogger()
    root.handlers = [*(other for other in root.handlers if other.name != HANDLER), handler]
    root.setLevel(level.upper())
    # gunicorn has a handler of its own, which would write its lines in another shape.
    gunicorn = logging.getLogger("gunicorn.error")
    gunicorn.handlers, gunicorn.propagate = [], True
    app.after_request(_end)


def _json_formatter() -> JsonFormatter:
    return JsonFormatter(
        FIELDS,
        rename_fields={"levelname": "level", "name": "logger", "exc_info": "exception"},
        timestamp="time",
        json_ensure_ascii=False,
    )


def _add_context(record: logging.LogRecord) -> bool:
    """Say which request a line was written for, and under whose token."""
    if record.name == "gunicorn.error":
        _quote_nothing(record)
    if has_request_context() and not hasattr(record, "trace_id"):
        arrival = this_request()
        record.trace_id = arrival.trace_id
        if (token := arrival.token_holder) is not None:
            record.organization_id, record.scim_token = token.organization_id, token.prefix
        if (key := arrival.key_holder) is not None:
            record.organization_id, record.secret_key_id = key.organization_id, key.key_id
    return True


def _quote_nothing(record: logging.LogRecord) -> None:
    """Take out what gunicorn quotes of a request that it cannot read, or that failed: it may be a token."""
    message = record.getMessage()
    if message.startswith("Invalid request from"):
        record.msg, record.args = message.partition(": '")[0], ()
    elif message.startswith("Error handling request"):
        record.msg, record.args = "Error handling request", ()


def _end(response: Response) -> Response:
    if requests_log.isEnabledFor(logging.INFO):
        arrival = this_request()
        rule = arrival.url_rule.rule if arrival.url_rule is not None else "(unknown)"
        path = rule if arrival.audience == "page" else arrival.path
        milliseconds = round((time.perf_counter() - arrival.began_at) * 1000, 1)
        requests_log.info(
            "%s %s %s in %s ms",
            arrival.method,
            path,
            response.status_code,
            milliseconds,
            extra={
                "method": arrival.method,
                "path": path,
                "status": response.status_code,
                "milliseconds": milliseconds,
                "user_agent": arrival.user_agent.string or None,
            },
        )
    return response
