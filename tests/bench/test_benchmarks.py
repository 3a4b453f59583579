"""The benchmarks run, and notice when what they measured is wrong. Nothing is said here about how fast anything is."""

from pathlib import Path

import pytest

from bench import __main__ as bench
from bench.measuring import Measurement, VoidRun, table
from bench.webhooks import check_arrivals, measure


@pytest.mark.slow
def test_the_webhook_benchmark_delivers_everything_it_times() -> None:
    rows = measure(size=20, repeat=1)
    assert [row.name.rpartition(", ")[2] for row in rows[:4]] == ["warm", "warm", "cold", "cold"]
    assert all(row.median > 0 for row in rows)
    assert [row.ratio is None for row in rows] == [True, False, True, False, True]


@pytest.mark.parametrize(
    "arrived",
    [
        [],
        [("evt_1", b"one")],
        [("evt_1", b"one"), ("evt_2", b"altered")],
        [("evt_2", b"two"), ("evt_1", b"one")],
        [("evt_1", b"one"), ("evt_2", b"two"), ("evt_2", b"two")],
    ],
    ids=["nothing", "lost", "altered", "out of order", "twice"],
)
def test_a_run_of_which_not_everything_arrived_once_as_it_was_is_void(arrived: list[tuple[str, bytes]]) -> None:
    requests = [({"webhook-id": event_id}, body) for event_id, body in arrived]
    with pytest.raises(VoidRun):
        check_arrivals(requests, {"evt_1": b"one", "evt_2": b"two"})


def test_the_table_compares_medians() -> None:
    plain = Measurement("plain", "requests/s", [1000, 3000, 2000])
    lines = table([plain, Measurement("ours", "events/s", [1500, 900, 5000], beside=plain)]).splitlines()
    assert lines[2] == "| plain | 2,000 requests/s | 1,000 to 3,000 | 3 |  |"
    assert lines[3] == "| ours | 1,500 events/s | 900 to 5,000 | 3 | 0.75 |"


def test_a_table_is_kept_where_the_document_marks_its_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    document = tmp_path / "performance.md"
    document.write_text("before\n<!-- measured: webhooks -->\nold\n<!-- end -->\nafter <!-- end -->\n")
    monkeypatch.setattr(bench, "DOCUMENT", document)
    bench.keep("webhooks", "new")
    assert document.read_text() == "before\n<!-- measured: webhooks -->\n\nnew\n\n<!-- end -->\nafter <!-- end -->\n"
    with pytest.raises(SystemExit, match="no place"):
        bench.keep("scim", "new")
