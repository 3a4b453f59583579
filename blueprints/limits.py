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


class Limiter(flask_limiter.Limiter):
    """The limiter of the library, which first asks ``has_place``: for whom it holds, nothing else is looked at.

    Which limits there are for a view, and what its answer has to say of them, would else be found out for each request.
    """

    has_place: Callable[[], bool] = staticmethod(lambda: False)

    def init_app(self, app: Flask) -> None:
        """Set up for an application; that an earlier one's Redis was away says nothing about this one's."""
        self._storage_dead = False
        super().init_app(app)

    @property
    def is_counting_in_redis(self) -> bool:
        """Tell whether Redis is there, as far as is known: it is asked again now and then while it is not."""
        return not self._storage_dead

    def _check_request_limit(self, callable_name: str | None = None, in_middleware: bool = True) -> None:
        if not (in_middleware and self.has_place()):
            super()._check_request_limit(callable_name, in_middleware)


class Places:
    """Counts requests under one limit, by the limiter's own script, over a connection that each thread keeps.

    So it is the limiter's window that is counted in, without its pool and retries,
    which take several times as long as the counting.
    """

    def __init__(self, storage: RedisStorage, limit: RateLimitItem) -> None:
        self._storage, self._limit = storage, limit
        self._script = storage.lua_acquire_moving_window.sha
        self._of_thread = threading.local()

    def take(self, holder: str, scope: str, cost: int = 1) -> bool:
        """Count a request, and tell whether it had a place. Without an answer of Redis it had none: ask the limiter."""
        key = self._storage.prefixed_key(self._limit.key_for(holder, scope))
        window = (time.time(), self._limit.amount, self._limit.get_expiry(), cost)
        try:
            connection = self._connection()
            connection.send_command("EVALSHA", self._script, 1, key, *window)  # type: ignore[no-untyped-call]
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
