"""Rate limits: one limiter, shared by every web process, and a short way for who has a place."""

import os
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

import flask_limiter
from flask import Flask
from flask_limiter.util import get_remote_address
from limits import RateLimitItem
from limits.storage import RedisStorage
from redis.exceptions import RedisError

from blueprints.arrivals import this_request
from blueprints.windows import LARGEST_AMOUNT, MachineStorage, PlacesHere


class Limiter(flask_limiter.Limiter):
    """The limiter of the library, which first asks ``has_place``: for whom it holds, nothing else is looked at.

    Which limits there are for a view, and what its answer has to say of them, would else be found out for each request.
    """

    has_place: Callable[[], bool] = staticmethod(lambda: False)

    def init_app(self, app: Flask) -> None:
        """Set up for an application; that an earlier one's Redis was away says nothing about this one's."""
        self._storage_dead = False
        super().init_app(app)
        # What the library notes of a request goes with it, and is asked for where it noted anything.
        app.teardown_request_funcs[None].pop()
        deduct = app.after_request_funcs[None].pop()
        app.after_request(lambda response: response if this_request().has_place else deduct(response))

    @property
    def is_counting_for_all(self) -> bool:
        """Tell whether all processes count together: while Redis is away each counts alone, and asks now and then."""
        return not self._storage_dead

    def _check_request_limit(self, callable_name: str | None = None, in_middleware: bool = True) -> None:
        if not (in_middleware and self.has_place()):
            super()._check_request_limit(callable_name, in_middleware)


def word(text: str) -> str:
    """Return an argument of a command, of ASCII characters, as Redis reads it."""
    return f"${len(text)}\r\n{text}\r\n"


# What the script answers: whether there was a place, in both versions of Redis's protocol.
ANSWERS = {b":1\r\n": True, b"$-1\r\n": False, b"_\r\n": False}
ANSWER_BYTES = 1024


class PlacesInRedis:
    """Counts requests under one limit, by the limiter's own script, over a connection that each thread keeps.

    So it is the limiter's window that is counted in, without its pool, its retries, and what its client does to find
    out of which kind each word and answer is: that takes several times as long as the counting.
    """

    def __init__(self, storage: RedisStorage, limit: RateLimitItem, scope: str) -> None:
        self._storage = storage
        self._key = storage.prefixed_key(limit.key_for("{}", scope))
        self._script = "".join(["*8\r\n", word("EVALSHA"), word(storage.lua_acquire_moving_window.sha), word("1")])
        self._size = word(str(limit.amount)) + word(str(limit.get_expiry()))
        self._of_thread = threading.local()

    def take(self, holder: str, cost: int = 1) -> bool:
        """Count a request, and tell whether it had a place. Without an answer of Redis it had none: ask the limiter."""
        key = word(self._key.replace("{}", holder))
        command = f"{self._script}{key}{word(repr(time.time()))}{self._size}{word(str(cost))}"
        try:
            wire = self._wire()
            wire.sendall(command.encode())
            had_place = ANSWERS.get(wire.recv(ANSWER_BYTES))
        except (RedisError, OSError):
            had_place = None
        if had_place is None:  # the limiter finds out what is wrong, on a connection of its own
            self._of_thread.kept = None
        return bool(had_place)

    def _wire(self) -> socket.socket:
        """Return the socket of this thread's connection, which the client made and which is closed with the thread."""
        kept: tuple[int, Any] | None = getattr(self._of_thread, "kept", None)
        if kept is None or kept[0] != os.getpid():
            client: Any = self._storage.get_connection()
            connection = client.connection_pool.make_connection()
            connection.connect()
            kept = self._of_thread.kept = (os.getpid(), connection)
        wire: socket.socket = kept[1]._sock
        return wire


Places = PlacesInRedis | PlacesHere


def places_of(storage: RedisStorage, limit: RateLimitItem, scope: str) -> Places:
    """Return what counts under a limit where its storage does."""
    if isinstance(storage, MachineStorage) and limit.amount <= LARGEST_AMOUNT:
        return PlacesHere(storage, limit, scope)
    return PlacesInRedis(storage, limit, scope)


limiter = Limiter(get_remote_address)
