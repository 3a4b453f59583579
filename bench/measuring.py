"""What every subject is measured with: rows of a table, runs that do not count, and processors of one's own."""

import os
import platform
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import median


class VoidRun(Exception):
    """A run whose answers were wrong; its time means nothing."""


@dataclass(frozen=True)
class Measurement:
    """The runs of one thing, and what it is compared with.

    Of requests also the milliseconds within which half of them and 99 of 100 were
    answered, and the processor milliseconds of each, run by run.
    """

    name: str
    unit: str
    runs: Sequence[float]
    beside: Sequence["Measurement"] = ()
    p50: Sequence[float] = ()
    p99: Sequence[float] = ()
    cpu: Sequence[float] = ()

    @property
    def median(self) -> float:
        """Return the run in the middle."""
        return median(self.runs)

    @property
    def ratios(self) -> list[float]:
        """Return the median as a part of each other median, measured in the same minutes."""
        return [self.median / other.median for other in self.beside]


def table(measurements: Sequence[Measurement]) -> str:
    """Return the measurements as a table of Markdown."""
    timed = any(row.p50 for row in measurements)
    names = ["What", "Median", "Lowest to highest", "Runs", *(["p50 ms", "p99 ms", "CPU ms"] if timed else []), "Ratio"]
    lines = [_line(names), _line(["---", *["---:"] * (len(names) - 1)])]
    for row in measurements:
        spread = f"{min(row.runs):,.0f} to {max(row.runs):,.0f}"
        times = [f"{median(values):.2f}" if values else "" for values in (row.p50, row.p99, row.cpu)]
        ratios = ", ".join(f"{ratio:.2f}" for ratio in row.ratios)
        unit = row.unit if row.unit.startswith("/") else f" {row.unit}"
        lines.append(
            _line([row.name, f"{row.median:,.0f}{unit}", spread, len(row.runs), *(times if timed else []), ratios])
        )
    return "\n".join(lines)


def _line(cells: Sequence[object]) -> str:
    return f"| {' | '.join(str(cell) for cell in cells)} |"


def machine() -> str:
    """Return what the numbers depend on beside the code."""
    return f"{os.cpu_count()} processors, {platform.machine()}, {platform.system()}, Python {platform.python_version()}"


@contextmanager
def on_processor(number: int) -> Iterator[None]:
    """Keep the processes that are started within this block on one processor, where the system can."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {sorted(before)[number % len(before)]})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
