"""A web process has its memory in huge pages where the system gives it some, and serves without them elsewhere."""

import json
import platform
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.web_worker.test_worker import WORKERS, Server, serving
from web_worker import memory

MIB = 1024 * 1024
NEEDS_COLLAPSE = pytest.mark.skipif(
    not Path("/sys/kernel/mm/transparent_hugepage").exists()
    or tuple(map(int, re.findall(r"\d+", platform.release())[:2])) < (6, 1),
    reason="this system does not move memory into huge pages at once",
)
# Has as many objects as a web process, and looks at its memory before and after they were moved.
PROGRAM = """
import json
from pathlib import Path
from web_worker.memory import use_huge_pages

def kib(name):
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))

objects = [f"person {number}" for number in range(500_000)]
before = kib("Rss"), kib("AnonHugePages")
moved = use_huge_pages()
after = kib("Rss"), kib("AnonHugePages")
assert objects == [f"person {number}" for number in range(500_000)]
print(json.dumps([moved, before, after]))
"""


@NEEDS_COLLAPSE
@pytest.mark.slow
def test_what_a_process_has_is_moved_and_takes_no_more_memory() -> None:
    ended = subprocess.run([sys.executable, "-c", PROGRAM], cwd=ROOT, capture_output=True, check=True, timeout=60)
    moved, (resident_before, huge_before), (resident_after, huge_after) = json.loads(ended.stdout)
    assert huge_before == 0
    assert huge_after * 1024 >= moved >= 10 * MIB
    assert resident_after < resident_before * 1.05


def test_memory_of_files_of_code_and_of_less_than_a_page_stays_where_it_is() -> None:
    assert memory._heaps(
        "555500000000-555504000000 r-xp 00000000 08:01 17                         /usr/bin/python3.11\n"
        "555504000000-555508000000 rw-p 00200000 08:01 17                         /usr/bin/python3.11\n"
        "5555080ff000-555508701000 rw-p 00000000 00:00 0                          [heap]\n"
        "7f0000000000-7f00001fffff rw-p 00000000 00:00 0 \n"
        "7f0000200000-7f0000800000 rw-s 00000000 00:01 9                          /memfd:windows (deleted)\n"
        "7f0000800000-7f0000a00000 ---p 00000000 00:00 0 \n"
        "7f0000a00000-7f0000e00000 rw-p 00000000 00:00 0 \n"
        "7ffc00000000-7ffc00800000 rw-p 00000000 00:00 0                          [stack]\n"
    ) == [(0x555508200000, 0x555508600000), (0x7F0000A00000, 0x7F0000E00000)]


def test_where_the_system_does_not_say_what_there_is_nothing_is_moved(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(memory, "MAPS", tmp_path / "maps")
    assert memory.use_huge_pages() == 0


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has them")
def test_where_the_system_refuses_nothing_is_moved() -> None:
    assert memory._collapse(0, memory.HUGE_PAGE) == 0  # there is no memory at that place


@NEEDS_COLLAPSE
@pytest.mark.slow
@pytest.mark.parametrize("worker", WORKERS)
def test_a_web_process_has_moved_before_it_answers(tmp_path: Path, worker: str) -> None:
    with serving(Server(tmp_path, worker)) as server:
        process = server.client().ask("/process").decode().split("/")[-2]
        lines = Path(f"/proc/{process}/smaps_rollup").read_text()
    assert int(re.search(r"AnonHugePages: +(\d+) kB", lines)[1]) * 1024 >= memory.HUGE_PAGE  # type: ignore[index]
