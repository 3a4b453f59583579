"""Flask as this application runs it: what a request passes before and after its view, without detours."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from flask import Flask, Request, Response
from flask.globals import request_ctx
from flask.sessions import SecureCookieSession, SecureCookieSessionInterface, SessionMixin
from flask.typing import ResponseReturnValue
from flask_wtf.csrf import CSRFProtect
from werkzeug.middleware.proxy_fix import ProxyFix
from werkzeug.routing import MapAdapter

from blueprints.arrivals import Arrival, this_request

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment


@dataclass(frozen=True)
class Hooks:
    """What is called before and after the view of an endpoint, in this order."""

    before: tuple[Callable[[], Any], ...]
    after: tuple[Callable[[Any], Any], ...]


class Application(Flask):
    """Flask, which finds out once for each endpoint what is called before and after it.

    Flask collects that anew for each request, and asks of each function whether it is a coroutine: none is.
    URL value preprocessors are not called: there are none.
    """

    request_class = Arrival

    def __init__(self, import_name: str) -> None:
        super().__init__(import_name)
        self._hooks: dict[str | None, Hooks] = {}
        # Tells whether it found the view of a request by itself; for others all routes are tried.
        self.matched_at_once: Callable[[Arrival], bool] = lambda _: False
        # Tells of what a GET asks for, a path and a query, whether it mostly takes a millisecond or two and waits for
        # nothing, if that can be told: who serves may then answer one after another.
        self.answers_at_once: Callable[[str], bool] | None = None

    def ensure_sync(self, func: Callable[..., Any]) -> Callable[..., Any]:
        """Return the function as it is."""
        return func

    def create_url_adapter(self, request: Request | None) -> MapAdapter | None:
        """Return what finds the view of a request; None where it is found already, and outside of requests."""
        if request is not None and self.matched_at_once(request):  # type: ignore[arg-type]
            return None
        return super().create_url_adapter(request)

    def preprocess_request(self) -> ResponseReturnValue | None:
        """Call what is registered to be called before the view; what any of it answers is the answer."""
        for hook in self.hooks_of(this_request()).before:
            answer: ResponseReturnValue | None = hook()
            if answer is not None:
                return answer
        return None

    def process_response(self, response: Response) -> Response:
        """Call what is registered to be called after the view, and save the session."""
        context: Any = request_ctx._get_current_object()  # type: ignore[attr-defined]
        for hook in (*context._after_request_functions, *self.hooks_of(context.request).after):
            response = hook(response)
        if not self.session_interface.is_null_session(context._session):
            self.session_interface.save_session(self, context._session, response)
        return response

    def hooks_of(self, request: Request) -> Hooks:
        """Return what is called before and after the view of a request. Nothing is registered any more by then."""
        endpoint = None if request.url_rule is None else request.url_rule.endpoint
        hooks = self._hooks.get(endpoint)
        if hooks is None:
            inwards: list[str | None] = [None, *reversed(request.blueprints)]
            before = [hook for name in inwards for hook in self.before_request_funcs.get(name, ())]
            after = [hook for name in inwards for hook in self.after_request_funcs.get(name, ())]
            hooks = self._hooks[endpoint] = Hooks(tuple(before), tuple(reversed(after)))
        return hooks


class CookieSessions(SecureCookieSessionInterface):
    """Flask's sessions, without the cost of a signer for whoever brings no cookie: every program."""

    def open_session(self, app: Flask, request: Request) -> SecureCookieSession | None:
        """Return the session of a request, an empty one where there is no cookie to read."""
        return super().open_session(app, request) if "HTTP_COOKIE" in request.environ else self.session_class()

    def save_session(self, app: Flask, session: SessionMixin, response: Response) -> None:
        """Say in an answer what became of the session, unless nobody looked at it and it is empty."""
        if session or session.accessed or session.modified:
            super().save_session(app, session, response)


class FormProtection(CSRFProtect):
    """Lets only our own forms write, except in the blueprints that are ``spared``."""

    spared: frozenset[str | None] = frozenset()

    def protect(self, apply_exemptions: bool = False) -> None:
        """Let a request pass, or refuse it with a ``CSRFError``."""
        if this_request().blueprint not in self.spared:
            super().protect(apply_exemptions)


class ProxyHeaders(ProxyFix):
    """Believes the trusted proxies, where a request has anything of them."""

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        """Pass the request on, with the client's address and scheme as the proxies tell them."""
        if "HTTP_X_FORWARDED_FOR" in environ or "HTTP_X_FORWARDED_PROTO" in environ:
            return super().__call__(environ, start_response)
        return self.app(environ, start_response)
