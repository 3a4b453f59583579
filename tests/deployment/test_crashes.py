"""Kill -9 in the middle of a back-fill: what was acknowledged is there, and every event arrives under one id."""

import os
import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from tests import okta
from tests.conftest import wait_until
from tests.deployment.receiving import Product
from tests.deployment.running import PROGRAMS, Running

pytestmark = pytest.mark.slow

PEOPLE = 500
# After so many people, these are killed.
KILLS = [(50, ["web server"]), (150, ["worker"]), (250, ["redis"]), (350, ["worker", "redis"]), (450, ["web server"])]


class Idp:
    """Assigns people as an IdP does: look-up, then POST; whatever fails is tried again."""

    def __init__(self, url: str, token: str) -> None:
        self.http = httpx.Client(
            base_url=f"{url}/scim/v2", headers={"Authorization": f"Bearer {token}"}, timeout=10,
            limits=httpx.Limits(max_keepalive_connections=0),
        )  # fmt: skip
        self.acknowledged: dict[str, str] = {}

    def assign(self, number: int) -> None:
        body = okta.user(f"person.number{number}")
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            try:
                user_id = self.find(body["userName"]) or self.create(body)
            except httpx.HTTPError:
                user_id = None
            if user_id:
                self.acknowledged[body["userName"]] = user_id
                return
            time.sleep(0.1)
        raise AssertionError(f"{body['userName']} could not be assigned within two minutes")

    def find(self, user_name: str) -> str | None:
        answer = self.http.get("/Users", params={"filter": f'userName eq "{user_name}"'})
        found = answer.json()["Resources"] if answer.status_code == 200 else []
        return found[0]["id"] if found else None

    def create(self, body: dict[str, Any]) -> str | None:
        answer = self.http.post("/Users", json=body)
        return answer.json()["id"] if answer.status_code == 201 else None

    def everybody(self) -> dict[str, str]:
        people: dict[str, str] = {}
        for start in range(1, PEOPLE + 1, 200):
            page = self.http.get("/Users", params={"startIndex": start, "count": 200}).json()
            people |= {user["userName"]: user["id"] for user in page["Resources"]}
        return people


def test_kill_9_of_anything_during_a_back_fill_loses_and_invents_nothing(
    serve: Callable[..., Running], product: Product
) -> None:
    running = serve(SCIM_RATE_LIMIT="100000 per second")
    idp = Idp(running.url, running.printed("SCIM token"))
    api = httpx.Client(
        base_url=f"{running.url}/v1",
        headers={"Authorization": f"Bearer {running.printed('Secret key')}"},
        timeout=10,
    )
    hook = {"url": f"{product.url}/", "enabled_event_types": ["scimUser.*"]}
    assert api.post("/webhook-endpoints", json=hook).status_code == 201
    with ThreadPoolExecutor(8) as pool:
        assigned = [pool.submit(idp.assign, number) for number in range(PEOPLE)]
        for progress, names in KILLS:
            wait_until(lambda progress=progress: len(idp.acknowledged) >= progress, 120)
            for name in names:
                for victim in running.find(*PROGRAMS[name]):
                    os.kill(victim, signal.SIGKILL)
        for person in assigned:
            person.result()

    wait_until(running.is_healthy, 60)
    assert idp.everybody() == idp.acknowledged
    wait_until(lambda: len(product.events()) >= PEOPLE, 120)
    provisioned = [event["data"]["user"]["id"] for event in product.events()]
    assert sorted(provisioned) == sorted(idp.acknowledged.values())
    assert {event["type"] for event in product.events()} == {"scimUser.provisioned"}
    assert all(len(bodies) == 1 for bodies in product.bodies.values()), "one id, one body"
    pending = lambda: api.get("/webhook-deliveries", params={"state": "pending"}).json()["data"]  # noqa: E731
    wait_until(lambda: pending() == [], 60)
