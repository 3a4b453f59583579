"""A request, and what is found out about it once and asked for many times.

``request`` and ``g`` of Flask look for the request anew with each attribute; what every request passes
takes ``this_request()`` once instead.
"""

import time
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any, cast

from flask import Request, request

from ids import new_id
from organizations.scim_tokens import TokenHolder
from organizations.secret_keys import KeyHolder

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
    # Whether it was counted under its bearer's limit, so that no other limit says anything about it.
    has_place: bool = False

    def __init__(self, environ: "WSGIEnvironment", populate_request: bool = True, shallow: bool = False) -> None:
        self.began_at = time.perf_counter()
        super().__init__(environ, populate_request, shallow)
        self.trace_id = new_id("req")
        self.audience = audience_of(self.path)

    @property
    def blueprint(self) -> str | None:
        """The name of the blueprint that answers, None where nothing does."""
        return None if self.url_rule is None else blueprint_of(self.url_rule.endpoint)

    def close(self) -> None:
        """Close the files of a form, where one was read."""
        if "files" in self.__dict__:
            super().close()


# Returns the request that is answered here.
this_request: Callable[[], Arrival] = cast(Any, request)._get_current_object


def audience_of(path: str) -> str:
    """Return for whom errors of the requests to a path are rendered: ``scim``, ``api`` or ``page``."""
    if path.startswith("/scim/") or path == "/scim/v2":
        return "scim"
    return "api" if path.startswith(("/v1", "/healthz", "/readyz", "/metrics")) else "page"


@cache
def blueprint_of(endpoint: str) -> str | None:
    """Return the name of the blueprint that an endpoint is of; there are few endpoints."""
    return endpoint.rpartition(".")[0] or None
