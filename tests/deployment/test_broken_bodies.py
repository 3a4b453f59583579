"""Bodies that only a real server meets: broken, cut off, or longer than they said."""

import socket
from collections.abc import Iterator

import httpx
import pytest

from tests.deployment.conftest import servers
from tests.deployment.running import Running

pytestmark = pytest.mark.slow


JSON, FORM = "application/json", "application/x-www-form-urlencoded"
CHUNKED = "Transfer-Encoding: chunked"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """One server for all of these tests, which leave it as well as they found it."""
    with servers(tmp_path_factory.mktemp("bodies")) as start:
        yield start()


def send(running: Running, path: str, token: str, body: bytes, *, framing: str = CHUNKED, kind: str = JSON) -> str:
    """Send a body byte for byte, and return the beginning of the answer."""
    head = (
        f"POST {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer {token}\r\n"
        f"Content-Type: {kind}\r\n{framing}\r\n\r\n"
    )
    port = int(running.url.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        connection.sendall(head.encode() + body)
        connection.shutdown(socket.SHUT_WR)
        return connection.recv(4096).decode()


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n0\r\n\r\n" % (len(data), data)


def test_a_broken_body_is_answered_as_a_mistake_of_its_sender(running: Running) -> None:
    faces = [("/scim/v2/Users", running.printed("SCIM token")), ("/v1/organizations", running.printed("Secret key"))]

    for path, token in faces:
        assert send(running, path, token, b"zz\r\n").startswith("HTTP/1.1 400 ")
        assert send(running, path, token, b"ff\r\n{").startswith("HTTP/1.1 400 ")
        too_long = b'{"name": "' + b"a" * 1_200_000 + b'"}'
        assert send(running, path, token, chunk(too_long)).startswith("HTTP/1.1 413 ")
    assert send(running, "/scim/v2/Users", faces[0][1], chunk(b'{"userName": "chunky"}')).startswith("HTTP/1.1 201 ")


def test_a_body_shorter_than_it_said_changes_nothing(running: Running) -> None:
    token, framing = running.printed("SCIM token"), "Content-Length: 99"
    before = everybody(running, token)

    short = b'{"userName": "short"}'
    assert send(running, "/scim/v2/Users", token, short, framing=framing).startswith("HTTP/1.1 400 ")
    assert send(running, "/account/password", "", b"email=a@b.example&csrf", framing=framing, kind=FORM).startswith(
        "HTTP/1.1 400 "
    )
    assert everybody(running, token) == before


def everybody(running: Running, token: str) -> list[str]:
    answer = httpx.get(f"{running.url}/scim/v2/Users", headers={"Authorization": f"Bearer {token}"}, timeout=30)
    return [user["userName"] for user in answer.json()["Resources"]]


def test_a_body_too_large_is_answered_and_its_connection_lives_on(running: Running) -> None:
    headers = {"Authorization": f"Bearer {running.printed('SCIM token')}", "Content-Type": "application/scim+json"}
    too_large = b'{"userName": "' + b"a" * 3_000_000 + b'"}'

    with httpx.Client(base_url=running.url, headers=headers, timeout=30) as idp:
        statuses = [idp.post("/scim/v2/Users", content=too_large).status_code for _ in range(5)]
        wrong = {"Authorization": "Bearer wrong"}
        statuses += [idp.post("/scim/v2/Users", content=too_large, headers=wrong).status_code for _ in range(3)]
        statuses += [idp.get("/scim/v2/Users").status_code]

    assert statuses == [413] * 5 + [401] * 3 + [200]
