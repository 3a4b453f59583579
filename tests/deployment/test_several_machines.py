"""Two machines with one PostgreSQL and one Redis are one service, and either may go away."""

import os
import re
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests import okta
from tests.conftest import SECRET_KEY, postgres_database, wait_until
from tests.deployment.conftest import servers
from tests.deployment.creating import Creating
from tests.deployment.running import Running
from tests.deployment.test_crashes import Product

pytestmark = pytest.mark.slow


@dataclass
class Machines:
    first: Running
    second: Running
    secret_key: str
    start: Callable[[], Running]

    def api(self, method: str, path: str, json: Any = None) -> Any:
        """Call the management API of the second machine, the one that outlives the other."""
        headers = {"Authorization": f"Bearer {self.secret_key}"}
        answer = httpx.request(method, f"{self.second.url}/v1{path}", json=json, headers=headers, timeout=30)
        assert answer.is_success, answer.text
        return answer.json()

    def subscribe(self, product: Product) -> None:
        url = f"http://127.0.0.1:{product.server_port}/"
        self.api("POST", "/webhook-endpoints", {"url": url, "enabled_event_types": ["scimUser.*"]})


@pytest.fixture
def product() -> Iterator[Product]:
    receiver = Product()
    yield receiver
    receiver.shutdown()


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("machines")


@pytest.fixture(scope="module")
def machines(data: Path, postgres_url: str, postgres_template: str, redis_url: str) -> Iterator[Machines]:
    """Two machines with the same settings."""
    with postgres_database(postgres_url, postgres_template) as database_url, servers(data) as start:
        settings = {
            "DATABASE_URL": database_url.replace("+psycopg", ""),
            "REDIS_URL": redis_url,
            "SECRET_KEY": SECRET_KEY,
            "WEB_CONCURRENCY": "1",
            "SCIM_RATE_LIMIT": "100 per minute",
        }
        first, second = start(**settings), start(**settings)
        yield Machines(first, second, first.printed("Secret key"), partial(start, **settings))


@pytest.fixture
def token(machines: Machines) -> str:
    """A SCIM token of a new organization."""
    organization = machines.api("POST", "/organizations", {"name": "Acme"})["id"]
    issued: str = machines.api("POST", f"/organizations/{organization}/scim/tokens", {"name": "Okta"})["token"]
    return issued


def create(machine: Running, token: str, name: str) -> httpx.Response:
    return httpx.post(
        f"{machine.url}/scim/v2/Users",
        headers={"Authorization": f"Bearer {token}"},
        json=okta.user(name),
        timeout=60,
    )


def test_the_rate_limit_of_a_token_holds_across_machines(machines: Machines, token: str) -> None:
    headers = {"Authorization": f"Bearer {token}"}
    urls = [f"{machine.url}/scim/v2/Users" for machine in (machines.first, machines.second)] * 75

    with ThreadPoolExecutor(8) as pool:
        statuses = list(pool.map(lambda url: httpx.get(url, headers=headers).status_code, urls))

    assert Counter(statuses) == {200: 100, 429: 50}


def test_somebody_who_signed_in_at_one_machine_is_signed_in_at_the_other(machines: Machines) -> None:
    link = machines.first.printed("Sign-in link")
    with httpx.Client(follow_redirects=True) as browser:
        form_token = re.search(r'name="csrf_token"[^>]* value="([^"]+)"', browser.get(link).text)
        assert form_token
        assert browser.post(link, data={"csrf_token": form_token[1]}).status_code == 200
        cookies = "; ".join(f"{name}={value}" for name, value in browser.cookies.items())

    members = httpx.get(f"{machines.second.url}/organization/members", headers={"Cookie": cookies})

    assert members.status_code == 200
    assert "Members" in members.text


def test_writes_at_both_machines_make_one_sequence_and_each_event_arrives(
    machines: Machines, product: Product, token: str
) -> None:
    machines.subscribe(product)

    with ThreadPoolExecutor(8) as pool:
        created = list(
            pool.map(lambda n: create((machines.first, machines.second)[n % 2], token, f"writer{n}.x"), range(60))
        )

    assert {answer.status_code for answer in created} == {201}
    wait_until(lambda: len(product.bodies) == 60, 60)
    arrived = product.events()
    of_organization = [
        e
        for e in machines.api("GET", "/events?limit=200")["data"]
        if e["organization_id"] == arrived[0]["organization_id"]
    ]
    assert [event["sequence"] for event in of_organization] == list(range(1, len(of_organization) + 1))
    assert {e["id"] for e in of_organization if e["type"] == "scimUser.provisioned"} == set(product.bodies)
    assert all(len(bodies) == 1 for bodies in product.bodies.values())


def test_the_data_directories_hold_nothing_that_counts(machines: Machines, data: Path) -> None:
    assert {path.name for path in data.glob("machine */data/*")} <= {"serve.lock", "address", "metrics"}


def test_what_a_machine_that_died_left_due_is_delivered_by_the_other(
    machines: Machines, product: Product, token: str
) -> None:
    machines.subscribe(product)
    for pid in machines.second.find("flask", "worker") | machines.first.find("flask", "worker"):
        os.kill(pid, signal.SIGSTOP)
    assert create(machines.first, token, "left.behind").status_code == 201

    machines.first.kill_all()
    for pid in machines.second.find("flask", "worker"):
        os.kill(pid, signal.SIGCONT)

    wait_until(lambda: len(product.bodies) == 1, 60)
    (event,) = product.events()
    assert event["data"]["user"]["email_address"] == "left.behind@acme.example"
    assert create(machines.second, token, "on.it.goes").status_code == 201
    wait_until(lambda: len(product.bodies) == 2, 60)


def test_no_request_fails_while_a_machine_takes_the_place_of_another(machines: Machines) -> None:
    organization = machines.api("POST", "/organizations", {"name": "Acme"})["id"]
    path = f"/organizations/{organization}/scim/tokens"
    # Many, since each of them has its limit.
    tokens = [machines.api("POST", path, {"name": f"Okta {number}"})["token"] for number in range(60)]
    idp = Creating([machines.second.url], tokens)

    with idp.at_work():
        idp.has_done_more()
        machines.first = machines.start()
        idp.urls = [machines.second.url, machines.first.url]
        idp.has_done_more()
        idp.urls = [machines.first.url]  # as docs/deploy.md says: first out of the balancer
        idp.has_done_more()
        machines.second.ctrl_c()
        idp.has_done_more()

    assert idp.failures == []
    assert set(idp.statuses) == {201}
    headers = {"Authorization": f"Bearer {tokens[0]}"}
    everybody = httpx.get(f"{machines.first.url}/scim/v2/Users?count=0", headers=headers, timeout=60)
    assert everybody.json()["totalResults"] == len(idp.statuses)
