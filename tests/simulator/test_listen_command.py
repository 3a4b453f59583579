"""``flask listen``: what a developer reads about good, late, bad, repeated and missing events, and what it leaves."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import httpx
import pytest
from click.testing import CliRunner
from flask.testing import FlaskCliRunner
from standardwebhooks.webhooks import Webhook

from simulator.listener import Forwarding, Listener
from simulator.own_server import OwnServer
from tests.conftest import ROOT, clean_environment, free_port, wait_until
from webhooks.signing import signature_headers

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OTHER_SECRET = "whsec_AAAA9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


class Desk:
    """A listener on whose clock it is always the same moment, and what it said."""

    def __init__(self, **options: Any) -> None:
        self.said: list[str] = []
        self.now = time.time()
        self.listener = Listener(
            SECRET, say=lambda line, _colour: self.said.append(line), clock=lambda: self.now, **options
        )

    def deliver(self, sequence: int = 1, *, secret: str = SECRET, age: int = 0, **changes: Any) -> int:
        body, headers = delivery(sequence, round(self.now) - age, secret, **changes)
        return self.listener.take(body, headers)

    @property
    def last(self) -> str:
        return self.said[-1]


def delivery(sequence: int, timestamp: int, secret: str = SECRET, **changes: Any) -> tuple[bytes, dict[str, str]]:
    envelope = {
        "object": "event",
        "id": f"evt_{sequence}",
        "type": "scimUser.provisioned",
        "occurred_at": timestamp * 1000,
        "sequence": sequence,
        "organization_id": "org_1",
        "data": {"user": {"id": "user_1", "email_address": "ada@acme.example"}},
        **changes,
    }
    body = json.dumps(envelope).encode()
    return body, signature_headers(envelope["id"], timestamp, body, [secret])


@pytest.fixture
def desk() -> Desk:
    return Desk()


# -- What is said ------------------------------------------------------------------------


def test_a_good_event_is_one_readable_line(desk: Desk) -> None:
    assert desk.deliver(7) == 204
    [line] = desk.said
    for word in ("good", "#7", "scimUser.provisioned", "ada@acme.example", "evt_7", "→ 204"):
        assert word in line


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"secret": OTHER_SECRET}, "bad signature: another secret signed it, or the body was changed"),
        ({"age": 301}, "late: signed 301 s ago"),
        ({"age": -301}, "early: signed 301 s from now"),
        ({"object": "surprise"}, "not understood: the body is no event"),
        ({"type": 5}, "not understood: type, sequence and occurred_at must be there"),
    ],
)
def test_what_must_not_be_believed_is_refused_with_the_reason(desk: Desk, options: Any, words: str) -> None:
    assert desk.deliver(1, **options) == 400
    assert "REFUSED" in desk.last and words in desk.last
    assert (desk.listener.events, desk.listener.refused) == (0, 1)


@pytest.mark.parametrize("name", ["webhook-id", "webhook-timestamp", "webhook-signature"])
def test_a_missing_header_is_named(desk: Desk, name: str) -> None:
    body, headers = delivery(1, round(desk.now))
    del headers[name]
    assert desk.listener.take(body, headers) == 400
    assert f"not signed: the header {name} is missing" in desk.last


@pytest.mark.parametrize(
    "header", [{"webhook-signature": "v1"}, {"webhook-signature": "v1,%"}, {"webhook-timestamp": "now"}]
)
def test_crooked_headers_are_refused(desk: Desk, header: dict[str, str]) -> None:
    body, headers = delivery(1, round(desk.now))
    assert desk.listener.take(body, {**headers, **header}) == 400


def test_what_a_terminal_would_obey_is_not_printed(desk: Desk) -> None:
    desk.deliver(1, data={"user": {"email_address": "\x1b[2Jada@acme.example"}})
    desk.listener.take(b"{}", {"webhook-id": "\x1b[2Jevt"})
    assert not [line for line in desk.said if "\x1b" in line]


def test_a_copy_is_called_one(desk: Desk) -> None:
    desk.deliver(1)
    assert desk.deliver(1) == 204
    assert "copy 2 of the same event" in desk.last
    assert desk.deliver(1, type="scimUser.updated") == 400
    assert "this id came before with another body" in desk.last


def test_gaps_and_stale_events_are_shown(desk: Desk) -> None:
    desk.deliver(1)
    desk.deliver(5)
    assert "gap: #2 to #4 not seen" in desk.last
    desk.deliver(3)
    assert "after #5, so it may be stale; it fills a gap" in desk.last
    desk.deliver(6)
    assert desk.last.endswith("→ 204")


def test_each_organization_has_numbers_of_its_own_and_a_test_event_has_none(desk: Desk) -> None:
    desk.deliver(10)
    desk.deliver(900, organization_id="org_2")
    desk.deliver(1, type="webhookEndpoint.test")
    desk.deliver(11)
    assert all(line.endswith("→ 204") for line in desk.said)


def test_the_whole_event_is_printed_where_it_is_wished() -> None:
    desk = Desk(show_body=True)
    desk.deliver(1)
    assert json.loads("\n".join(desk.said[1:]))["data"]["user"]["id"] == "user_1"


def test_another_answer_can_be_given_to_watch_retries() -> None:
    desk = Desk(answer=500)
    assert desk.deliver(1) == 500
    assert "→ 500" in desk.last
    assert desk.deliver(1, secret=OTHER_SECRET) == 400


# -- Passing on ----------------------------------------------------------------------------


@pytest.fixture
def handler() -> Iterator[Any]:
    """A handler of the developer's, which answers 202 and keeps what it got."""

    class Handler(BaseHTTPRequestHandler):
        got: ClassVar[list[tuple[bytes, dict[str, str]]]] = []

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            self.got.append((body, dict(self.headers)))
            self.send_response(202)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def test_events_are_passed_on_as_they_came_and_the_answer_is_the_handlers(handler: Any) -> None:
    desk = Desk(forwarding=Forwarding(f"http://127.0.0.1:{handler.server_address[1]}/webhooks"))
    assert desk.deliver(1) == 202
    assert desk.deliver(2, secret=OTHER_SECRET) == 400
    [(body, headers)] = handler.RequestHandlerClass.got
    assert "authorization" not in {name.lower() for name in headers}
    assert Webhook(SECRET).verify(body, headers)["id"] == "evt_1"


def test_a_handler_that_is_not_there_is_a_failure_that_is_told() -> None:
    desk = Desk(forwarding=Forwarding(f"http://127.0.0.1:{free_port()}/"))
    assert desk.deliver(1) == 502
    assert "not forwarded" in desk.last


# -- The command -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--secret", "sk_1", "--secret-key", "sk_1"], "not both"),
        (["--secret", "hunter2"], "no signing secret"),
        (["--secret", "whsec_%"], "no signing secret"),
        (["--secret", "whsec_"], "no signing secret"),
        (["--forward", "localhost:3000"], "no web address"),
        (["--answer", "42"], "--answer"),
    ],
)
def test_what_cannot_be_meant_is_refused_in_words(runner: FlaskCliRunner, arguments: list[str], words: str) -> None:
    result = runner.invoke(args=["listen", *arguments])
    assert result.exit_code == 2
    assert words in result.output and "hunter2" not in result.output


def test_a_port_that_is_taken_is_told_in_one_line(runner: FlaskCliRunner, handler: Any) -> None:
    port = handler.server_address[1]
    result = runner.invoke(args=["listen", "--secret", SECRET, "--port", str(port)])
    assert result.exit_code == 1
    assert result.output.startswith(f"Error: Nothing can listen on port {port}")


def test_without_a_secret_it_asks_and_does_not_echo_it(runner: CliRunner) -> None:
    result = runner.invoke(args=["listen", "--port", "0"], input="whsec_%\n")
    assert "Signing secret of an endpoint" in result.output and "whsec_%" not in result.output
    assert result.exit_code == 2


class Listening:
    """``flask listen`` in a process of its own."""

    def __init__(self, directory: Path, *arguments: str, **environ: str) -> None:
        self.output = directory / f"listen-{free_port()}"
        command = [sys.executable, "-m", "flask", "--app", "app", "listen", "--port", "0", *arguments]
        environ = {**clean_environment(directory), "DATA_DIR": str(directory / "other"), **environ}
        with self.output.open("wb") as file:
            self.process = subprocess.Popen(
                command,
                cwd=ROOT,
                env=environ,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                # As in a terminal, although the tests may run in the background of a shell, which ignores Ctrl-C.
                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # noqa: PLW1509
            )

    @property
    def text(self) -> str:
        return self.output.read_text()

    def wait_for(self, words: str) -> "Listening":
        wait_until(lambda: words in self.text, 30)
        return self

    def end(self, how: int) -> int:
        os.killpg(self.process.pid, how)
        return self.process.wait(30)


@pytest.fixture
def start_listening(tmp_path: Path) -> Iterator[Callable[..., Listening]]:
    started: list[Listening] = []

    def start(*arguments: str, **environ: str) -> Listening:
        started.append(Listening(tmp_path, *arguments, **environ))
        return started[-1]

    yield start
    for listening in started:
        if listening.process.poll() is None:
            listening.end(signal.SIGKILL)


@pytest.mark.slow
def test_with_a_signing_secret_it_needs_no_server(start_listening: Callable[..., Listening]) -> None:
    listening = start_listening(AUTHN_SCIM_WEBHOOK_SECRET=SECRET).wait_for("Ctrl-C ends it")
    url = re.search(r"Listening at (\S+)", listening.text)
    assert url
    body, headers = delivery(3, round(time.time()))
    with urllib.request.urlopen(urllib.request.Request(url[1], data=body, headers=headers), timeout=10) as answer:
        assert answer.status == 204
    assert httpx.post(url[1], content=body).status_code == 400
    assert listening.end(signal.SIGINT) == 0
    assert "good  #3" in listening.text
    assert listening.text.endswith("1 events, 0 copies, 1 refused.\n")
    assert SECRET not in listening.text


class SlowToRegister(BaseHTTPRequestHandler):
    """A management API with two endpoints, one of them left by a killed listener; it takes its time to add another."""

    asked: ClassVar[threading.Event]
    may_answer: ClassVar[threading.Event]
    removed: ClassVar[list[str]]
    url: ClassVar[str]

    def answer(self, status: int, body: Any = None) -> None:
        content = b"" if body is None else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def do_GET(self) -> None:
        left = {"id": "whe_left", "url": self.url, "description": "flask listen"}
        self.answer(
            200, {"data": [left, {**left, "id": "whe_mine", "description": None}], "meta": {"next_cursor": None}}
        )

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.asked.set()
        self.may_answer.wait(20)
        self.answer(201, {"id": "whe_new", "signing_secret": SECRET})

    def do_DELETE(self) -> None:
        self.removed.append(self.path.rpartition("/")[2])
        self.answer(204)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_ended_while_it_registers_it_leaves_nothing_behind_and_removes_what_a_killed_one_left(
    how: int, start_listening: Callable[..., Listening]
) -> None:
    url = f"http://127.0.0.1:{free_port()}/"
    state = {"asked": threading.Event(), "may_answer": threading.Event(), "removed": [], "url": url}
    handler = type("Handler", (SlowToRegister,), state)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_address[1]}"
        listening = start_listening("--server", address, "--url", url, AUTHN_SCIM_SECRET_KEY="sk_any")
        assert state["asked"].wait(30)
        os.killpg(listening.process.pid, how)
        state["may_answer"].set()
        assert listening.process.wait(30) != 0
        server.shutdown()
    assert state["removed"] == ["whe_left", "whe_new"]


@pytest.mark.slow
def test_with_a_secret_key_it_registers_itself_at_a_real_server_and_leaves_nothing_behind(
    start_listening: Callable[..., Listening], runner: FlaskCliRunner
) -> None:
    with OwnServer() as server:
        made = server.bootstrap("Acme")
        api = httpx.Client(base_url=f"{server.url}/v1", headers={"Authorization": f"Bearer {made['secret_key']}"})
        key = {"AUTHN_SCIM_SECRET_KEY": made["secret_key"]}
        good = start_listening("--server", server.url, **key)
        failing = start_listening("--server", server.url, "--answer", "500", **key)
        refused = runner.invoke(
            args=["listen", "--port", "0", "--server", server.url, "--organization", "org_unknown"], env=key
        )
        assert (refused.exit_code, refused.output) == (1, "Error: No such organization.\n")
        for listening in (good, failing):
            listening.wait_for("Ctrl-C ends it")
        assert len(api.get("/webhook-endpoints").json()["data"]) == 2
        httpx.post(
            f"{made['scim_endpoint_url']}Users",
            headers={"Authorization": f"Bearer {made['scim_token']}", "Content-Type": "application/scim+json"},
            json={"schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"], "userName": "ada@acme.example"},
        ).raise_for_status()
        for listening, status in ((good, "→ 204"), (failing, "→ 500")):
            listening.wait_for("scimUser.provisioned")
            [line] = [line for line in listening.text.splitlines() if "scimUser.provisioned" in line]
            assert "good" in line and "ada@acme.example" in line and status in line
        wait_until(lambda: api.get("/webhook-deliveries?state=succeeded").json()["data"])
        assert good.end(signal.SIGINT) == 0
        assert failing.end(signal.SIGTERM) == 128 + signal.SIGTERM
        assert api.get("/webhook-endpoints").json()["data"] == []
        assert all(made["secret_key"] not in listening.text for listening in (good, failing))
