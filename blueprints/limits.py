"""Rate limits: one limiter over Redis, shared by every web process, and a short way for who has a place."""

import os
import threading
import time
from collections.abc import Callable
from typing import Any

import flask_limiter
from flask import Flask
from flask_limiter.util import get_remote_address
from limits import RateLimitItem
from limits.storage import RedisStorage
from redis import Connection
from redis.exceptions import RedisError

from blueprints.arrivals import this_request


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
    def is_counting_in_redis(self) -> bool:
        """Tell whether Redis is there, as far as is known: it is asked again now and then while it is not."""
        return not self._storage_dead

    def _check_request_limit(self, callable_name: str | None = None, in_middleware: bool = True) -> None:
        if not (in_middleware and self.has_place()):
            super()._check_request_limit(callable_name, in_middleware)


def packed(*words: str) -> bytes:
    """Return a command as Redis reads it. The client finds out the type of each word first, which takes longer."""
    parts = [word.encode() for word in words]
    return b"".join([b"*%d\r\n" % len(parts), *[b"$%d\r\n%b\r\n" % (len(part), part) for part in parts]])


class Places:
    """Counts requests under one limit, by the limiter's own script, over a connection that each thread keeps.

    So it is the limiter's window that is counted in, without its pool and retries,
    which take several times as long as the counting.
    """

    def __init__(self, storage: RedisStorage, limit: RateLimitItem, scope: str) -> None:
        self._storage = storage
        self._script = storage.lua_acquire_moving_window.sha
        self._size = str(limit.amount), str(limit.get_expiry())
        self._key = storage.prefixed_key(limit.key_for("{}", scope))
        self._of_thread = threading.local()

    def take(self, holder: str, cost: int = 1) -> bool:
        """Count a request, and tell whether it had a place. Without an answer of Redis it had none: ask the limiter."""
        key = self._key.replace("{}", holder)
        try:
            connection = self._connection()
            command = packed("EVALSHA", self._script, "1", key, repr(time.time()), *self._size, str(cost))
            connection.send_packed_command([command])  # type: ignore[no-untyped-call]
            return bool(connection.read_response())
        except RedisError:
            self._of_thread.kept = None
            return False

    def _connection(self) -> Connection:
        """Return the connection of this thread, which is closed with the thread."""
        kept: tuple[int, Connection] | None = getattr(self._of_thread, "kept", None)
        if kept is None or kept[0] != os.getpid():
            client: Any = self._storage.get_connection()
            connection = client.connection_pool.make_connection()
            connection.connect()
            kept = self._of_thread.kept = (os.getpid(), connection)
        return kept[1]


limiter = Limiter(get_remote_address)
