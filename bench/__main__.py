"""``python -m bench``: measure the subjects, print the table, and keep it in docs/performance.md when asked to."""

import argparse
import re

from bench import processes, scim, webhooks
from bench.measuring import machine, table
from bench.sandbox import ROOT

SUBJECTS = {
    "scim": scim.measure,
    "scim-postgresql": scim.measure_on_postgresql,
    "processes": processes.measure,
    "webhooks": webhooks.measure,
}
# How much one run takes on when the command line does not say: people, events. The second are those of a full run.
SIZES = {
    "scim": ([1000, 10_000], [1000, 10_000, 100_000]),
    "scim-postgresql": ([1000], [1000]),
    "processes": ([1000], [1000]),
    "webhooks": ([2000], [2000]),
}
THINGS = {"scim": "people", "scim-postgresql": "people", "processes": "people", "webhooks": "events per run"}
DOCUMENT = ROOT / "docs" / "performance.md"


def main(arguments: list[str] | None = None) -> None:
    """Measure what the command line names."""
    parser = argparse.ArgumentParser(prog="python -m bench", description="Measure how fast it is.")
    parser.add_argument("subjects", nargs="*", metavar="subject", help=f"of {', '.join(SUBJECTS)}; all without one")
    parser.add_argument("--size", type=int, action="append", help="how much one run takes on: people, or events")
    parser.add_argument("--full", action="store_true", help="also with 100,000 people, which takes minutes more")
    parser.add_argument("--repeat", type=int, default=3, help="how many runs; the median counts")
    parser.add_argument("--write", action="store_true", help="put the table into docs/performance.md")
    options = parser.parse_args(arguments)
    unknown = set(options.subjects) - set(SUBJECTS)
    if unknown:
        parser.error(f"no such subject: {', '.join(sorted(unknown))}")
    for name in options.subjects or SUBJECTS:
        results = []
        for size in options.size or SIZES[name][options.full]:
            result = table(SUBJECTS[name](size=size, repeat=options.repeat))
            results.append(f"{result}\n\n{size:,} {THINGS[name]}; {machine()}.")
            print(f"\n## {name}\n\n{results[-1]}", flush=True)
        if options.write:
            keep(name, "\n\n".join(results))


def keep(name: str, result: str) -> None:
    """Put a subject's table where the document marks its place."""
    begin, end = f"<!-- measured: {name} -->", "<!-- end -->"
    text = DOCUMENT.read_text(encoding="utf-8")
    place = re.compile(f"{begin}.*?{end}", re.DOTALL)
    if not place.search(text):
        raise SystemExit(f"docs/performance.md has no place for {name}: put the lines {begin} and {end} there.")
    DOCUMENT.write_text(place.sub(lambda _: f"{begin}\n\n{result}\n\n{end}", text), encoding="utf-8")


if __name__ == "__main__":
    main()
