"""Outbound HTTP, against a real receiver and a resolver that the test decides."""

import datetime
import socket
import ssl
import threading
from collections.abc import Iterator
from http.server import ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from errors import InvalidInput
from tests.webhooks.receiving import LOCAL, Receiver, drop, handler_for, status
from webhooks.addresses import Address
from webhooks.destinations import NameNotResolved, destination_of
from webhooks.outbound import Limits, OutboundError, OutboundPolicy, Sender, check_url, tls_context

PUBLIC = OutboundPolicy()
# For tests in which a deadline passes; and for those in which none may, however busy the machine.
SHORT = Limits(connect=1, total=1)
PATIENT = Limits(connect=15, total=15)


class Names:
    """A resolver that gives what it is told, one answer after the other, and counts how often it was asked."""

    def __init__(self, *answers: list[str]) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[str, int]] = []

    def __call__(self, host: str, port: int) -> list[Address]:
        self.asked.append((host, port))
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if not answer:
            raise socket.gaierror(socket.EAI_NONAME, "unknown")
        return [ip_address(address) for address in answer]


def send(receiver: Receiver, limits: Limits = PATIENT, **kwargs: Any) -> Any:
    with Sender(LOCAL, receiver.url, limits=limits, **kwargs) as sender:
        return sender.post(b"{}", {})


# -- URLs ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://example.com/", "https"),
        ("ftp://example.com/", "https"),
        ("//example.com/", "https"),
        ("example.com", "https"),
        ("", "https"),
        ("https://", "host"),
        ("https:///path", "host"),
        ("https://user:pw@example.com/", "user name"),
        ("https://user@example.com/", "user name"),
        ("https://@example.com/", "user name"),
        ("https://example.com/#part", "fragment"),
        ("https://example.com:0/", "port 0"),
        ("https://93.184.216.34:22/", "Port 22"),
        ("https://example.com:70000/", "cannot be read"),
        ("https://example.com:port/", "cannot be read"),
        ("https://[::1/", "cannot be read"),
        ("https://exa mple.com/", "spaces"),
        ("https://example.com/\n", "spaces"),
        ("https://example.com\\@10.0.0.1/", "backslashes"),
        ("https://" + "a" * 2050, "2048"),
        ("https://xn--\u00e4.com/", "host"),
        ("https://127.0.0.1/", "not public"),
        ("https://127.1/", "not public"),
        ("https://2130706433/", "not public"),
        ("https://0x7f000001/", "not public"),
        ("https://017700000001/", "not public"),
        ("https://[::1]/", "not public"),
        ("https://[::ffff:10.0.0.1]/", "not public"),
        ("https://169.254.169.254/latest/meta-data/", "not public"),
        ("https://localhost/", "not public"),
    ],
)
def test_a_url_that_can_never_be_sent_to_is_not_saved(url: str, words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        check_url(PUBLIC, url)


def test_http_is_for_settings_that_allow_it() -> None:
    names = Names(["93.184.216.34"])
    assert check_url(OutboundPolicy(allow_http=True), "http://example.com/", names) == "http://example.com/"


def test_a_host_of_which_one_address_is_private_is_not_saved() -> None:
    with pytest.raises(InvalidInput):
        check_url(PUBLIC, "https://example.com/", Names(["93.184.216.34", "10.0.0.1"]))


def test_a_host_that_is_not_resolved_yet_is_saved_and_not_sent_to() -> None:
    names = Names([])
    url = check_url(PUBLIC, "https://example.com/", names)
    with Sender(PUBLIC, url, resolve=names) as sender, pytest.raises(NameNotResolved):
        sender.post(b"{}", {})


def test_an_international_host_and_path_become_ascii() -> None:
    destination = destination_of(PUBLIC, "https://BÜCHER.example:8443/grüße?q=ä&r=%20")
    assert destination.host == "xn--bcher-kva.example"
    assert destination.authority == "xn--bcher-kva.example:8443"
    assert destination.target == "/gr%C3%BC%C3%9Fe?q=%C3%A4&r=%20"


# -- Addresses ------------------------------------------------------------------


def test_a_private_address_is_refused_when_something_is_sent() -> None:
    names = Names(["10.0.0.1"])
    with Sender(PUBLIC, "https://example.com/", resolve=names) as sender, pytest.raises(OutboundError, match="public"):
        sender.post(b"{}", {})


def test_a_name_is_resolved_once_and_the_judged_address_is_connected_to(receiver: Receiver) -> None:
    # The second answer is what an attacker's name server would give to a second look-up.
    names = Names(["127.0.0.1"], ["10.0.0.1"])
    url = f"http://hooks.example.com:{receiver.port}/hook"
    with Sender(LOCAL, url, resolve=names, limits=PATIENT) as sender:
        assert sender.post(b"{}", {}).status == 204
        assert sender.post(b"{}", {}).status == 204
    assert names.asked == [("hooks.example.com", receiver.port)]
    assert [request.headers["host"] for request in receiver.received] == [f"hooks.example.com:{receiver.port}"] * 2


def test_a_new_connection_is_judged_anew(receiver: Receiver) -> None:
    receiver.answers = [status(200, {"Connection": "close"})]
    names = Names(["127.0.0.1"], ["10.0.0.1"])
    with Sender(LOCAL, f"http://hooks.example.com:{receiver.port}/", resolve=names, limits=PATIENT) as sender:
        assert sender.post(b"{}", {}).status == 200
        with pytest.raises(OutboundError, match="public"):
            sender.post(b"{}", {})
    assert len(receiver.received) == 1


def test_a_resolver_that_does_not_answer_is_given_up() -> None:
    released = threading.Event()

    def silent(_host: str, _port: int) -> list[Address]:
        released.wait(20)
        return []

    sender = Sender(LOCAL, "http://example.com/", resolve=silent, limits=SHORT)
    with sender, pytest.raises(NameNotResolved, match="within"):
        sender.post(b"{}", {})
    released.set()


def test_the_next_address_is_tried_when_one_refuses(receiver: Receiver) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.2", 0))  # bound and not listening: it refuses
        names = Names(["127.0.0.2", "127.0.0.1"])
        with Sender(LOCAL, f"http://example.com:{receiver.port}/", resolve=names, limits=PATIENT) as sender:
            assert sender.post(b"{}", {}).status == 204


def test_no_proxy_is_taken_from_the_environment(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1/")
    assert send(receiver).status == 204


# -- Answers ----------------------------------------------------------------------


def test_many_requests_share_one_connection(receiver: Receiver) -> None:
    with Sender(LOCAL, receiver.url, limits=PATIENT) as sender:
        for _ in range(5):
            assert sender.post(b'{"a":1}', {"webhook-id": "evt_1"}).status == 204
    assert receiver.connections == 1
    assert receiver.received[4].body == b'{"a":1}'


def test_a_connection_that_the_receiver_closed_meanwhile_is_replaced(receiver: Receiver) -> None:
    def answer_and_close(handler: Any) -> None:
        status(200)(handler)
        handler.close_connection = True  # without having said so

    receiver.answers = [answer_and_close]
    with Sender(LOCAL, receiver.url, limits=PATIENT) as sender:
        assert sender.post(b"{}", {}).status == 200
        assert sender.post(b"{}", {}).status == 204
    assert receiver.connections == 2


def test_a_redirect_is_an_answer_and_is_not_followed(receiver: Receiver) -> None:
    receiver.answers = [status(301, {"Location": receiver.url + "/elsewhere"})]
    assert send(receiver).status == 301
    assert len(receiver.received) == 1


def test_only_the_beginning_of_an_answer_is_kept(receiver: Receiver) -> None:
    receiver.answers = [status(200, body=b"a" * 5000)]
    answer = send(receiver)
    assert answer.body == b"a" * 4096
    assert answer.error is None


def test_an_endless_answer_is_read_as_far_as_the_limit(receiver: Receiver) -> None:
    receiver.answers = [receiver.endless]
    with Sender(LOCAL, receiver.url, limits=Limits(total=5)) as sender:
        answer = sender.post(b"{}", {})
        assert (answer.status, answer.error, len(answer.body)) == (200, None, 4096)
        assert sender.post(b"{}", {}).status == 204
    assert receiver.connections == 2


def test_a_dripping_answer_ends_at_the_deadline(receiver: Receiver) -> None:
    receiver.answers = [receiver.drip]
    answer = send(receiver, SHORT)
    assert answer.status == 200
    assert "No whole answer" in answer.error


@pytest.mark.parametrize("behaviour", ["drip_headers", "hang"])
def test_an_answer_that_does_not_begin_ends_at_the_deadline(receiver: Receiver, behaviour: str) -> None:
    receiver.answers = [getattr(receiver, behaviour)]
    with pytest.raises(OutboundError, match="No whole answer"):
        send(receiver, SHORT)


def test_a_dropped_connection_is_an_error(receiver: Receiver) -> None:
    receiver.answers = [drop]
    with pytest.raises(OutboundError, match="without an answer"):
        send(receiver)


def test_an_answer_that_breaks_off_is_told_so(receiver: Receiver) -> None:
    def half(handler: Any) -> None:
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
        handler.close_connection = True

    receiver.answers = [half]
    answer = send(receiver)
    assert (answer.status, answer.body) == (200, b"half")
    assert "middle of the answer" in answer.error


def test_an_answer_that_is_not_http_is_an_error(receiver: Receiver) -> None:
    def banner(handler: Any) -> None:
        handler.wfile.write(b"SSH-2.0-OpenSSH_9.6\r\n")
        handler.close_connection = True

    receiver.answers = [banner]
    with pytest.raises(OutboundError, match="not HTTP"):
        send(receiver)


def test_a_receiver_that_accepts_nobody_is_given_up() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        sender = Sender(LOCAL, f"http://127.0.0.1:{listener.getsockname()[1]}/", limits=PATIENT)
        with sender, pytest.raises(OutboundError, match="refused"):
            sender.post(b"{}", {})


def test_the_deadline_is_on_the_clock_that_is_given(receiver: Receiver) -> None:
    receiver.answers = [receiver.drip]
    ticks = iter(range(10_000))
    with Sender(LOCAL, receiver.url, limits=Limits(), clock=lambda: float(next(ticks))) as sender:
        assert "No whole answer" in (sender.post(b"{}", {}).error or "")


# -- TLS --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for hooks.example.com that is its own authority, with its key, in one directory."""
    directory = tmp_path_factory.mktemp("tls")
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "hooks.example.com")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("hooks.example.com")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    (directory / "certificate.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (directory / "key.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return directory


@pytest.fixture
def secure_receiver(authority: Path) -> Iterator[tuple[Receiver, list[str | None]]]:
    """A receiver behind TLS, and the host names that were asked for in the handshake."""
    asked: list[str | None] = []
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority / "certificate.pem", authority / "key.pem")
    context.sni_callback = lambda _socket, name, _context: asked.append(name)
    receiver = Receiver()
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler_for(receiver))
    server.daemon_threads = True
    server.handle_error = lambda *_: None  # type: ignore[method-assign]
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    receiver.port = server.server_address[1]
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    yield receiver, asked
    receiver.released.set()
    server.shutdown()
    server.server_close()


@pytest.fixture
def trusted(authority: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("SSL_CERT_FILE", str(authority / "certificate.pem"))
    tls_context.cache_clear()
    yield
    tls_context.cache_clear()


def test_tls_asks_for_the_name_and_checks_it_though_the_address_is_connected_to(
    secure_receiver: tuple[Receiver, list[str | None]], trusted: None
) -> None:
    receiver, asked = secure_receiver
    url = f"https://hooks.example.com:{receiver.port}/hook"
    with Sender(LOCAL, url, resolve=Names(["127.0.0.1"]), limits=PATIENT) as sender:
        assert sender.post(b"{}", {}).status == 204
        assert sender.post(b"{}", {}).status == 204
    assert asked == ["hooks.example.com"]
    assert {request.headers["host"] for request in receiver.received} == {f"hooks.example.com:{receiver.port}"}
    assert receiver.connections == 1


def test_a_certificate_for_another_name_is_refused(
    secure_receiver: tuple[Receiver, list[str | None]], trusted: None
) -> None:
    receiver, _ = secure_receiver
    url = f"https://other.example.com:{receiver.port}/hook"
    sender = Sender(LOCAL, url, resolve=Names(["127.0.0.1"]), limits=PATIENT)
    with sender, pytest.raises(OutboundError, match="certificate is not valid"):
        sender.post(b"{}", {})
    assert receiver.received == []


def test_a_certificate_of_nobody_we_trust_is_refused(secure_receiver: tuple[Receiver, list[str | None]]) -> None:
    receiver, _ = secure_receiver
    url = f"https://hooks.example.com:{receiver.port}/hook"
    sender = Sender(LOCAL, url, resolve=Names(["127.0.0.1"]), limits=PATIENT)
    with sender, pytest.raises(OutboundError, match="certificate is not valid"):
        sender.post(b"{}", {})


def test_a_dripping_answer_over_tls_ends_at_the_deadline(
    secure_receiver: tuple[Receiver, list[str | None]], trusted: None
) -> None:
    receiver, _ = secure_receiver
    receiver.answers = [receiver.drip]
    url = f"https://hooks.example.com:{receiver.port}/hook"
    with Sender(LOCAL, url, resolve=Names(["127.0.0.1"]), limits=Limits(connect=5, total=1)) as sender:
        assert "No whole answer" in (sender.post(b"{}", {}).error or "")
