"""Requests of a connection, answered one after another; with limits to how long one and its answer may be on the way.

gunicorn waits for ever for the rest of a request, and for a client that does not read its answer. A client that sends
or reads one byte now and then would hold a thread as long as it likes, and a few such clients all of them.
"""

import os
import socket
import time
from collections.abc import Collection, Iterable
from contextlib import suppress
from datetime import timedelta
from typing import Any, ClassVar
from weakref import WeakSet

from gunicorn.workers.gthread import TConn, ThreadWorker

from web_worker.arriving import Requests, answering, is_whole
from web_worker.memory import use_huge_pages
from web_worker.wire import Answer

RECEIVE_SECONDS = 30.0
# For a client to read an answer, or a part of one that is made while it is sent.
SEND_SECONDS = 60.0


class Worker(ThreadWorker):  # type: ignore[misc]
    """Serves with threads, and stops listening to a client whose request is not whole after ``RECEIVE_SECONDS``.

    Only the receiving half of the connection is closed, and that of nobody whose request is whole: it is answered
    however long that takes, and the next one as well. A client that has not read its answer, or a part of a long one,
    ``SEND_SECONDS`` after that began to leave is not waited for any more.

    It stays on one processor, as only one of its threads runs Python at a time. On two they would wake each other up
    for it at every turn, which takes longer than the work.
    """

    # The one that it stays on; None where the system has no such thing.
    processor: int | None
    # Those that run, as the process that starts them knows them.
    _running: ClassVar[WeakSet["Worker"]] = WeakSet()

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.processor = least_used([worker.processor for worker in self._running])
        self._running.add(self)

    def init_process(self) -> None:
        """Get ready, and serve until told to stop."""
        if self.processor is not None:
            with suppress(OSError):  # it may have been taken away meanwhile
                os.sched_setaffinity(0, {self.processor})
        # When a request began to arrive, and which one was the last before it.
        self._receiving: dict[TConn, tuple[float, Any]] = {}
        # When an answer, or the part of one that was made last, began to leave.
        self._sending: dict[TConn, float] = {}
        # A setting is else looked up in a dictionary of objects, some 25 times for a request.
        settings = {name: setting.get() for name, setting in self.cfg.settings.items()}
        self.cfg.__dict__.update({name: value for name, value in settings.items() if not hasattr(type(self.cfg), name)})
        self._is_plain_http = (
            not self.cfg.is_ssl and self.cfg.protocol == "http" and "h2" not in self.cfg.http_protocols
        )
        super().init_process()

    def load_wsgi(self) -> None:
        """Load the application; what there is in memory then, each request needs."""
        super().load_wsgi()
        use_huge_pages()

    def handle(self, conn: TConn) -> Any:
        """Answer one request of a connection, and tell whether there may be another one."""
        if conn.parser is None and self._is_plain_http:
            conn.parser = Requests(self.cfg, conn.sock, conn.client)
        self._receiving[conn] = time.monotonic(), getattr(conn.parser, "mesg", None)
        try:
            return super().handle(conn)
        finally:
            self._receiving.pop(conn, None)

    def handle_request(self, req: Any, conn: TConn) -> bool:
        """Have the application answer a request, and tell whether the connection stays open.

        :raises OSError: When the client has gone.
        """
        answer: Any = None
        environ: dict[str, Any] = {}
        self.cfg.pre_request(self, req)
        try:
            began = time.perf_counter()
            answer, environ = answering(req, conn, self.cfg)
            if self._is_last_of_connection():
                answer.force_close()
            parts = self.wsgi(environ, answer.start_response)
            try:
                self._send(conn, answer, parts, environ)
            finally:
                self._sending.pop(conn, None)
                self.log.access(answer, req, environ, timedelta(seconds=time.perf_counter() - began))
                if hasattr(parts, "close"):
                    parts.close()
            return not answer.should_close()
        except OSError:
            raise
        except (Exception, SystemExit):
            if answer is None or not answer.headers_sent:
                raise  # the client is told that it failed
            self.log.exception("Error handling request")
            return False
        finally:
            self.cfg.post_request(self, req, environ, answer)

    def _send(self, conn: TConn, answer: Answer, parts: Iterable[bytes], environ: dict[str, Any]) -> None:
        if isinstance(parts, environ["wsgi.file_wrapper"]):
            self._sending[conn] = time.monotonic()
            answer.write_file(parts)
        else:
            for part in parts:
                self._sending[conn] = time.monotonic()
                answer.write(part)
                del self._sending[conn]  # the next one may take its time to make
        self._sending[conn] = time.monotonic()
        answer.close()

    def _is_last_of_connection(self) -> bool:
        """Count a request, and tell whether its connection has to be closed after it."""
        self.nr += 1
        if self.nr >= self.max_requests:
            self.alive = False  # another process takes this one's place
        return not (self.alive and self.cfg.keepalive and self.nr_conns <= self.max_keepalived)

    def murder_keepalived(self, force: bool = False) -> None:
        """Let go of clients who take too long for a request, or to read an answer; asked once a second at least."""
        super().murder_keepalived(force)
        now = time.monotonic()
        for conn, began in self._sending.copy().items():
            if began < now - SEND_SECONDS:
                _shut(conn, socket.SHUT_RDWR)  # the thread that sends fails
        began_before = now - RECEIVE_SECONDS
        for conn, (began, former) in self._receiving.copy().items():  # in one piece, since all threads change it
            if began < began_before and not _has_arrived(conn, former) and self._receiving.pop(conn, None) is not None:
                stop_listening(conn)


def least_used(taken: Collection[int | None]) -> int | None:
    """Return the processor that the fewest were given, of those that may be used; None where the system cannot."""
    if not hasattr(os, "sched_getaffinity"):
        return None
    return min(sorted(os.sched_getaffinity(0)), key=list(taken).count)


def _has_arrived(conn: TConn, former: Any) -> bool:
    """Tell whether the request that came after ``former`` is whole."""
    message = getattr(conn.parser, "mesg", None)
    return message not in (None, former) and is_whole(message.body)


def stop_listening(conn: TConn) -> None:
    """Have a connection end with what it has received so far."""
    _shut(conn, socket.SHUT_RD)


def _shut(conn: TConn, how: int) -> None:
    with suppress(OSError):  # it has ended
        # Not what a TLS socket makes of it, which would go on in plain text.
        socket.socket.shutdown(conn.sock, how)
