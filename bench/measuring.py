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
    """The runs of one thing, and what it is compared with."""

    name: str
    unit: str
    runs: Sequence[float]
    beside: "Measurement | None" = None

    @property
    def median(self) -> float:
        """Return the run in the middle."""
        return median(self.runs)

    @property
    def ratio(self) -> float | None:
        """Return the median as a part of the other median, measured in the same minutes."""
        return self.median / self.beside.median if self.beside else None


def table(measurements: Sequence[Measurement]) -> str:
    """Return the measurements as a table of Markdown."""
    lines = [
        "| What | Median | Lowest to highest | Runs | Ratio |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    for row in measurements:
        ratio = "" if row.ratio is None else f"{row.ratio:.2f}"
        spread = f"{min(row.runs):,.0f} to {max(row.runs):,.0f}"
        lines.append(f"| {row.name} | {row.median:,.0f} {row.unit} | {spread} | {len(row.runs)} | {ratio} |")
    return "\n".join(lines)


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
