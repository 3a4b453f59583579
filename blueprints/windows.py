"""Moving windows in memory that all web processes of a machine share: how many requests of a bearer of late."""

import fcntl
import mmap
import os
import tempfile
import threading
import time
from functools import cache
from typing import Any, ClassVar

from limits import RateLimitItem
from limits.storage import RedisStorage

# What is kept of a window beside its moments: whose it is, and how many it has seen.
FIELDS = 2
MEMORY_BYTES = 4 * 1024 * 1024
FEWEST_WINDOWS, MOST_WINDOWS = 64, 4096
# Of a larger limit, which nobody needs for seconds, not that many windows fit into memory.
LARGEST_AMOUNT = 65_536
# In how many places a window is looked for, by its key.
PLACES_OF_KEY = 8


class SharedWindows:
    """Lets ``amount`` in within ``seconds``, for each of many keys.

    Processes share it that were forked after it was made. A window is a ring of the moments at which the last
    ``amount`` were let in, so that one more has a place when the oldest of them is long enough ago.
    Nothing is kept in order or thrown away: who comes new takes the window of who has not come for longest.
    """

    def __init__(self, amount: int, seconds: float) -> None:
        self._amount, self._seconds = amount, seconds
        self._width = amount + FIELDS
        self._count = max(FEWEST_WINDOWS, min(MOST_WINDOWS, MEMORY_BYTES // (8 * self._width)))
        # Of what is not in use the machine has no memory either.
        memory = memoryview(mmap.mmap(-1, 8 * self._width * self._count))
        self._numbers, self._moments = memory.cast("q"), memory.cast("d")
        self._alone = Alone()

    def take(self, key: str, cost: int = 1) -> bool:
        """Count a request, or as many as ``cost`` says, and tell whether it had a place; if not it is not counted."""
        if cost > self._amount:
            return False
        with self._alone:
            window, now = self._window_of(key), time.monotonic()
            numbers, moments, amount = self._numbers, self._moments, self._amount
            seen, ring = numbers[window + 1], window + FIELDS
            is_full = seen + cost > amount
            if is_full and moments[ring + (seen + cost - 1) % amount] > now - self._seconds:
                return False
            for number in range(seen, seen + cost):
                moments[ring + number % amount] = now
            numbers[window + 1] = seen + cost
            return True

    def look(self, key: str) -> tuple[float, int]:
        """Return when the first that still counts was let in, as a Unix time, and how many count."""
        with self._alone:
            window, now = self._window_of(key), time.monotonic()
            seen, ring = self._numbers[window + 1], window + FIELDS
            oldest, count = now, 0
            while count < min(seen, self._amount):
                moment = self._moments[ring + (seen - count - 1) % self._amount]
                if moment <= now - self._seconds:
                    break
                oldest, count = moment, count + 1
            return time.time() - (now - oldest), count

    def _window_of(self, key: str) -> int:
        """Return where the window of a key begins; forks of one process agree on what its hash is."""
        mark, numbers, count, width = hash(key) | 1, self._numbers, self._count, self._width
        for place in range(PLACES_OF_KEY):
            window = (mark + place) % count * width
            if numbers[window] == mark:
                return window
        window = min(
            ((mark + place) % count * width for place in range(PLACES_OF_KEY)),
            key=self._last_moment,
        )
        numbers[window], numbers[window + 1] = mark, 0
        self._moments[window + FIELDS : window + self._width] = memoryview(bytes(8 * self._amount)).cast("d")
        return window

    def _last_moment(self, window: int) -> float:
        return self._moments[window + FIELDS + (self._numbers[window + 1] - 1) % self._amount]


@cache
def lock_file() -> int:
    """Return the descriptor of a file without a name, in memory on Linux, for one process at a time to lock."""
    return os.memfd_create("windows") if hasattr(os, "memfd_create") else os.dup(tempfile.TemporaryFile().fileno())


class Alone:
    """Keeps all other threads, and processes, from doing the same within ``with``. Who dies meanwhile keeps nobody."""

    # Of all windows, since a file is locked by a process, and not by a thread.
    _threads = threading.Lock()

    def __init__(self) -> None:
        self._file = lock_file()

    def __enter__(self) -> None:
        self._threads.acquire()
        try:
            fcntl.lockf(self._file, fcntl.LOCK_EX)
        except BaseException:
            self._threads.release()
            raise

    def __exit__(self, *_: object) -> None:
        fcntl.lockf(self._file, fcntl.LOCK_UN)
        self._threads.release()


# Before the address of a Redis: that of this machine alone.
MACHINE = "machine+"


class MachineStorage(RedisStorage):
    """Redis, except for the windows that are ``shared`` by the web processes of this machine, in memory.

    A question to Redis takes as long as all else that is done to read a person, since two processes have to change
    turns for it. So where one machine is all there is, and no Redis of several, the limits of every request need none.
    """

    STORAGE_SCHEME: ClassVar = [  # type: ignore[misc]
        f"{MACHINE}{scheme}" for scheme in RedisStorage.STORAGE_SCHEME or ()
    ]

    def __init__(self, uri: str, **options: Any) -> None:
        super().__init__(uri.removeprefix(MACHINE), **options)
        self._shared: dict[str, SharedWindows] = {}

    def share(self, limit: RateLimitItem, scope: str) -> SharedWindows:
        """Return the windows of a limit, which are counted here from now on."""
        windows = self._shared[limit.key_for(scope).partition("/")[2]] = SharedWindows(limit.amount, limit.get_expiry())
        return windows

    def acquire_entry(self, key: str, limit: int, expiry: int, amount: int = 1) -> bool:
        """Count a request, or as many as ``amount`` says, and tell whether it had a place."""
        windows = self._windows_of(key)
        return super().acquire_entry(key, limit, expiry, amount) if windows is None else windows.take(key, amount)

    def get_moving_window(self, key: str, limit: int, expiry: int) -> tuple[float, int]:
        """Return when the first request that still counts came, as a Unix time, and how many count."""
        windows = self._windows_of(key)
        return super().get_moving_window(key, limit, expiry) if windows is None else windows.look(key)

    def _windows_of(self, key: str) -> SharedWindows | None:
        """Return where a key is counted, which names the limiter, a bearer, and then the limit."""
        return self._shared.get(key.split("/", 2)[2])


class PlacesHere:
    """Counts requests under one limit, in windows of this machine."""

    def __init__(self, storage: MachineStorage, limit: RateLimitItem, scope: str) -> None:
        self._windows, self._key = storage.share(limit, scope), limit.key_for("{}", scope)

    def take(self, holder: str, cost: int = 1) -> bool:
        """Count a request, and tell whether it had a place."""
        return self._windows.take(self._key.replace("{}", holder), cost)
