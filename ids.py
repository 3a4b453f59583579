"""Identifiers: a prefix that names the kind of object, and a ULID that sorts by the time it was made."""

import os
import time
from threading import Lock

from ulid import ULID

# What an identifier can hold of time: until the year 10889.
LAST_MOMENT = 2**48 - 1
RANDOM_BYTES = 10
DIGITS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # Crockford's base 32
PAIRS = [high + low for high in DIGITS for low in DIGITS]
# Makes a digit of each byte, of which all are as likely.
TO_DIGITS = (8 * DIGITS).encode()
# Of the 16 digits after the time so many are random, and the other four count on from a random number of two bytes.
RANDOM_DIGITS = 12
LAST_NUMBER = 2**20 - 1


class Maker:
    """Makes ULIDs. Of those of one millisecond each is greater than the one before, across the threads of a process."""

    def __init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        """Know nothing of what was made before."""
        self._lock = Lock()
        self._moment = -1
        # What those of this millisecond begin with, 22 digits, and the number of the last of them.
        self._start, self._number = "", 0
        # The digits of the time that are the same for a second, and of which they are.
        self._steady = (-1, "")

    def make(self) -> str:
        """Return a new ULID."""
        moment = time.time_ns() // 1_000_000
        with self._lock:
            if moment != self._moment or self._number == LAST_NUMBER:
                self._begin_moment(moment)
            else:
                self._number += 1
            start, number = self._start, self._number
        return f"{start}{PAIRS[number >> 10]}{PAIRS[number & 1023]}"

    def _begin_moment(self, moment: int) -> None:
        second, steady = self._steady
        if second != moment >> 10:
            steady = "".join([PAIRS[moment >> shift & 1023] for shift in (40, 30, 20, 10)])
            self._steady = (moment >> 10, steady)
        random = os.urandom(RANDOM_DIGITS + 2)
        self._start = f"{steady}{PAIRS[moment & 1023]}{random[:RANDOM_DIGITS].translate(TO_DIGITS).decode()}"
        self._moment, self._number = moment, int.from_bytes(random[RANDOM_DIGITS:])


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
