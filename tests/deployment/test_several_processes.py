"""Several web processes are one server: the rate limit of a token holds across them, in Redis."""

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from tests.deployment.running import Running

pytestmark = pytest.mark.slow


def test_the_rate_limit_holds_across_all_web_processes(serve: Callable[..., Running]) -> None:
    running = serve(SCIM_RATE_LIMIT="50 per hour", WEB_CONCURRENCY="3")
    headers = {"Authorization": f"Bearer {running.printed('SCIM token')}"}

    def ask(_number: int) -> httpx.Response:
        return httpx.get(f"{running.url}/scim/v2/Users", headers=headers)

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(ask, range(120)))

    assert Counter(answer.status_code for answer in answers) == {200: 50, 429: 70}
    refused = next(answer for answer in answers if answer.status_code == 429)
    assert 1 <= int(refused.headers["Retry-After"]) <= 3600
    assert len(running.find("gunicorn")) == 4, "three web processes and the one that keeps them"


def test_metrics_count_over_all_processes(serve: Callable[..., Running]) -> None:
    token = "a token for metrics"
    running = serve(METRICS_TOKEN=token, WEB_CONCURRENCY="3")
    headers = {"Authorization": f"Bearer {running.printed('SCIM token')}", "User-Agent": "Okta SCIM Client 1.0.0"}
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: httpx.get(f"{running.url}/scim/v2/Users", headers=headers), range(60)))

    answers = {httpx.get(f"{running.url}/metrics", headers={"Authorization": f"Bearer {token}"}).text for _ in range(6)}

    counted = 'authn_scim_requests_total{audience="scim",idp="okta",method="GET",status="200"} 60.0'
    assert all(counted in answer for answer in answers)
