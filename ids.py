"""Identifiers: a prefix that names the kind of object, and a ULID that sorts by the time it was made."""

import os
import time
from threading import Lock

from ulid import ULID

# What an identifier can hold of time: until the year 10889.
LAST_MOMENT = 2**48 - 1
RANDOM_BYTES = 10
DIGITS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # Crockford's base 32
# The 26 digits of a ULID, two by two.
PAIRS = [high + low for high in DIGITS for low in DIGITS]
# Where in it the pairs stand: those that are the same for a second, and the others.
STEADY_SHIFTS, SHIFTS = range(120, 89, -10), range(80, -1, -10)


class Maker:
    """Makes ULIDs. Of those of one millisecond each is greater than the one before, across the threads of a process."""

    def __init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        """Know nothing of what was made before."""
        self._lock = Lock()
        self._moment = -1
        self._value = 0
        # The digits of ``STEADY_SHIFTS``, and the value of which they are.
        self._steady = (-1, "")

    def make(self) -> str:
        """Return a new ULID."""
        moment = time.time_ns() // 1_000_000
        with self._lock:
            if moment == self._moment:
                self._value += 1
            else:
                self._moment = moment
                self._value = moment << 8 * RANDOM_BYTES | int.from_bytes(os.urandom(RANDOM_BYTES))
            value = self._value
        steady, start = self._steady
        if steady != value >> 90:
            start = _digits(value, STEADY_SHIFTS)
            self._steady = (value >> 90, start)
        return start + _digits(value, SHIFTS)


def _digits(value: int, shifts: range) -> str:
    return "".join([PAIRS[value >> shift & 1023] for shift in shifts])


_maker = Maker()
# A process that was just forked must not go on where its parent, and its siblings, do.
os.register_at_fork(after_in_child=_maker.begin)


def new_id(prefix: str) -> str:
    """Return a new identifier, such as ``user_01JD…`` (26 Crockford base32 characters after the prefix)."""
    return f"{prefix}_{_maker.make()}"


def first_id(prefix: str, moment: int) -> str:
    """Return the smallest identifier that can be made at a moment, in Unix milliseconds; the last ones never come."""
    return f"{prefix}_{ULID(min(moment, LAST_MOMENT).to_bytes(6, 'big') + bytes(RANDOM_BYTES))}"


def time_of(identifier: str) -> int | None:
    """Return when an identifier was made, in Unix milliseconds; None for what is none."""
    try:
        return ULID.from_str(identifier.rpartition("_")[2]).milliseconds
    except ValueError:
        return None
