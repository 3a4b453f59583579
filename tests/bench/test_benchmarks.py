"""The benchmarks run, and notice when what they measured is wrong. Nothing is said here about how fast anything is."""

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from bench import __main__ as bench
from bench import scim
from bench.load import Connection, Request
from bench.measuring import Measurement, VoidRun, table
from bench.web import Server
from bench.webhooks import check_arrivals, measure


@pytest.mark.slow
def test_the_webhook_benchmark_delivers_everything_it_times() -> None:
    rows = measure(size=20, repeat=1)
    assert [row.name.rpartition(", ")[2] for row in rows[:4]] == ["warm", "warm", "cold", "cold"]
    assert all(row.median > 0 for row in rows)
    assert [len(row.ratios) for row in rows] == [0, 1, 0, 1, 0]


@pytest.mark.slow
def test_the_scim_benchmark_does_the_same_work_on_every_server() -> None:
    rows = scim.measure(size=20, repeat=1, seconds=0.2)  # processor time is told in hundredths
    ours = [row for row in rows if row.name.endswith(scim.OURS)]
    assert [row.name.removesuffix(f", {scim.OURS}") for row in ours] == list(scim.MAKERS)
    assert all(len(row.ratios) > 0 for row in ours if "member" not in row.name)
    assert all(row.median > 0 and row.p50[0] <= row.p99[0] and row.cpu[0] > 0 for row in rows)
    assert {row.name.rpartition(", ")[2] for row in rows} == {
        *(scim.OURS, scim.BARE, scim.BARE_THREADS, scim.PEER, scim.LOOP)
    }


@pytest.mark.slow
def test_the_benchmark_on_postgresql_does_without_a_peer_that_the_machine_cannot_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = {work: scim.MAKERS[work] for work in ("read by id", "create")}
    monkeypatch.setattr(scim, "MAKERS", asked)
    monkeypatch.setattr(scim.polis, "is_there", lambda: False)
    rows = scim.measure_on_postgresql(size=20, repeat=1, seconds=0.2)
    assert [row.name for row in rows] == [f"{work}, {scim.OURS}" for work in asked]
    assert all(row.median > 0 and row.cpu[0] > 0 and not row.ratios for row in rows)


def test_a_person_of_the_peer_is_one_as_it_was_sent() -> None:
    sent = {"id": "1", "userName": "a@acme.example", "emails": [{"value": "a@acme.example"}]}
    assert scim.polis.is_as_sent(sent) is None
    assert scim.polis.is_as_sent({**sent, "userName": "b@acme.example"})


def test_the_processor_time_of_those_who_ended_is_counted() -> None:
    burn = "import time; [None for _ in iter(lambda: time.process_time() < 0.5, False)]"
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {burn!r}]); print(flush=True); input()"
    process = subprocess.Popen([sys.executable, "-c", parent], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    with process:
        assert process.stdout is not None
        process.stdout.readline()
        assert Server(0, process).cpu_seconds() > 0.3
        process.kill()


def answered(answer: bytes) -> bytes | None:
    """Return what the load generator makes of an answer to a read of p1."""
    ours, its = socket.socketpair()
    with ours, its:
        connection = Connection.__new__(Connection)
        connection.socket, connection.received = ours, b""
        connection.send(Request.of("GET", "/Users/p1", token="none", expected='"id":"p1"'))
        its.sendall(answer)
        return connection.receive()


BODY = b'{"id": "p1"}'


def test_the_load_generator_reads_whole_answers() -> None:
    assert answered(b"HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\n" + BODY) == BODY
    assert answered(b"HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\n" + BODY[:5]) is None
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nc\r\n" + BODY + b"\r\n0\r\n\r\n"
    assert answered(chunked) == BODY
    assert answered(chunked[:-5]) is None


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 429 Too Many Requests\r\nContent-Length: 12\r\n\r\n" + BODY,
        b'HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\n{"id": "p2"}',
        b"HTTP/1.1 200 OK\r\n\r\n",
    ],
    ids=["another status", "another person", "no length"],
)
def test_a_round_with_a_wrong_answer_is_void(answer: bytes) -> None:
    with pytest.raises(VoidRun):
        answered(answer)


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
    lines = table([plain, Measurement("ours", "events/s", [1500, 900, 5000], beside=[plain])]).splitlines()
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
