"""The composition root: settings, extensions, blueprints, commands."""

import beforehand  # noqa: F401

# isort: split
import gc
import sys
from typing import Any

import click
from flask import Flask
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.retry import Retry
from rq import Queue
from sqlalchemy.engine import make_url
from werkzeug.urls import iri_to_uri

import cli
import jobs
from blueprints import auth, errors, health, logs, management, metrics, profile, scim
from blueprints.application import Application, CookieSessions, FormProtection, ProxyHeaders
from blueprints.limits import limiter
from blueprints.management import docs
from blueprints.windows import MACHINE
from config import Settings
from database import db
from organizations.sessions import MINUTE_MS, SessionLimits
from webhooks.outbound import OutboundPolicy
from webhooks.secrets import SecretBox

# ``beforehand`` ended it. What was loaded since is here to stay, and no collection looks through it.
gc.freeze()
gc.enable()

csrf = FormProtection()


def create_app(settings: Settings | None = None) -> Flask:
    """Return the application, set up from the given settings or from the environment."""
    settings = settings or Settings.from_environment()
    app = Application(__name__)
    app.config.from_mapping(flask_config(settings))
    app.session_interface = CookieSessions()
    app.url_map.strict_slashes = False
    app.url_map.merge_slashes = (
        False  # IdPs add slashes; a redirect would lose their POST, so SCIM paths are mended in place
    )
    proxies = settings.trusted_proxies
    app.wsgi_app = ProxyHeaders(  # type: ignore[method-assign]
        scim.MendSlashes(app.wsgi_app), x_for=proxies, x_proto=max(1, proxies), x_host=0
    )

    app.json.sort_keys = False  # type: ignore[attr-defined]  # objects read as they are documented
    app.json.ensure_ascii = False  # type: ignore[attr-defined]

    db.init_app(app)
    set_up_migrations(app)
    csrf.init_app(app)
    logs.init_app(app, level=settings.log_level, as_json=settings.log_format == "json")
    errors.init_app(app)
    metrics.init_app(app)
    app.before_request(auth.identify_bearer)  # before the limiter, which counts under the bearer's name
    limiter.init_app(app)
    app.extensions["redis"] = Redis.from_url(settings.redis_url, health_check_interval=30, **redis_patience())
    app.extensions["queue"] = Queue("webhooks", connection=app.extensions["redis"])
    app.extensions["secret_box"] = SecretBox(settings.secret_key, settings.secret_key_fallbacks)
    app.extensions["outbound_policy"] = OutboundPolicy(settings.webhook_allow_http, settings.webhook_allowed_networks)
    app.extensions["session_limits"] = SessionLimits(
        lifetime_ms=settings.session_hours * 3600 * 1000,
        idle_ms=settings.session_idle_minutes * MINUTE_MS,
        fresh_ms=settings.fresh_proof_minutes * MINUTE_MS,
    )
    app.extensions["last_swept_at"] = jobs.last_swept_at
    db.after_commit = jobs.announce_due_work

    app.register_blueprint(health.bp)
    app.register_blueprint(metrics.bp)
    app.register_blueprint(scim.bp, url_prefix="/scim/v2")
    app.register_blueprint(management.bp, url_prefix="/v1")
    app.register_blueprint(docs.bp)
    app.register_blueprint(profile.bp)
    # No browser sends a bearer token on its own.
    csrf.spared = frozenset(blueprint.name for blueprint in (scim.bp, management.bp, health.bp, metrics.bp))

    cli.init_app(app)
    return app


def set_up_migrations(app: Flask) -> None:
    """Let ``flask db`` and ``flask serve`` find the migrations. A web process is no command, and can spare 8 MiB."""
    if click.get_current_context(silent=True) is None and "flask_migrate" not in sys.modules:
        return
    from flask_migrate import Migrate  # noqa: PLC0415

    Migrate(app, db, directory=f"{app.root_path}/migrations", render_as_batch=True)


def redis_patience() -> dict[str, Any]:
    """Return how long a request waits for Redis: everything goes on without it, and identity providers wait for us."""
    return {"socket_connect_timeout": 1, "socket_timeout": 1, "retry": Retry(NoBackoff(), 1, (RedisConnectionError,))}


def limits_storage(settings: Settings) -> str:
    """Return where limits are counted: a machine with a Redis of its own is the only one, and counts in its memory."""
    redis_url = settings.redis_url.replace("unix://", "redis+unix://", 1)  # as limits calls a socket
    return f"{MACHINE}{redis_url}" if settings.embedded_redis else redis_url


# How long PostgreSQL is waited for. What the address of the database says itself counts before these.
POSTGRESQL_PATIENCE: dict[str, Any] = {
    "connect_timeout": 5,
    # A machine that is gone says nothing; its connection is broken off after some 30 s.
    "keepalives_idle": 15,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,
    # As long as a writer waits on SQLite; as long as an identity provider waits; and who died holds no lock for longer.
    "options": "-c lock_timeout=20s -c statement_timeout=60s -c idle_in_transaction_session_timeout=60s",
}


def engine_options(database_url: str) -> dict[str, Any]:
    """Return how connections to the database are made, kept and given up."""
    options: dict[str, Any] = {"hide_parameters": True}  # errors are logged, and would show people and tokens
    url = make_url(database_url)
    if url.get_backend_name() != "postgresql":
        return options
    return options | {
        "pool_pre_ping": True,  # PostgreSQL may have been restarted since
        "connect_args": {name: value for name, value in POSTGRESQL_PATIENCE.items() if name not in url.query},
    }


def flask_config(settings: Settings) -> dict[str, object]:
    """Return what the rest of the application reads from ``app.config``."""
    is_https = settings.public_url.startswith("https://")
    return {
        "SETTINGS": settings,
        "SECRET_KEY": settings.secret_key,
        "SECRET_KEY_FALLBACKS": list(settings.secret_key_fallbacks),
        # Flask-WTF knows of no fallbacks; its signer takes several keys, and signs with the last.
        "WTF_CSRF_SECRET_KEY": [*settings.secret_key_fallbacks, settings.secret_key],
        "SQLALCHEMY_DATABASE_URI": settings.database_url,
        "SQLALCHEMY_ENGINE_OPTIONS": engine_options(settings.database_url),
        "RATELIMIT_STORAGE_URI": limits_storage(settings),
        "RATELIMIT_STORAGE_OPTIONS": redis_patience(),
        "RATELIMIT_STRATEGY": "moving-window",
        "RATELIMIT_IN_MEMORY_FALLBACK_ENABLED": True,
        "MAX_CONTENT_LENGTH": 1024 * 1024,
        "MAX_FORM_MEMORY_SIZE": 256 * 1024,
        # A browser takes a cookie of this name from this host only, over HTTPS only, and for every path.
        "SESSION_COOKIE_NAME": "__Host-authn_scim" if is_https else "authn_scim",
        "SESSION_COOKIE_SECURE": is_https,
        "SESSION_COOKIE_HTTPONLY": True,
        "SESSION_COOKIE_SAMESITE": "Lax",  # Strict would sign out whoever follows a link from a mail
        # Pages send no Referer, because sign-in links stand in addresses; the form's token proves its origin.
        "WTF_CSRF_SSL_STRICT": False,
        "WTF_CSRF_TIME_LIMIT": None,  # a form is valid as long as the session
        "PUBLIC_URL": settings.public_url,
        "SCIM_ENDPOINT_URL": settings.scim_endpoint_url,
        # What every SCIM resource says of where it is, in headers as well: those hold ASCII alone.
        "SCIM_BASE_URL": iri_to_uri(settings.scim_endpoint_url.rstrip("/")),
        "SCIM_RATE_LIMIT": settings.scim_rate_limit,
        "API_RATE_LIMIT": settings.api_rate_limit,
        "METRICS_TOKEN": settings.metrics_token,
        "ACTIVITY_BODIES": settings.activity_bodies,
        "SCIM_BULK_MAX_OPERATIONS": settings.accepted_bulk_operations,
        "SCIM_BULK_MAX_PAYLOAD_SIZE": settings.scim_bulk_max_payload_size,
        "PASSWORD_SIGN_IN": settings.password_sign_in,
        "PASSWORD_RATE_LIMIT": settings.password_rate_limit,
        "FAILED_AUTH_RATE_LIMIT": settings.failed_auth_rate_limit,
    }
