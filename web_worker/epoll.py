"""How connections come to the threads that answer, on Linux.

gunicorn's thread that listens hands each request over to one that answers it, and takes the connection back afterwards:
two changes of threads, their locks and ten system calls for a request. Here the threads that answer wait for the next
request by themselves, at an epoll behind a gate.

Only one of them runs Python at a time. If each took a request as it came, one that waits for nothing would go on with
the next and the next, while those who took theirs before wait 20 milliseconds and more for the interpreter. So the gate
lets one thread in, which answers one request after another, in the order in which they came, as long as the application
answers them at once. Before any other it lets the next thread in; and if it is with one for long, it is let in for it.
"""

import errno
import os
import select
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress

from gunicorn.workers.gthread import DEFAULT_WORKER_DATA_TIMEOUT, TConn

from web_worker.arriving import Requests
from web_worker.worker import Worker, stop_listening

READABLE_ONCE = select.EPOLLIN | select.EPOLLONESHOT
# For how long, and for how many bytes, who was answered for the last time is listened to, so that the answer arrives.
END_SECONDS, END_BYTES = 2.0, 64 * 1024
# What a process that has too much open is told, and how long it leaves new connections alone then.
TOO_MUCH_OPEN = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}
PAUSE_SECONDS = 0.5
# How long a process lets others be first with a new connection, for each that it has itself, and at most.
DEFERENCE_SECONDS, MOST_DEFERENCE_SECONDS = 0.0002, 0.002
# For how long a thread may be alone with one request, and how often it is seen to: at the latest after twice as long.
ALONE_SECONDS = 0.01
ARRIVED_BYTES = 8192


class Connection(TConn):  # type: ignore[misc]
    """A connection; once it is ending, nothing that comes is answered any more."""

    is_ending = False
    discarded = 0


class Stay:
    """A thread's stay within the gate, and since when it is with one request there (``time.monotonic``)."""

    since = 0.0


class EpollWorker(Worker):
    """Serves with threads that take the next request by themselves.

    A connection is with one of them, or it is idle and with the epoll, which gives it to one thread and to nobody else
    until that has put it back. Only the thread that has it closes it: whoever waits too long is made to
    have something to read, its end.
    """

    def init_process(self) -> None:
        """Get ready, and serve until told to stop."""
        self._epoll, self._gate = select.epoll(), select.epoll()
        self._gate.register(self._epoll, READABLE_ONCE)
        # Whose stay it is; None once the next thread may come in. And whether there was one since that was looked at.
        self._inside: Stay | None = None
        self._was_entered = threading.Event()
        self._idle: dict[int, Connection] = {}
        self._counting = threading.Lock()
        self._over, self._end = os.pipe()
        self._epoll.register(self._over, select.EPOLLIN)
        super().init_process()

    def load_wsgi(self) -> None:
        """Load the application, and what it tells of what it answers."""
        super().load_wsgi()
        self._answers_at_once: Callable[[str], bool] | None = getattr(self.wsgi, "answers_at_once", None)

    def run(self) -> None:
        """Serve until told to stop; then no more than what has begun."""
        threading.Thread(target=self._watch, daemon=True).start()
        for _ in range(self.cfg.threads):
            self.tpool.submit(self._serve)
        try:
            super().run()
        finally:  # however it ended: the process waits for its threads
            os.write(self._end, b"!")  # which nobody reads, so that all threads see it

    def accept(self, listener: socket.socket) -> None:
        """Take a new connection, which may say nothing yet; unless a process that has fewer of them takes it."""
        if self.cfg.workers > 1:
            time.sleep(min(self.nr_conns * DEFERENCE_SECONDS, MOST_DEFERENCE_SECONDS))
        try:
            client, address = listener.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return
        except OSError as error:
            if error.errno not in TOO_MUCH_OPEN:
                raise
            self.log.error("A new connection has to wait: %s", error)
            time.sleep(PAUSE_SECONDS)  # else it would be tried again at once
            return
        conn = Connection(self.cfg, client, address, listener.getsockname())
        conn.data_ready = True  # before a thread sees it
        conn.timeout = time.monotonic() + DEFAULT_WORKER_DATA_TIMEOUT
        with self._counting:
            self.nr_conns += 1
        self._idle[client.fileno()] = conn
        self._epoll.register(client, READABLE_ONCE)

    def _serve(self) -> None:
        stay = Stay()
        while True:
            self._gate.poll(maxevents=1)
            self._enter(stay)
            while self._inside is stay:
                arrived = self._epoll.poll(0, 1)
                if not arrived:
                    self._let_next_in(stay)
                elif arrived[0][0] == self._over:
                    self._let_next_in(stay)  # who finds the same
                    return
                else:
                    self._serve_connection(arrived[0][0], stay)

    def _enter(self, stay: Stay) -> None:
        stay.since = time.monotonic()
        self._inside = stay
        if not self._was_entered.is_set():
            self._was_entered.set()

    def _let_next_in(self, stay: Stay) -> None:
        """Let the next thread in, unless it was; that two are in at the same moment does no harm."""
        if self._inside is stay:
            self._inside = None
            self._gate.modify(self._epoll, READABLE_ONCE)

    def _watch(self) -> None:
        """Let the next thread in where one is with a request for long: it waits for something, or has much to do."""
        while True:
            self._was_entered.wait()
            time.sleep(ALONE_SECONDS)
            stay = self._inside
            if stay is None:
                self._was_entered.clear()
                if self._inside is not None:  # it came in this very moment
                    self._was_entered.set()
            elif stay.since < time.monotonic() - ALONE_SECONDS:
                self._let_next_in(stay)

    def _serve_connection(self, descriptor: int, stay: Stay) -> None:
        conn = self._idle.pop(descriptor)
        try:
            if conn.is_ending or not self._serve_requests(conn, stay):
                self._end_connection(conn)
        except BaseException:
            self.log.exception("Error handling a connection")
            self._close(conn)

    def _serve_requests(self, conn: Connection, stay: Stay) -> bool:
        """Answer the request that has come, and those that came with it; tell whether there may be another one."""
        while True:
            stay.since = time.monotonic()
            if not self._take_quick(conn):
                self._let_next_in(stay)
            if not self.handle(conn):
                return False
            if not _has_more(conn):
                conn.set_timeout()
                self._wait(conn)
                return True

    def _take_quick(self, conn: Connection) -> bool:
        """Take what has come if it is one whole request that the application answers at once, and tell whether it is.

        That has to be seen from its first line, and a request with the same head was judged before.
        """
        parser = conn.parser
        if self._answers_at_once is None or not isinstance(parser, Requests):
            return False
        try:
            data = parser.unreader.take_buffered() or conn.sock.recv(ARRIVED_BYTES, socket.MSG_DONTWAIT)
        except OSError:  # nothing came, or the client has gone: which is found out anew
            return False
        return parser.take_get(data, self._answers_at_once)

    def _wait(self, conn: Connection) -> None:
        descriptor = conn.sock.fileno()
        self._idle[descriptor] = conn
        self._epoll.modify(descriptor, READABLE_ONCE)

    def _end_connection(self, conn: Connection) -> None:
        """End a connection when its client has, or after a while, and hold no thread meanwhile (RFC 9112 §9.6)."""
        try:
            if not conn.is_ending:
                conn.sock.shutdown(socket.SHUT_WR)
                conn.sock.setblocking(False)
                conn.is_ending, conn.timeout = True, time.monotonic() + END_SECONDS
            while conn.discarded < END_BYTES and (part := conn.sock.recv(END_BYTES)):
                conn.discarded += len(part)
        except BlockingIOError:
            self._wait(conn)
        except OSError:  # the client has gone
            self._close(conn)
        else:
            self._close(conn)

    def _close(self, conn: Connection) -> None:
        with suppress(OSError):  # it was reset
            conn.sock.close()
        with self._counting:
            self.nr_conns -= 1
        if self.alive and not self._accepting:
            self.method_queue.defer(lambda: None)  # the thread that listens wakes up: there is a place

    def murder_keepalived(self, force: bool = False) -> None:
        """Let go of clients who take too long, once a second and after each new connection."""
        super().murder_keepalived(force)
        now = time.monotonic()
        for conn in list(self._idle.values()):
            if force or conn.timeout < now:
                stop_listening(conn)

    def _cap_keepalive(self, deadline: float) -> None:
        for conn in list(self._idle.values()):
            conn.timeout = min(conn.timeout, deadline)


def _has_more(conn: Connection) -> bool:
    """Tell whether more has been received than was read, of which the epoll knows nothing."""
    return bool(conn.parser.unreader.buf.getvalue() or (conn.cfg.is_ssl and conn.sock.pending()))
