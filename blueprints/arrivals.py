"""A request, and what is found out about it once and asked for many times.

``request``, ``g`` and ``current_app`` of Flask look for what they stand for anew with each attribute; what every
request passes takes ``this_request()`` once instead.
"""

import time
from functools import cache
from typing import TYPE_CHECKING

from flask import Flask, Request
from flask.globals import _cv_app, _cv_request

from ids import new_id
from organizations.scim_tokens import TokenHolder
from organizations.secret_keys import KeyHolder
from scim.bulk import BulkRequest

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment


class Arrival(Request):
    """A request. ``began_at`` is in seconds of ``time.perf_counter``; ``trace_id`` finds it in the logs.

    ``audience`` is for whom an error of it is rendered: ``scim``, ``api`` or ``page``.
    """

    # Whom its bearer token belongs to, usable or not.
    token_holder: TokenHolder | None = None
    key_holder: KeyHolder | None = None
    # Who was let in to SCIM, and what was sent, as the activity log keeps it.
    scim_holder: TokenHolder | None = None
    scim_body: bytes | None = None
    # What was read of the body: all of it.
    body: bytes | None = None
    # The operations of a Bulk request, once they were read.
    bulk_request: BulkRequest | None = None
    # Whether it was counted under its bearer's limit, so that no other limit says anything about it.
    has_place: bool = False

    _query: dict[str, str] | None = None

    def __init__(self, environ: "WSGIEnvironment", populate_request: bool = True, shallow: bool = False) -> None:
        self.began_at = time.perf_counter()
        super().__init__(environ, populate_request, shallow)
        self.trace_id = new_id("req")
        self.audience = audience_of(self.path)

    @property
    def blueprint(self) -> str | None:
        """The name of the blueprint that answers, None where nothing does."""
        return None if self.url_rule is None else blueprint_of(self.url_rule.endpoint)

    @property
    def max_content_length(self) -> int | None:
        """How many bytes its body may have: what its view says, else what the application does."""
        limit: int | None = self._max_content_length
        return this_application().config["MAX_CONTENT_LENGTH"] if limit is None else limit

    @max_content_length.setter
    def max_content_length(self, value: int | None) -> None:
        self._max_content_length = value

    @property
    def query(self) -> dict[str, str]:
        """The parameters of the address by their names; of several of one name the first."""
        if self._query is None:
            found = plain_query(self.environ.get("QUERY_STRING", ""))
            self._query = self.args.to_dict() if found is None else found
        return self._query

    def close(self) -> None:
        """Close the files of a form, where one was read."""
        if "files" in self.__dict__:
            super().close()


def this_request() -> Arrival:
    """Return the request that is answered here."""
    return _cv_request.get().request  # type: ignore[return-value]


def this_application() -> Flask:
    """Return the application that answers it."""
    return _cv_app.get().app


def audience_of(path: str) -> str:
    """Return for whom errors of the requests to a path are rendered: ``scim``, ``api`` or ``page``."""
    if path.startswith("/scim/") or path == "/scim/v2":
        return "scim"
    return "api" if path.startswith(("/v1", "/healthz", "/readyz", "/metrics")) else "page"


def plain_query(text: str) -> dict[str, str] | None:
    """Return the parameters of a query that escapes no more than a look-up needs; None for any other.

    A space, a quotation mark and an at sign part no parameters, so that they may be put in before the query is taken
    apart. What is still escaped then needs a longer way, which takes as long as the look-up itself.
    """
    if not text:
        return {}
    plain = text.replace("+", " ").replace("%20", " ").replace("%22", '"').replace("%40", "@")
    if "%" in plain or not plain.isascii():
        return None
    parts = [part.partition("=") for part in plain.split("&") if part]
    return {name: value for name, _, value in reversed(parts)}


@cache
def blueprint_of(endpoint: str) -> str | None:
    """Return the name of the blueprint that an endpoint is of; there are few endpoints."""
    return endpoint.rpartition(".")[0] or None
