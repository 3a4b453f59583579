"""What runs beside the web processes: RQ's jobs, the worker that runs them, and the sweep that finds what they missed.

Redis only carries hints. A job says "look at this endpoint"; what is due stands
in the database, and a hint that is lost is made up for by the next sweep.

A hint is given once: a mark in Redis says that a job for the endpoint waits, or
that its drain will look at the database again. The mark is taken away before
each look, so a commit either finds none and queues a job, or is seen.
"""

import logging
import signal
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import cast

from flask import Flask, current_app
from redis import Redis
from redis.client import Pipeline
from redis.exceptions import RedisError
from rq import Queue, SimpleWorker
from rq.exceptions import StopRequested
from rq.job import Job
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from clock import now_ms
from database import db
from directory.mapping_applications import DUE_APPLICATIONS, due_applications
from directory.mapping_applying import apply_to_everybody
from directory.retention import remove_old_activity, remove_old_tombstones
from directory.switching import DUE_SWITCHES, due_switches, switch_everybody
from metrics import DRAINS_BROKEN_OFF, FAILED, SUCCEEDED
from organizations.idempotency import remove_expired_answers
from organizations.retention import remove_old_sessions
from organizations.scim_tokens import has_untold_ends, tell_of_ends
from webhooks.delivery import Carrier, deliver_due, due_endpoints
from webhooks.events import DUE_ENDPOINTS
from webhooks.outbox import Outcome, has_untimely, recall_untimely
from webhooks.retention import remove_expired

log = logging.getLogger(__name__)

MARK = "authn-scim:delivery-queued:"
APPLICATION_MARK = "authn-scim:mapping-queued:"
SWITCH_MARK = "authn-scim:switch-queued:"
# A mark whose job was lost stands in the way of hints for so long, and of the sweep only while the queue is not empty.
MARK_SECONDS = 600
# After Redis failed, commits do not wait for it again for so long; the sweep does their work.
QUIET_SECONDS = 5.0
# How many endpoints one worker process sends to at the same time. They wait for receivers, so threads are enough.
DRAINS_PER_WORKER = 32
# How many mappings one worker process applies at the same time. That is work for the processor, so more would take it
# from the deliveries; the other mappings wait for their turn.
APPLICATIONS_PER_WORKER = 2
RECONNECT_SECONDS = 1.0
# When a sweep last got through, in seconds since the epoch.
SWEPT_AT = "authn-scim:swept-at"


# -- Giving hints -----------------------------------------------------------------


def announce_due_work(session: Session) -> None:
    """Queue a job for each endpoint, and each mapping, that the committed transaction made something due for.

    It never raises: the work is done, and the sweep finds what the queue was not told.
    """
    endpoint_ids = session.info.pop(DUE_ENDPOINTS, ())
    organization_ids = session.info.pop(DUE_APPLICATIONS, ())
    switched_ids = session.info.pop(DUE_SWITCHES, ())
    if not (endpoint_ids or organization_ids or switched_ids) or time.monotonic() < current_app.extensions.get(
        "announcements_resume_at", 0.0
    ):
        return
    try:
        if endpoint_ids:
            announce(sorted(endpoint_ids))
        if organization_ids:
            announce_applications(sorted(organization_ids))
        if switched_ids:
            announce_switches(sorted(switched_ids))
    except RedisError as error:
        current_app.extensions["announcements_resume_at"] = time.monotonic() + QUIET_SECONDS
        log.warning("the queue cannot be told of what is due (%s); the sweep will find them", error)


def announce(endpoint_ids: Iterable[str], *, trust_marks: bool = True) -> int:
    """Queue a job for each endpoint that none is waiting for, and return how many were queued.

    :param trust_marks: Whether a mark is believed. Where the queue is empty it is a remnant.
    :raises RedisError: When Redis does not answer.
    """
    return _enqueue(deliver_to, MARK, list(endpoint_ids), trust_marks=trust_marks)


def announce_applications(organization_ids: Iterable[str], *, trust_marks: bool = True) -> int:
    """Queue a job for the mapping of each organization that none is waiting for; as ``announce`` does."""
    return _enqueue(apply_mapping_of, APPLICATION_MARK, list(organization_ids), trust_marks=trust_marks)


def announce_switches(organization_ids: Iterable[str], *, trust_marks: bool = True) -> int:
    """Queue a job for each directory whose people are to be suspended or restored; as ``announce`` does."""
    return _enqueue(switch_directory_of, SWITCH_MARK, list(organization_ids), trust_marks=trust_marks)


def _enqueue(job: Callable[[str], None], mark: str, ids: Sequence[str], *, trust_marks: bool) -> int:
    queue: Queue = current_app.extensions["queue"]
    with queue.connection.pipeline(transaction=False) as pipeline:
        for name in ids:
            pipeline.set(mark + name, "1", nx=trust_marks, ex=MARK_SECONDS)
        marked = pipeline.execute()
    unannounced = [name for name, is_new in zip(ids, marked, strict=True) if is_new]
    for name in unannounced:
        # No time limit: a job has its own. A failed job is soon of no interest: the sweep starts another one.
        queue.enqueue(job, name, job_timeout=-1, result_ttl=0, failure_ttl=3600)
    return len(unannounced)


class QueueMarks:
    """The marks that keep commits from queueing a job for an endpoint that is attended to anyway.

    A failing Redis is passed over: without a mark there is a job too many, and a
    mark too many is found out by the sweep.
    """

    def __init__(self, redis: Redis) -> None:
        self.redis = redis

    def drop(self, endpoint_id: str) -> None:
        """Have commits queue a job."""
        with suppress(RedisError):
            self.redis.delete(MARK + endpoint_id)

    def hold(self, endpoint_id: str) -> None:
        """Tell commits that the database will be looked at again."""
        with suppress(RedisError):
            self.redis.set(MARK + endpoint_id, "1", ex=MARK_SECONDS)


# -- The job ----------------------------------------------------------------------


def deliver_to(endpoint_id: str) -> None:
    """Send what is due for one endpoint. In a worker a thread does it, so that slow receivers delay nobody."""
    drains: Drains | None = current_app.extensions.get("drains")
    if drains is None:
        drain(endpoint_id)
    else:
        drains.start(endpoint_id, lambda: drain(endpoint_id, drains.stopping.is_set))


def apply_mapping_of(organization_id: str) -> None:
    """Apply an organization's mapping to everybody. In a worker a thread does it, so that no delivery waits for it."""
    with suppress(RedisError):
        current_app.extensions["queue"].connection.delete(APPLICATION_MARK + organization_id)
    drains: Drains | None = current_app.extensions.get("drains")
    if drains is None:
        apply_to_everybody(db, organization_id)
    else:
        drains.start_in_turn(organization_id, lambda: apply_to_everybody(db, organization_id, drains.stopping.is_set))


def switch_directory_of(organization_id: str) -> None:
    """Suspend or restore the people of a directory. In a worker a thread does it, so that no delivery waits for it."""
    with suppress(RedisError):
        current_app.extensions["queue"].connection.delete(SWITCH_MARK + organization_id)
    drains: Drains | None = current_app.extensions.get("drains")
    if drains is None:
        switch_everybody(db, organization_id)
    else:
        name = f"{SWITCH_MARK}{organization_id}"
        drains.start_in_turn(name, lambda: switch_everybody(db, organization_id, drains.stopping.is_set))


def drain(endpoint_id: str, stopping: Callable[[], bool] = lambda: False) -> int:
    """Send what is due for one endpoint in this thread, and return how many attempts that took."""
    carrier = Carrier(
        policy=current_app.extensions["outbound_policy"],
        secret_box=current_app.extensions["secret_box"],
        stopping=stopping,
        hints=QueueMarks(current_app.extensions["queue"].connection),
        count=count_outcomes,
    )
    return deliver_due(db, endpoint_id, carrier)


def count_outcomes(outcomes: Sequence[Outcome]) -> None:
    """Count attempts for Prometheus."""
    succeeded = sum(outcome.succeeded for outcome in outcomes)
    SUCCEEDED.inc(succeeded)
    FAILED.inc(len(outcomes) - succeeded)


class Drains:
    """What one worker process does: a limited number of threads, each in an application context of its own."""

    def __init__(self, app: Flask, places: int = DRAINS_PER_WORKER) -> None:
        self.app = app
        self.stopping = threading.Event()
        self._places = threading.Semaphore(places)
        self._threads = ThreadPoolExecutor(places, thread_name_prefix="webhook drain")
        self._appliers = ThreadPoolExecutor(APPLICATIONS_PER_WORKER, thread_name_prefix="mapping")
        self._waiting: set[str] = set()

    def start(self, name: str, work: Callable[[], int]) -> None:
        """Begin some work, which ends soon after ``stopping`` is set; wait while all places are taken."""
        self._places.acquire()
        try:
            self._threads.submit(self._run_and_leave, name, work)
        except BaseException:
            self._places.release()
            raise

    def start_in_turn(self, name: str, work: Callable[[], int]) -> None:
        """Begin some long work when it is its turn, and return at once; nothing where it waits already."""
        if name not in self._waiting:
            self._waiting.add(name)
            self._appliers.submit(self._run_in_turn, name, work)

    def _run_in_turn(self, name: str, work: Callable[[], int]) -> None:
        self._waiting.discard(name)
        self._run(name, work)

    def _run_and_leave(self, name: str, work: Callable[[], int]) -> None:
        try:
            self._run(name, work)
        finally:
            self._places.release()

    def _run(self, name: str, work: Callable[[], int]) -> None:
        try:
            with self.app.app_context():
                work()
        except Exception:
            # What was not recorded is still due; the claim runs out, and the sweep starts the work again.
            log.exception("the work for %s was broken off", name)
            DRAINS_BROKEN_OFF.inc()

    def finish(self) -> None:
        """Let every drain end after the attempt it is at, and wait for that. What waits for its turn is left out."""
        self.stopping.set()
        self._appliers.shutdown(wait=True, cancel_futures=True)
        self._threads.shutdown(wait=True)


# -- The worker ---------------------------------------------------------------------


class DeliveryWorker(SimpleWorker):
    """RQ's worker without a process for each job. A failing Redis is waited for."""

    max_connection_wait_time = 2.0
    log_result_lifespan = False

    def __init__(self, queue: Queue, drains: Drains) -> None:
        super().__init__([queue], connection=queue.connection, worker_ttl=60, log_job_description=False)
        self.drains = drains

    def handle_warm_shutdown_request(self) -> None:
        """Tell the drains too that the process is asked to end."""
        self.drains.stopping.set()
        super().handle_warm_shutdown_request()  # type: ignore[no-untyped-call]

    def dequeue_job_and_maintain_ttl(
        self, timeout: int | None, max_idle_time: int | None = None
    ) -> tuple[Job, Queue] | None:
        """Return the next job, or end the worker if it was told to before it could listen to signals.

        :raises StopRequested: When the process was told to end.
        """
        if self.drains.stopping.is_set():
            raise StopRequested
        return super().dequeue_job_and_maintain_ttl(timeout, max_idle_time)

    def heartbeat(self, timeout: int | None = None, pipeline: Pipeline | None = None) -> None:
        """Tell Redis that the worker lives; where Redis is away, end if told to: RQ would ask again for ever.

        :raises StopRequested: When the process was told to end, and Redis does not answer.
        """
        try:
            super().heartbeat(timeout, pipeline)
        except RedisError:
            if self.drains.stopping.is_set():
                raise StopRequested from None
            raise

    def subscribe(self) -> None:
        """Listen to no remote commands: there is no work horse to kill, and it would take one more connection."""


def run_worker() -> None:
    """Run the jobs of the queue until the process is told to end (SIGTERM or SIGINT).

    A Redis that is not there yet, or goes away, is waited for.
    """
    app = cast(Flask, current_app._get_current_object())  # type: ignore[attr-defined]
    drains = app.extensions["drains"] = Drains(app)
    redis = _worker_connection(app)
    while not drains.stopping.is_set():
        for signal_number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(signal_number, lambda *_: drains.stopping.set())
        try:
            worker = DeliveryWorker(Queue(app.extensions["queue"].name, connection=redis), drains)
            worker.work(logging_level="WARNING")
        except RedisError as error:
            log.warning("Redis does not answer (%s); the worker waits for it", error)
        drains.stopping.wait(RECONNECT_SECONDS)
    drains.finish()


def _worker_connection(app: Flask) -> Redis:
    """Return a connection of the worker's own: it waits for jobs longer than the web may wait for anything."""
    return Redis.from_url(app.config["SETTINGS"].redis_url, socket_connect_timeout=2, health_check_interval=30)


# -- The sweep ----------------------------------------------------------------------


def sweep_once() -> int:
    """Queue a job for every endpoint, mapping and directory that something is due for, and return how many.

    Retries come due by the clock alone, and what a crash left behind has no
    other hint: this finds both. It tells of the ends of SCIM tokens as well.

    :raises RedisError: When Redis does not answer.
    :raises SQLAlchemyError: When the database does not.
    """
    with db.reading() as session:
        untimely = has_untimely(session, now_ms())
    if untimely:
        with db.unit_of_work() as session:
            log.warning("%s deliveries of a time to come: is a clock wrong?", recall_untimely(session, now_ms()))
    with db.reading() as session:
        endpoint_ids, organization_ids = due_endpoints(session), due_applications(session)
        switched_ids, ends = due_switches(session), has_untold_ends(session, now_ms())
    if ends:
        with db.unit_of_work() as session:
            tell_of_ends(session, now_ms())
    queue: Queue = current_app.extensions["queue"]
    trust_marks = not queue.is_empty()
    queued = announce(endpoint_ids, trust_marks=trust_marks) if endpoint_ids else 0
    if organization_ids:
        queued += announce_applications(organization_ids, trust_marks=trust_marks)
    if switched_ids:
        queued += announce_switches(switched_ids, trust_marks=trust_marks)
    queue.connection.set(SWEPT_AT, str(time.time()))
    return queued


def last_swept_at() -> float | None:
    """Return when any machine's sweep last got through, in seconds since the epoch; None when Redis knows of none.

    :raises RedisError: When Redis does not answer.
    """
    value = current_app.extensions["queue"].connection.get(SWEPT_AT)
    return None if value is None else float(value)


def remove_what_expired(pause: Callable[[float], bool]) -> int:
    """Remove some of what was kept for long enough, and return how many rows.

    :param pause: Waits for so many seconds, and tells whether to stop.
    :raises SQLAlchemyError: When the database does not answer.
    """
    settings, now = current_app.config["SETTINGS"], now_ms()
    return (
        remove_expired(db, now, settings.event_retention_days, pause=pause)
        + remove_old_activity(db, now, settings.activity_retention_days, pause=pause)
        + remove_old_tombstones(db, now, settings.tombstone_retention_days, pause=pause)
        + remove_old_sessions(db, now, pause=pause)
        + remove_expired_answers(db, now, pause=pause)
    )


def run_sweep(seconds: float) -> None:
    """Sweep again and again, with that many seconds in between, until the process is told to end."""
    stopping = threading.Event()
    for signal_number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signal_number, lambda *_: stopping.set())
    while not stopping.is_set():
        try:
            sweep_once()
            remove_what_expired(stopping.wait)
        except (RedisError, SQLAlchemyError) as error:
            log.warning("the sweep did not get through (%s); it will be tried again", error)
        except Exception:
            log.exception("the sweep failed; it will be tried again")
        stopping.wait(seconds)
