"""``/metrics``: what Prometheus reads, to those who hold ``METRICS_TOKEN``."""

import hmac
import os
import time
from collections.abc import Iterator
from functools import cache, lru_cache

from flask import Blueprint, Flask, Response, current_app, request
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector
from redis.exceptions import RedisError
from sqlalchemy.exc import SQLAlchemyError

from blueprints.arrivals import this_request
from blueprints.auth import bearer_credential
from clock import now_ms
from database import db
from errors import NotAuthenticated, NotFound
from metrics import REQUEST_SECONDS, REQUESTS
from webhooks.backlog import measure_backlog

bp = Blueprint("metrics", __name__)

# How the clients of identity providers name themselves; some of Entra's requests have no name at all.
CLIENTS = (
    ("okta", "okta"),
    ("azure", "entra"),
    ("entra", "entra"),
    ("microsoft", "entra"),
    ("google", "google"),
    ("onelogin", "onelogin"),
    ("jumpcloud", "jumpcloud"),
    ("rippling", "rippling"),
    ("ping", "ping"),
)
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


def init_app(app: Flask) -> None:
    """Count every request, from the moment that its log line counts from."""
    app.after_request(_count)


def _count(response: Response) -> Response:
    arrival = this_request()
    asked_by, method = arrival.audience, arrival.method if arrival.method in METHODS else "other"
    idp = identity_provider(arrival.environ.get("HTTP_USER_AGENT", "")) if asked_by == "scim" else ""
    count, seconds = _counted(asked_by, idp, method, response.status_code)
    count.inc()
    seconds.observe(time.perf_counter() - arrival.began_at)
    return response


@cache
def _counted(asked_by: str, idp: str, method: str, status: int) -> tuple[Counter, Histogram]:
    """Return where requests of a kind are counted; there are few kinds."""
    return REQUESTS.labels(asked_by, idp, method, str(status)), REQUEST_SECONDS.labels(asked_by, method)


@lru_cache(256)
def identity_provider(user_agent: str) -> str:
    """Return the identity provider that a client's name tells: one of few words, ``none`` or ``other``."""
    if not user_agent:
        return "none"
    name = user_agent.lower()
    return next((idp for word, idp in CLIENTS if word in name), "other")


@bp.get("/metrics")
def read_metrics() -> Response:
    """Answer what was counted by all processes of this machine, and how far the environment's webhooks are behind.

    :raises NotFound: When no ``METRICS_TOKEN`` is set: then there is nothing here.
    :raises NotAuthenticated: When the request does not hold it.
    """
    token = current_app.config["METRICS_TOKEN"]
    if token is None:
        raise NotFound("There is nothing at this address.", long_message="Set METRICS_TOKEN to have metrics here.")
    given = bearer_credential(request.headers.get("Authorization")) or ""
    if not hmac.compare_digest(given.encode(), token.encode()):
        raise NotAuthenticated("Send METRICS_TOKEN as: Authorization: Bearer <token>.")
    state = CollectorRegistry()
    state.register(_State())
    counted: CollectorRegistry = REGISTRY
    if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
        counted = CollectorRegistry()
        MultiProcessCollector(counted)  # type: ignore[no-untyped-call]
    return Response(generate_latest(counted) + generate_latest(state), content_type=CONTENT_TYPE_LATEST)


class _State(Collector):
    """What is so now, read when somebody asks."""

    def collect(self) -> Iterator[Metric]:
        up = {"database": 1, "redis": 1}
        try:
            with db.reading() as session:
                backlog = measure_backlog(session)
            late = max(0, now_ms() - backlog.oldest_due_at) / 1000 if backlog.oldest_due_at is not None else 0
            yield _gauge("webhook_deliveries_pending", "Deliveries that wait to be sent or retried.", backlog.pending)
            yield _gauge("webhook_oldest_due_seconds", "Seconds since the most overdue delivery was due.", late)
            yield _gauge("webhook_endpoints_disabled", "Endpoints that receive nothing.", backlog.disabled_endpoints)
        except SQLAlchemyError:
            up["database"] = 0
        try:
            yield _gauge("jobs_queued", "Jobs that wait for a worker.", current_app.extensions["queue"].count)
            swept_at = current_app.extensions["last_swept_at"]()
            if swept_at is not None:
                yield _gauge("sweep_age_seconds", "Seconds since a sweep last got through.", time.time() - swept_at)
        except RedisError:
            up["redis"] = 0
        for name, value in up.items():
            yield _gauge(f"{name}_up", f"1 while the {name} answers.", value)


def _gauge(name: str, text: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"authn_scim_{name}", text, value=value)
