"""HTTP as provisioning clients speak it: their headers, kept-alive connections, and their manner of backing off."""

import json
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

import urllib3

from simulator.exchange import Exchange, JsonObject, Misbehaviour, Observer
from simulator.judgement import check_refusal

# As Okta does it: an answer gets 60 seconds, and a task is given up for good after its tenth attempt.
ANSWER_SECONDS = 60
MAX_ATTEMPTS = 10


@dataclass(frozen=True)
class BackOff:
    """One 429 that was heeded: which attempt it answered, what the server asked for, how many seconds were waited."""

    attempt: int
    retry_after: int
    waited: int


class Connections:
    """Kept-alive connections to one server, shared by the threads of a simulation.

    ``send`` raises Misbehaviour when no answer comes at all.
    """

    def __init__(self, base_url: str, size: int, observer: Observer | None = None) -> None:
        parts = urlsplit(base_url)
        self.root = f"{parts.scheme}://{parts.netloc}"
        self.observer = observer
        self._pool = urllib3.PoolManager(
            maxsize=size, block=True, timeout=urllib3.Timeout(total=ANSWER_SECONDS), retries=False
        )

    def send(
        self, method: str, url: str, headers: dict[str, str], body: str | None, secrets: tuple[str, ...]
    ) -> Exchange:
        """Send one request and return it with its answer, whatever its status. Redirects are not followed."""
        started = time.perf_counter()
        try:
            answer = self._pool.request(
                method,
                url,
                headers={"User-Agent": urllib3.util.SKIP_HEADER, **headers},
                body=None if body is None else body.encode(),
                redirect=False,
            )
        except urllib3.exceptions.HTTPError as error:
            raise Misbehaviour(f"No answer to {method} {url}: {error}") from error
        exchange = Exchange(
            method=method,
            url=url,
            request_headers=headers,
            request_body=body,
            status=answer.status,
            headers=answer.headers,
            text=answer.data.decode("utf-8", "replace"),
            milliseconds=(time.perf_counter() - started) * 1000,
            secrets=secrets,
        )
        if self.observer is not None:
            self.observer(exchange)
        return exchange

    def close(self) -> None:
        """Close all connections."""
        self._pool.clear()


class Transport:
    """Sends what an IdP sends to one SCIM base URL with one Authorization header, and waits where it is told to."""

    def __init__(
        self,
        connections: Connections,
        base_url: str,
        authorization: str,
        *,
        name: str,
        headers: Mapping[str, str],
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.connections = connections
        self.base_url = base_url.rstrip("/")
        self.authorization = authorization
        self.name = name
        self.headers = headers
        self.sleep = sleep
        self.back_offs: list[BackOff] = []
        self._lock = threading.Lock()

    def with_authorization(self, authorization: str) -> "Transport":
        """Return the same transport with another Authorization header."""
        return Transport(
            self.connections, self.base_url, authorization, name=self.name, headers=self.headers, sleep=self.sleep
        )

    def call(self, method: str, path: str, body: JsonObject | None = None, *, expected: tuple[int, ...]) -> Exchange:
        """Send a request and return its exchange once the server took it.

        :raises Misbehaviour: On a status that is not expected, on a 429 that cannot
            be heeded, and when the tenth attempt is still answered by 429.
        """
        for attempt in range(1, MAX_ATTEMPTS + 1):
            exchange = self._send(method, path, body)
            if exchange.status != 429:
                break
            self._back_off(exchange, attempt)
        if exchange.status not in expected:
            wanted = " or ".join(str(status) for status in expected)
            raise Misbehaviour(f"{self.name} expects {wanted} here, and got {exchange.status}.", exchange)
        return exchange

    def _send(self, method: str, path: str, body: JsonObject | None) -> Exchange:
        headers = {**self.headers, "Authorization": self.authorization}
        text = None if body is None else json.dumps(body, ensure_ascii=False, separators=(",", ":"))
        token = self.authorization.rpartition(" ")[2]
        passwords = [body["password"]] if body is not None and "password" in body else []
        return self.connections.send(method, self.base_url + path, headers, text, (token, *passwords))

    def _back_off(self, exchange: Exchange, attempt: int) -> None:
        """Wait as a 429 asks: its whole seconds, doubled with each further attempt."""
        check_refusal(exchange, 429)
        retry_after = exchange.headers.get("Retry-After", "")
        if not (retry_after.isascii() and retry_after.isdigit()):
            complaint = f"{self.name} needs Retry-After as a whole number of seconds; Okta would now wait five minutes."
            raise Misbehaviour(complaint, exchange)
        if attempt == MAX_ATTEMPTS:
            raise Misbehaviour(f"Still 429 at attempt {attempt}; {self.name} gives the task up here.", exchange)
        waited = max(1, int(retry_after)) * 2 ** (attempt - 1)
        with self._lock:
            self.back_offs.append(BackOff(attempt, int(retry_after), waited))
        self.sleep(waited)
