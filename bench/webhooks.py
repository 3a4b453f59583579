"""Webhooks: events per second that one worker process delivers, beside a plain loop of urllib3 with the same bodies.

Both send over one kept connection, from the same processor, to a receiver on
another one. The worker also signs, claims, writes each attempt down and commits.
Each of the two is timed cold, as the first thing a new process does, and then
warm, with a second load of the same size; the runs of both take turns. The
worker's time is from the hint in the queue to the last result written. Then it gets
some events one at a time.
"""

import json
import multiprocessing
import time
from collections import Counter
from multiprocessing.connection import Connection

import urllib3
from rq import Worker
from sqlalchemy import func, select
from standardwebhooks import Webhook

import jobs
from bench.measuring import Measurement, VoidRun, on_processor
from bench.receiver import Receiver, Request, receiver
from bench.sandbox import Sandbox, sandbox, wait_until
from clock import now_ms
from database import db
from models import Event, WebhookAttempt, WebhookDelivery
from organizations.organizations import bootstrap
from webhooks.destinations import check_url
from webhooks.endpoints import create_endpoint
from webhooks.events import record_events

EVENT_TYPE = "scimUser.provisioned"
# How many signatures of each run are verified, by a library that is not ours.
VERIFIED = 50
# How many events each worker also gets one at a time.
SINGLE_EVENTS = 10


def measure(*, size: int, repeat: int) -> list[Measurement]:
    """Return events per second, cold and warm; ``size`` is the number of events of a run."""
    loops: dict[str, list[float]] = {"cold": [], "warm": []}
    workers: dict[str, list[float]] = {"cold": [], "warm": []}
    waits: list[float] = []
    with sandbox() as installation, receiver() as product:
        outbox = Outbox(installation, product)
        for _ in range(repeat):
            _run_loop(outbox, size, loops)
            waits += _run_worker(outbox, size, workers)
    rows = []
    for state in ("warm", "cold"):
        plain = Measurement(f"urllib3 in a loop, {state}", "requests/s", loops[state])
        rows += [plain, Measurement(f"one worker process, {state}", "events/s", workers[state], beside=[plain])]
    rows.append(Measurement("one event alone, until its result is written", "ms", waits))
    return rows


class Outbox:
    """Events for one endpoint, and what must have become of them."""

    def __init__(self, installation: Sandbox, product: Receiver) -> None:
        self.installation = installation
        self.product = product
        settings = installation.app.extensions
        with db.unit_of_work() as session:
            made = bootstrap(session, "Acme")
            endpoint, self.secret = create_endpoint(
                session,
                settings["secret_box"],
                url=check_url(settings["outbound_policy"], product.url),
                organization_id=None,
                enabled_event_types=[EVENT_TYPE],
            )
            self.endpoint_id, self.organization_id = endpoint.id, made.organization_id
        self.data = self._data_of_a_real_event(made.scim_token)
        self.installation.app.extensions["queue"].empty()
        db.after_commit = None  # nobody is told before the clock runs

    def _data_of_a_real_event(self, scim_token: str) -> dict[str, object]:
        """Return the data of the event that a first person makes, and forget its delivery."""
        person = {
            "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"],
            "userName": "ada.lovelace@acme.example",
            "externalId": "00u1a2b3c4d5e6f7g8h9",
            "name": {"givenName": "Ada", "familyName": "Lovelace"},
            "emails": [{"value": "ada.lovelace@acme.example", "type": "work", "primary": True}],
        }
        headers = {"Authorization": f"Bearer {scim_token}"}
        answer = self.installation.app.test_client().post("/scim/v2/Users", json=person, headers=headers)
        if answer.status_code != 201:
            raise VoidRun(f"the first person was answered {answer.status_code}: {answer.text}")
        with db.unit_of_work() as session:
            body = session.scalars(select(Event.body).where(Event.type == EVENT_TYPE)).one()
            for delivery in session.scalars(select(WebhookDelivery)):
                session.delete(delivery)
        data: dict[str, object] = json.loads(body)["data"]
        return data

    def fill(self, size: int) -> dict[str, bytes]:
        """Record that many events, due now, and return their bodies by id."""
        with db.unit_of_work() as session:
            recorded = record_events(session, self.organization_id, [(EVENT_TYPE, self.data)] * size)
        return {event.id: event.body.encode() for event in recorded}

    def is_empty(self) -> bool:
        """Tell whether nothing is pending."""
        with db.reading() as session:
            pending = select(func.count()).where(WebhookDelivery.state == "pending")
            return session.scalar(pending) == 0

    def finished_at(self) -> int:
        """Return when the last result was written, in Unix milliseconds."""
        with db.reading() as session:
            return session.scalar(select(func.max(WebhookDelivery.finished_at))) or 0

    def check(self, bodies: dict[str, bytes]) -> None:
        """Compare what arrived with what was recorded.

        :raises VoidRun: When anything is missing, double, altered, out of order, forged or failed.
        """
        requests, _ = self.product.take()
        check_arrivals(requests, bodies)
        for headers, body in requests[:: max(1, len(requests) // VERIFIED)]:
            Webhook(self.secret).verify(body, headers)
        with db.reading() as session:
            states = Counter(session.scalars(select(WebhookDelivery.state)))
            statuses = Counter(session.scalars(select(WebhookAttempt.status)))
            attempts = session.scalar(select(func.count()).select_from(WebhookAttempt))
        if set(states) != {"succeeded"} or set(statuses) != {200} or attempts != states["succeeded"]:
            raise VoidRun(f"deliveries {dict(states)}, answers {dict(statuses)}")


def check_arrivals(requests: list[Request], bodies: dict[str, bytes]) -> None:
    """Return if each body arrived once, unaltered and in order.

    :raises VoidRun: When not.
    """
    arrived = [(headers["webhook-id"], body) for headers, body in requests]
    if arrived != list(bodies.items()):
        raise VoidRun(f"{len(bodies)} events were due, and {len(arrived)} requests arrived, or not the same ones")


def _run_worker(outbox: Outbox, size: int, results: dict[str, list[float]]) -> list[float]:
    """Time a new worker cold and warm, and return how many milliseconds single events take it."""
    redis = outbox.installation.app.extensions["redis"]
    with outbox.installation.command("worker", processor=0) as process:
        wait_until(lambda: str(process.pid) in {str(worker.pid) for worker in Worker.all(redis)}, "the worker is there")
        for state in ("cold", "warm"):
            results[state].append(size / _deliver(outbox, size) * 1000)
        return [_deliver(outbox, 1) for _ in range(SINGLE_EVENTS)]


def _deliver(outbox: Outbox, size: int) -> float:
    """Have the worker deliver new events, and return the milliseconds from the hint to the last result."""
    bodies = outbox.fill(size)
    began = now_ms()
    jobs.announce([outbox.endpoint_id], trust_marks=False)
    wait_until(outbox.is_empty, "everything is delivered")
    outbox.check(bodies)
    return outbox.finished_at() - began


def _run_loop(outbox: Outbox, size: int, results: dict[str, list[float]]) -> None:
    """Send bodies of the same kind with a process that does nothing else."""
    processes = multiprocessing.get_context("spawn")
    ours, its = processes.Pipe()
    process = processes.Process(target=_loop, args=(outbox.product.url, its), daemon=True)
    with on_processor(0):
        process.start()
    its.close()  # so that a process that ends early is noticed
    try:
        ours.recv()
        for state in ("cold", "warm"):
            event = json.dumps({"object": "event", "data": outbox.data}).encode()
            bodies = {f"evt_{number:026}": event for number in range(size)}
            ours.send(bodies)
            results[state].append(size / ours.recv())
            check_arrivals(outbox.product.take()[0], bodies)
    finally:
        process.kill()


def _loop(url: str, control: Connection) -> None:
    control.send("ready")
    with urllib3.PoolManager(retries=False) as pool:
        while True:
            bodies: dict[str, bytes] = control.recv()
            began = time.perf_counter()
            for event_id, body in bodies.items():
                headers = {"Content-Type": "application/json", "webhook-id": event_id}
                if pool.request("POST", url, body=body, headers=headers).status != 200:
                    raise VoidRun("the loop was refused")
            control.send(time.perf_counter() - began)
