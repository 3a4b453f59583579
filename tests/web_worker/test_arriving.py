"""A request is what gunicorn makes of it, whether its head is new or the same as one before."""

import gc
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any
from weakref import ref

import pytest
from gunicorn.config import Config
from gunicorn.http import wsgi
from gunicorn.http.errors import InvalidHeaderName, LimitRequestLine, NoMoreData
from gunicorn.http.parser import RequestParser
from hypothesis import given
from hypothesis import strategies as st

from web_worker import arriving
from web_worker.arriving import Arriving, Requests, answering

CLIENT, SERVER = ("127.0.0.1", 40_000), ("127.0.0.1", 8000)
HEAD = b"Host: scim.example.com\r\nAuthorization: Bearer scim_a\r\nUser-Agent: Okta SCIM Client 1.0.0\r\n"
PLAIN = b"GET /scim/v2/Users HTTP/1.1\r\n" + HEAD + b"\r\n"


def requests_of(kind: type[RequestParser], *pieces: bytes, **settings: Any) -> RequestParser:
    config = Config()
    for name, value in settings.items():
        config.set(name, value)
    return kind(config, iter(pieces), CLIENT)


def connection() -> Any:
    return SimpleNamespace(sock=SimpleNamespace(send=lambda _: None), client=CLIENT, server=SERVER)


def read(kind: type[RequestParser], *pieces: bytes, reads_bodies: bool = True, **settings: Any) -> Iterator[Any]:
    """Yield of each request in turn what is known of it, and at last why there is no other one."""
    requests = requests_of(kind, *pieces, **settings)
    while True:
        try:
            request = next(requests)
            known = (
                *(request.method, request.uri, request.path, request.query, request.fragment, request.version),
                *(request.headers, request.trailers, request.scheme, request.remote_addr, request.req_number),
                *(request.should_close(), request.body.read() if reads_bodies else None),
            )
        except StopIteration:
            return
        except Exception as refusal:
            yield type(refusal), str(refusal)
            return
        yield known


LINES = [
    b"GET / HTTP/1.1",
    b"GET /scim/v2/Users?filter=userName%20eq%20%22a%40b%22&count=2 HTTP/1.1",
    b"GET /a?b?c HTTP/1.1",
    b"GET /a? HTTP/1.1",
    b"GET /a#b HTTP/1.1",
    b"GET /a?b#c?d HTTP/1.1",
    b"GET //a/b HTTP/1.1",
    b"GET /a//b/[c];d:e@f HTTP/1.1",
    b"GET http://other.example/a?b HTTP/1.1",
    b"GET a HTTP/1.1",
    b"GET * HTTP/1.1",
    b"OPTIONS * HTTP/1.1",
    b"CONNECT a:443 HTTP/1.1",
    b"DELETE /a HTTP/1.0",
    b"GET /a HTTP/2.0",
    b"GET /a HTTP/1.1 ",
    b"GET  /a HTTP/1.1",
    b" GET /a HTTP/1.1",
    b"get /a HTTP/1.1",
    b"GETS /a HTTP/1.1",
    b"GET /a\tb HTTP/1.1",
    b"GET /\xc3\xa4 HTTP/1.1",
    b"GET /a\x7f HTTP/1.1",
    b"GET /a",
    b"",
]
HEADS = [
    HEAD,
    b"",
    b"Host: a\r\nHost: b\r\n",
    b"host: a\r\nX-A: 1\r\nx-a: 2\r\n",
    b"Bad Name: 1\r\n",
    b"X_Forwarded_For: 1\r\n",
    b"X-Value: a\0b\r\n",
    b"X-Folded: a\r\n b\r\n",
    b"Connection: close\r\n",
    b"Connection: keep-alive\r\n",
    b"X-Forwarded-Proto: https\r\n",
    b"X-Forwarded-Proto: https\r\nX-Forwarded-Ssl: off\r\n",
    b"Expect: 100-continue\r\n",
    b"Expect: miracles\r\n",
    b"Content-Length: 2\r\n",
    b"Content-Length: 2\r\nContent-Length: 2\r\n",
    b"Content-Length: +2\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n",
]


def with_body(head: bytes) -> bytes:
    if b"chunked" in head:
        return b"2\r\nab\r\n0\r\nX-Trailer: 1\r\n\r\n"
    return b"ab" if b"Content-Length: 2" in head else b""


@pytest.mark.parametrize("line", LINES)
def test_a_first_line_says_what_it_says_to_gunicorn(line: bytes) -> None:
    data = line + b"\r\n" + HEAD + b"\r\n"
    assert [*read(Requests, data)] == [*read(RequestParser, data)]


@given(st.text(alphabet="GET/ ?#%:@*.\\[]a1\x00\t\xe4", max_size=20))
def test_any_target_says_what_it_says_to_gunicorn(target: str) -> None:
    data = f"GET /{target} HTTP/1.1\r\n\r\n".encode("latin-1")
    assert [*read(Requests, data)] == [*read(RequestParser, data)]


@pytest.mark.parametrize("trusted", ["127.0.0.1", "10.0.0.1"])
@pytest.mark.parametrize("version", [b"1.0", b"1.1"])
@pytest.mark.parametrize("head", HEADS)
def test_a_head_says_the_same_each_time_and_what_it_says_to_gunicorn(head: bytes, version: bytes, trusted: str) -> None:
    keeping = b"Connection: keep-alive\r\n" if version == b"1.0" and b"Connection" not in head else b""
    data = b"".join(
        b"POST /%d HTTP/%s\r\n%s%s\r\n%s" % (number, version, keeping, head, with_body(head)) for number in range(3)
    )
    settings = {"forwarded_allow_ips": trusted}
    assert [*read(Requests, data, **settings)] == [*read(RequestParser, data, **settings)]


@pytest.mark.parametrize("line", LINES)
def test_a_first_line_says_the_same_above_a_head_that_is_known(line: bytes) -> None:
    data = PLAIN + line + b"\r\n" + HEAD + b"\r\n" + PLAIN
    assert [*read(Requests, data)] == [*read(RequestParser, data)]


@given(st.text(alphabet="GET/ ?#%:@*.\\[]a1\x00\t\xe4", max_size=20))
def test_any_target_says_the_same_above_a_head_that_is_known(target: str) -> None:
    data = PLAIN + f"GET /{target} HTTP/1.1\r\n".encode("latin-1") + HEAD + b"\r\n" + PLAIN
    assert [*read(Requests, data)] == [*read(RequestParser, data)]


CONVERSATION = b"".join(
    b"POST /%d HTTP/1.1\r\n%sContent-Length: %d\r\n\r\n%s" % (number, HEAD, length, b"x" * length)
    for number, length in enumerate([3, 3, 0, 3, 12, 12, 0, 3])
)


@pytest.mark.parametrize("reads_bodies", [True, False])
@given(st.lists(st.integers(0, len(CONVERSATION)), max_size=12).map(sorted))
def test_requests_are_the_same_in_whatever_pieces_they_come(reads_bodies: bool, cuts: list[int]) -> None:
    begins, ends = [0, *cuts], [*cuts, len(CONVERSATION)]
    pieces = [CONVERSATION[begin:end] for begin, end in zip(begins, ends, strict=True) if begin < end]
    ours, theirs = ([*read(kind, *pieces, reads_bodies=reads_bodies)] for kind in (Requests, RequestParser))
    assert ours == theirs
    assert len(ours) == 8


def test_of_a_request_like_a_former_one_only_the_first_line_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    requests, judged = requests_of(Requests, CONVERSATION), list[int]()
    parse = Arriving.parse

    def parse_and_tell(request: Arriving, unreader: Any) -> Any:
        judged.append(request.req_number)
        return parse(request, unreader)

    monkeypatch.setattr(Arriving, "parse", parse_and_tell)
    assert [next(requests).uri for _ in range(8)] == [f"/{number}" for number in range(8)]
    assert judged == [1, 3, 5]  # of three lengths


def test_a_first_line_is_too_long_above_a_head_that_is_known_as_well() -> None:
    long = PLAIN.replace(b"/scim", b"/" + b"x" * 200 + b"/scim")
    for limit in (100, 0):
        data = {"limit_request_line": limit}
        assert [*read(Requests, PLAIN + long, **data)] == [*read(RequestParser, PLAIN + long, **data)]
    *_, (refusal, _) = read(Requests, PLAIN + long, limit_request_line=100)
    assert refusal is LimitRequestLine
    *_, (refusal, _) = read(Requests, PLAIN + PLAIN.replace(b"/scim", b"/" + b"x" * 9000 + b"/scim"))
    assert refusal is LimitRequestLine


def test_what_a_proxy_said_of_the_first_request_it_does_not_say_of_the_next() -> None:
    data = b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n" + 3 * PLAIN
    requests = requests_of(Requests, data, proxy_protocol="v1", proxy_allow_ips="*")
    theirs = requests_of(RequestParser, data, proxy_protocol="v1", proxy_allow_ips="*")
    ours = [request.proxy_protocol_info for request in requests]
    assert ours == [request.proxy_protocol_info for request in theirs]
    assert ours[0]


def test_a_head_that_differs_in_one_letter_is_judged_anew() -> None:
    *_, (refusal, _) = read(Requests, PLAIN + PLAIN.replace(b"User-Agent", b"User Agent"))
    assert refusal is InvalidHeaderName


def test_a_head_of_http_1_1_says_nothing_of_one_of_http_1_0() -> None:
    data = PLAIN + PLAIN.replace(b"HTTP/1.1", b"HTTP/1.0") + PLAIN
    known = [*read(Requests, data)]
    assert known == [*read(RequestParser, data)]
    assert [closes for *_, closes, _ in known] == [False, True]


@pytest.mark.parametrize("head", [HEAD, HEAD + b"X-Forwarded-Proto: https\r\n", b"Host: a\r\nX-A: 1\r\nX-A: 2\r\n"])
def test_the_application_is_told_the_same_as_by_gunicorn(head: bytes) -> None:
    data = b"".join(
        b"PUT %s HTTP/1.1\r\nContent-Type: text/plain\r\nContent-Length: 1\r\n%s\r\n%d" % (target, head, number)
        for number, target in enumerate([b"/a", b"/b?c=d", b"/%C3%A4%2f+?%20", b"/a"])
    )
    ours, theirs = requests_of(Requests, data), requests_of(RequestParser, data)
    for number in range(4):
        answer, environ = answering(next(ours), connection(), ours.cfg)
        _, expected = wsgi.create(next(theirs), connection().sock, CLIENT, SERVER, theirs.cfg)
        assert (environ.pop("wsgi.input").read(), expected.pop("wsgi.input").read()) == 2 * (str(number).encode(),)
        assert environ.pop("wsgi.multithread")
        for left_out in ("wsgi.multithread", "wsgi.early_hints", "wsgi.errors", "gunicorn.socket"):
            environ.pop(left_out, None)
            expected.pop(left_out)
        assert environ == expected
        assert answer.req is ours.mesg


def test_what_the_application_changes_is_not_there_for_the_next_request() -> None:
    requests = requests_of(Requests, 3 * PLAIN)
    for _ in range(3):
        _, environ = answering(next(requests), connection(), requests.cfg)
        assert "HTTP_AUTHORIZATION" in environ
        assert environ["PATH_INFO"] == "/scim/v2/Users"
        environ["PATH_INFO"], environ["from.the.application"] = "/other", True
        del environ["HTTP_AUTHORIZATION"]
        assert requests.mesg.headers
        requests.mesg.headers.clear()


def test_each_request_that_expects_to_be_asked_for_its_body_is_asked() -> None:
    data = b"POST /a HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\nx"
    requests, sent = requests_of(Requests, 2 * data), list[bytes]()
    conn = connection()
    conn.sock = SimpleNamespace(send=sent.append)
    for _ in range(2):
        request = next(requests)
        answering(request, conn, requests.cfg)
        request.body.read()
    assert sent == [b"HTTP/1.1 100 Continue\r\n\r\n"] * 2


def test_a_client_that_could_not_be_asked_in_http_1_0_is_asked_in_http_1_1() -> None:
    head = b"Connection: keep-alive\r\nExpect: 100-continue\r\n\r\n"
    requests = requests_of(Requests, b"GET /a HTTP/1.0\r\n" + head + b"GET /a HTTP/1.1\r\n" + head)
    assert [next(requests)._expected_100_continue for _ in range(2)] == [False, True]


def test_few_heads_of_a_connection_are_kept_and_none_of_a_long_one() -> None:
    heads = [HEAD + b"X-Number: %d\r\n" % number for number in range(3 * arriving.KEPT_HEADS)]
    long = HEAD + b"X-Long: " + b"x" * arriving.KEPT_BYTES + b"\r\n"
    data = b"".join(b"GET /a HTTP/1.1\r\n" + head + b"\r\n" for head in [*heads, long])
    requests = requests_of(Requests, data)
    for _ in heads:
        next(requests)
        assert len(requests.unreader.known_heads) <= arriving.KEPT_HEADS
    assert next(requests).head is None
    assert len(next(iter(requests.unreader.known_heads))[1]) < arriving.KEPT_BYTES


def test_one_connection_knows_nothing_of_another() -> None:
    first, second = requests_of(Requests, PLAIN), requests_of(Requests, PLAIN)
    assert next(first).head is not next(second).head


def test_what_is_known_of_a_connection_ends_with_it_and_not_with_a_collection() -> None:
    requests = requests_of(Requests, 3 * PLAIN)
    for _ in range(3):
        answering(next(requests), connection(), requests.cfg)
    left = ref(requests.unreader)
    gc.disable()
    try:
        del requests
        assert left() is None
    finally:
        gc.enable()


def test_a_body_that_breaks_off_is_not_taken_for_whole() -> None:
    request = next(requests_of(Requests, b"POST /a HTTP/1.1\r\nContent-Length: 9\r\n\r\nabc"))
    with pytest.raises(NoMoreData):
        request.body.read()


def taking(data: bytes, *, after: bytes = PLAIN, is_wanted: bool = True) -> tuple[bool, RequestParser]:
    """Return whether what arrived after another request was taken, and what reads on."""
    requests = requests_of(Requests, after, b"", b"")
    next(requests).body.read()
    return requests.take_get(data, lambda _: is_wanted), requests


def test_a_whole_get_that_is_like_a_former_one_is_taken_as_it_would_be_read() -> None:
    line = b"GET /scim/v2/Users/user_1?a=b HTTP/1.1\r\n"
    is_taken, requests = taking(line + HEAD + b"\r\n")
    assert is_taken
    taken, [_, read_one] = next(requests), read(Requests, PLAIN, line + HEAD + b"\r\n")
    assert (taken.method, taken.uri, taken.path, taken.query) == read_one[:4]
    assert (taken.headers, taken.req_number, taken.body.read()) == (read_one[6], read_one[10], b"")


def test_what_is_wanted_is_asked_of_the_target() -> None:
    asked: list[str] = []
    requests = requests_of(Requests, PLAIN)
    next(requests).body.read()
    requests.take_get(b"GET /a?b=c HTTP/1.1\r\n" + HEAD + b"\r\n", lambda uri: bool(asked.append(uri)))
    assert asked == ["/a?b=c"]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        PLAIN[:-1],
        PLAIN + b"G",
        PLAIN + PLAIN,
        PLAIN.replace(b"GET", b"HEAD"),
        PLAIN.replace(b"GET", b"DELETE"),
        PLAIN.replace(b"scim_a", b"scim_b"),
        PLAIN.replace(b"HTTP/1.1", b"HTTP/1.0"),
        PLAIN.replace(b"/scim", b"scim"),
    ],
)
def test_all_else_is_left_to_be_read(data: bytes) -> None:
    is_taken, requests = taking(data)
    assert not is_taken
    assert requests.unreader.take_buffered() == data


def test_what_is_not_wanted_is_left_to_be_read() -> None:
    is_taken, requests = taking(PLAIN, is_wanted=False)
    assert not is_taken
    assert next(requests).uri == "/scim/v2/Users"


@pytest.mark.parametrize("arrived", [b"", b"a", b"ab"])
def test_a_get_with_a_body_is_left_to_be_read(arrived: bytes) -> None:
    head = PLAIN.replace(HEAD, HEAD + b"Content-Length: 2\r\n")
    is_taken, requests = taking(head + arrived, after=head + b"ab")
    assert not is_taken
    assert requests.unreader.take_buffered() == head + arrived


def test_what_was_taken_is_read_once() -> None:
    _, requests = taking(PLAIN)
    next(requests).body.read()
    requests.unreader.unread(PLAIN.replace(b"Users", b"Groups"))
    assert next(requests).uri == "/scim/v2/Groups"
