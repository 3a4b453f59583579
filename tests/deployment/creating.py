"""An identity provider that creates people all the time, while the servers that it talks to start anew."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count

import httpx

from tests import okta
from tests.conftest import wait_until


class Creating:
    """Creates people from four threads: two keep their connections, two open another one each time.

    Where there are several servers, a request goes to the next one when the first does not listen, as from a balancer.
    """

    def __init__(self, urls: list[str], tokens: list[str]) -> None:
        self.urls, self.tokens = urls, tokens
        self.statuses: list[int] = []
        self.failures: list[Exception] = []
        self._over = threading.Event()
        self._numbers = count()
        self._threads = [threading.Thread(target=self._run, args=[kept]) for kept in (True, False) * 2]

    def _run(self, is_kept: bool) -> None:
        with httpx.Client(headers={} if is_kept else {"Connection": "close"}, timeout=60) as client:
            while not self._over.wait(0.05):
                number = next(self._numbers)
                try:
                    self.statuses.append(self._create(client, number))
                except httpx.HTTPError as error:
                    self.failures.append(error)

    def _create(self, client: httpx.Client, number: int) -> int:
        turn = number % len(self.urls)
        *others, last = self.urls[turn:] + self.urls[:turn]
        body = okta.user(f"person.number{number}")
        headers = {"Authorization": f"Bearer {self.tokens[number % len(self.tokens)]}"}
        for url in others:
            try:
                return client.post(f"{url}/scim/v2/Users", json=body, headers=headers).status_code
            except httpx.ConnectError:
                continue
        return client.post(f"{last}/scim/v2/Users", json=body, headers=headers).status_code

    def has_done_more(self) -> None:
        """Wait until fifty more were created."""
        so_far = len(self.statuses)
        wait_until(lambda: len(self.statuses) > so_far + 50, 60)

    @contextmanager
    def at_work(self) -> Iterator[None]:
        for thread in self._threads:
            thread.start()
        try:
            yield
        finally:
            self._over.set()
            for thread in self._threads:
                thread.join()
