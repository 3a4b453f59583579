"""Over TLS as well a web process answers whoever sends a whole request, in secret, and holds on to nobody else."""

import datetime
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.web_worker.test_worker import EPOLL, Client, Server, in_a_hurry, request, serving

pytestmark = pytest.mark.slow


class SecretClient(Client):
    """A connection over TLS."""

    def __init__(self, port: int) -> None:
        super().__init__(port)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        self.socket = context.wrap_socket(self.socket)


class SecretServer(Server):
    """gunicorn with a certificate, which waits half a second for a request to arrive."""

    def __init__(self, directory: Path, worker: str) -> None:
        write_certificate(directory)
        files = ("--certfile", str(directory / "certificate.pem"), "--keyfile", str(directory / "key.pem"))
        super().__init__(directory, worker, *in_a_hurry(directory), *files)

    def client(self) -> SecretClient:
        return SecretClient(self.port)


def write_certificate(directory: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "web.example.com")])
    now = datetime.datetime.now(datetime.UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    day = datetime.timedelta(days=1)
    certificate = builder.not_valid_before(now - day).not_valid_after(now + day).sign(key, hashes.SHA256())
    (directory / "certificate.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (directory / "key.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with serving(SecretServer(tmp_path, EPOLL)) as server:
        yield server


@pytest.mark.parametrize("said", [b"", b"\x16\x03\x01\x02\x00\x01", b"GET / HTTP/1.1\r\n\r\n"])
def test_who_breaks_off_before_anything_is_secret_keeps_nobody(server: Server, said: bytes) -> None:
    for _ in range(20):  # more than it has threads
        with socket.create_connection(("127.0.0.1", server.port)) as client:
            client.sendall(said)
    assert server.client().ask("/").endswith(b"GET / 0")


def test_who_stops_before_anything_is_secret_holds_no_thread_for_ever(server: Server) -> None:
    begun = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(8)]
    for client in begun:
        client.sendall(b"\x16\x03\x01\x02\x00\x01")
    assert server.client().ask("/").endswith(b"GET / 0")


def test_requests_that_come_in_one_piece_are_answered_at_once(server: Server) -> None:
    client = server.client()
    client.send(request("/first", method="POST", body=b"x" * 26_000) + request("/second"))
    assert client.read().endswith(b"POST /first 26000")
    client.socket.settimeout(0.9)  # less than an idle connection is kept
    assert client.read().endswith(b"GET /second 0")


def test_an_answer_that_takes_longer_than_its_request_may_is_secret_as_well(server: Server) -> None:
    assert server.client().ask("/sleeps").endswith(b"GET /sleeps 0")
