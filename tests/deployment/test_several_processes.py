"""Several web processes are one server: the rate limit of a token holds across them, in Redis."""

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from tests.deployment.conftest import servers
from tests.deployment.running import Running

pytestmark = pytest.mark.slow

METRICS_TOKEN = "a token for metrics"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """One server with three web processes; each test calls it with a token of its own."""
    with servers(tmp_path_factory.mktemp("processes")) as start:
        yield start(SCIM_RATE_LIMIT="60 per hour", METRICS_TOKEN=METRICS_TOKEN, WEB_CONCURRENCY="3")


@pytest.fixture
def token(running: Running) -> str:
    """A SCIM token of a new organization."""
    headers = {"Authorization": f"Bearer {running.printed('Secret key')}"}
    with httpx.Client(base_url=f"{running.url}/v1/", headers=headers, timeout=30) as api:
        organization = api.post("organizations", json={"name": "Acme"}).json()["id"]
        issued: str = api.post(f"organizations/{organization}/scim/tokens", json={"name": "Okta"}).json()["token"]
    return issued


def test_the_rate_limit_holds_across_all_web_processes(running: Running, token: str) -> None:
    headers = {"Authorization": f"Bearer {token}"}

    def ask(_number: int) -> httpx.Response:
        return httpx.get(f"{running.url}/scim/v2/Users", headers=headers)

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(ask, range(120)))

    assert Counter(answer.status_code for answer in answers) == {200: 60, 429: 60}
    refused = next(answer for answer in answers if answer.status_code == 429)
    assert 1 <= int(refused.headers["Retry-After"]) <= 3600
    assert len(running.find("gunicorn")) == 4, "three web processes and the one that keeps them"


def test_metrics_count_over_all_processes(running: Running, token: str) -> None:
    headers = {"Authorization": f"Bearer {token}", "User-Agent": "Okta SCIM Client 1.0.0"}
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: httpx.get(f"{running.url}/scim/v2/Users", headers=headers), range(60)))

    by_token = {"Authorization": f"Bearer {METRICS_TOKEN}"}
    answers = {httpx.get(f"{running.url}/metrics", headers=by_token).text for _ in range(6)}

    counted = 'authn_scim_requests_total{audience="scim",idp="okta",method="GET",status="200"} 60.0'
    assert all(counted in answer for answer in answers)
