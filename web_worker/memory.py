"""The memory of a web process in pages of 2 MiB, and not of 4 KiB, on Linux.

A request touches thousands of objects all over some 80 MiB. The processor remembers where few pages are, and looks up
where the others are, in a virtual machine in the tables of two systems. With large pages it remembers them all.

Linux does this by itself only for whom it is told to, and then takes its time (its "Transparent Hugepage Support").
"""

import ctypes
import mmap
from pathlib import Path

HUGE_PAGE = 2 * 1024 * 1024
MAPS = Path("/proc/self/maps")
# Do it now, and copy what is there (Linux 6.1, ``madvise(2)``); Python 3.11 has no name for it.
MADV_COLLAPSE = 25


def use_huge_pages() -> int:
    """Move what this process has in memory into huge pages, and return how many bytes were.

    0 where the system has none, or none to spare: nothing else depends on it. It takes a tenth of a second or two. What
    was shared with the process that this one was forked from is its own afterwards.
    """
    try:
        maps = MAPS.read_text()
    except OSError:  # another system, or one that hides it
        return 0
    return sum(_collapse(start, end) for start, end in _heaps(maps))


def _heaps(maps: str) -> list[tuple[int, int]]:
    """Return from where to where whole huge pages fit into memory that is for data and of no file (``proc(5)``)."""
    found = []
    for line in maps.splitlines():
        addresses, permissions, _offset, _device, inode, *name = line.split(maxsplit=5)
        if permissions == "rw-p" and inode == "0" and name in ([], ["[heap]"]):
            first, last = (int(address, 16) for address in addresses.split("-"))
            start, end = -(-first // HUGE_PAGE) * HUGE_PAGE, last // HUGE_PAGE * HUGE_PAGE
            if start < end:
                found.append((start, end))
    return found


def _collapse(start: int, end: int) -> int:
    libc = ctypes.CDLL(None)
    libc.madvise.argtypes = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int
    libc.madvise(start, end - start, mmap.MADV_HUGEPAGE)  # a system too old for the other does it in its own time
    return end - start if libc.madvise(start, end - start, MADV_COLLAPSE) == 0 else 0
