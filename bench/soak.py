"""``python -m bench.soak``: some minutes of what several identity providers do at the limit.

Each organization has a client that sends as many requests a second as the limit
lets pass, or as the machine can answer: people are looked up, created, changed,
unassigned and assigned again, and some are pushed in groups. Webhooks are
delivered meanwhile. It fails when an answer is 500 or above, when one is not what
the request asks for, when an event is missing or comes twice, or when a web
process keeps growing.
"""

import argparse
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import httpx

from bench.measuring import VoidRun, machine
from bench.receiver import Receiver, receiver
from bench.sandbox import Sandbox, sandbox, wait_until
from bench.web import PRODUCT, Server, web
from database import db
from organizations.organizations import bootstrap

USER = "urn:ietf:params:scim:schemas:core:2.0:User"
GROUP = "urn:ietf:params:scim:schemas:core:2.0:Group"
PATCH = "urn:ietf:params:scim:api:messages:2.0:PatchOp"
PEOPLE = 500
# A process has loaded everything after this part of the run; from then on it should not grow.
WARM = 0.25
GROWTH_MIB = 8.0


@dataclass
class Kept:
    """What one client saw: seconds of each answered request, statuses, and the events that have to follow."""

    seconds: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    events: int = 0


class Provider:
    """The identity provider of one organization."""

    def __init__(self, url: str, token: str, name: str, deadline: float) -> None:
        self.http = httpx.Client(base_url=f"{url}/scim/v2", headers={"Authorization": f"Bearer {token}"}, timeout=60)
        self.name, self.deadline = name, deadline
        self.kept = Kept()
        self.ids: list[str] = []

    def run(self) -> None:
        """Send requests until the deadline."""
        for request in self._requests():
            if time.monotonic() > self.deadline:
                return
            self._send(*request)

    def _send(self, method: str, path: str, body: Any, expected: int) -> httpx.Response:
        while True:
            started = time.monotonic()
            answer = self.http.request(method, path, json=body)
            self.kept.seconds.append(time.monotonic() - started)
            self.kept.statuses[answer.status_code] += 1
            if answer.status_code == 429 and time.monotonic() < self.deadline:
                time.sleep(int(answer.headers["Retry-After"]))
                continue
            if answer.status_code not in (expected, 429):
                raise VoidRun(f"{method} {path} was answered {answer.status_code}: {answer.text}")
            if answer.status_code == expected and method == "POST" and path == "/Users":
                self.ids.append(answer.json()["id"])
                self.kept.events += 1
            elif answer.status_code == expected and method == "PATCH" and path.startswith("/Users"):
                self.kept.events += 1
            return answer

    def _requests(self) -> Iterator[tuple[str, str, Any, int]]:
        for number in range(PEOPLE):
            yield "GET", f'/Users?filter=userName eq "{self._address(number)}"', None, 200
            yield "POST", "/Users", self._person(number), 201
        members = [{"value": id_} for id_ in self.ids[:200]]
        yield "POST", "/Groups", {"schemas": [GROUP], "displayName": "Everybody", "members": members}, 201
        for turn in count():
            id_ = self.ids[turn % len(self.ids)]
            yield "GET", f"/Users/{id_}", None, 200
            yield "PATCH", f"/Users/{id_}", self._active(False), 200
            yield "GET", f'/Users?filter=externalId eq "{self.name}-{turn % PEOPLE}"', None, 200
            yield "PATCH", f"/Users/{id_}", self._active(True), 200
            if turn % 10 == 0:
                yield "GET", "/Users?count=100", None, 200
            yield "PATCH", f"/Users/{id_}", self._title(turn), 200

    def _address(self, number: int) -> str:
        return f"person{number}@{self.name}.example"

    def _person(self, number: int) -> dict[str, Any]:
        return {
            "schemas": [USER],
            "userName": self._address(number),
            "externalId": f"{self.name}-{number}",
            "name": {"givenName": f"Person {number}", "familyName": self.name},
            "emails": [{"primary": True, "value": self._address(number), "type": "work"}],
            "active": True,
        }

    def _active(self, active: bool) -> dict[str, Any]:
        return {"schemas": [PATCH], "Operations": [{"op": "replace", "value": {"active": active}}]}

    def _title(self, turn: int) -> dict[str, Any]:
        return {"schemas": [PATCH], "Operations": [{"op": "replace", "path": "title", "value": f"Turn {turn}"}]}


class Arrivals:
    """The events that the product got."""

    def __init__(self, product: Receiver) -> None:
        self.product = product
        self._ids: set[str] = set()

    def count(self) -> int:
        """Return how many arrived so far.

        :raises VoidRun: When one came twice: nobody was killed, so there is no reason for it.
        """
        for headers, _ in self.product.take()[0]:
            if headers["webhook-id"] in self._ids:
                raise VoidRun(f"{headers['webhook-id']} came twice")
            self._ids.add(headers["webhook-id"])
        return len(self._ids)


def soak(minutes: float, organizations: int) -> str:
    """Run it, and return what was seen as sentences of Markdown.

    :raises VoidRun: When anything was not as it should be.
    """
    with ExitStack() as stack:
        product = stack.enter_context(receiver())
        installation = stack.enter_context(sandbox(SCIM_RATE_LIMIT="100 per second"))
        tokens = _organizations(installation, organizations, product.url)
        server = stack.enter_context(web(PRODUCT, installation.environ, processes=2, on_one=ExitStack))
        for name in ("worker", "sweep"):
            stack.enter_context(installation.command(name, processor=1))
        return _run(server, Arrivals(product), tokens, minutes)


def _organizations(installation: Sandbox, number: int, url: str) -> list[str]:
    tokens = []
    for each in range(number):
        with db.unit_of_work() as session:
            made = bootstrap(session, f"Organization {each}")
        hook = {"url": url, "organization_id": made.organization_id, "enabled_event_types": ["scimUser.*"]}
        key = {"Authorization": f"Bearer {made.secret_key}"}
        answer = installation.app.test_client().post("/v1/webhook-endpoints", json=hook, headers=key)
        if answer.status_code != 201:
            raise VoidRun(answer.text)
        tokens.append(made.scim_token)
    return tokens


def _run(server: Server, arrivals: Arrivals, tokens: list[str], minutes: float) -> str:
    begun = time.monotonic()
    deadline = begun + minutes * 60
    url = f"http://127.0.0.1:{server.port}"
    providers = [Provider(url, token, f"company{number}", deadline) for number, token in enumerate(tokens)]
    failures: list[BaseException] = []

    def run(provider: Provider) -> None:
        try:
            provider.run()
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=run, args=[provider]) for provider in providers]
    for thread in threads:
        thread.start()
    memory: list[float] = []
    while any(thread.is_alive() for thread in threads):
        time.sleep(1)
        arrivals.count()
        if time.monotonic() - begun > WARM * minutes * 60:
            memory.append(server.memory())
    if failures:
        raise VoidRun(str(failures[0])) from failures[0]
    events = sum(provider.kept.events for provider in providers)
    wait_until(lambda: arrivals.count() >= events, f"all {events} events have arrived", 300)
    return _report(providers, memory, events, arrivals.count(), minutes)


def _report(providers: list[Provider], memory: list[float], events: int, arrived: int, minutes: float) -> str:
    seconds = sorted(second for provider in providers for second in provider.kept.seconds)
    statuses = sum((provider.kept.statuses for provider in providers), Counter[int]())
    grown = memory[-1] - memory[0]
    if grown > GROWTH_MIB:
        raise VoidRun(f"a web process grew by {grown:.1f} MiB, from {memory[0]:.0f} to {memory[-1]:.0f}")
    if any(status >= 500 for status in statuses) or arrived != events:
        raise VoidRun(f"statuses {dict(statuses)}; {events} events, {arrived} arrived")
    half, most = (seconds[int(len(seconds) * part)] * 1000 for part in (0.5, 0.99))
    per_second = len(seconds) / minutes / 60
    return (
        f"{len(providers)} organizations for {minutes:g} minutes: {len(seconds):,} requests, {per_second:,.0f}/s, "
        f"{statuses[429]:,} of them held back by the limit, none answered 500 or above. Half were answered within "
        f"{half:.1f} ms, 99 of 100 within {most:.0f} ms, the slowest after {seconds[-1]:.2f} s. All {events:,} events "
        f"arrived once. The larger web process had {memory[0]:.0f} MiB after a quarter of the time and "
        f"{memory[-1]:.0f} MiB at the end. {machine()}."
    )


def main() -> None:
    """Soak for as long as the command line says."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.soak", description="See whether it stays as it is under load."
    )
    parser.add_argument("--minutes", type=float, default=5)
    parser.add_argument("--organizations", type=int, default=4)
    options = parser.parse_args()
    try:
        print(soak(options.minutes, options.organizations))
    except VoidRun as failure:
        sys.exit(f"It did not hold: {failure}")


if __name__ == "__main__":
    main()
