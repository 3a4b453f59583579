"""How connections come to the threads that answer, on Linux.

gunicorn's thread that listens hands each request over to one that answers it, and takes the connection back afterwards:
two changes of threads, their locks and ten system calls for a request. Here the threads that answer wait for the next
request by themselves, all at one epoll.
"""

import errno
import os
import select
import socket
import threading
import time

from gunicorn.workers.gthread import DEFAULT_WORKER_DATA_TIMEOUT, TConn

from web_worker.worker import Worker, stop_listening

READABLE_ONCE = select.EPOLLIN | select.EPOLLONESHOT
# What a process that has too much open is told, and how long it leaves new connections alone then.
TOO_MUCH_OPEN = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}
PAUSE_SECONDS = 0.5


class EpollWorker(Worker):
    """Serves with threads that take the next request by themselves.

    A connection is with one of them, or it is idle and with the epoll, which gives it to one thread and to nobody else
    until that has put it back. Only the thread that has it closes it: whoever waits too long is made to
    have something to read, its end.
    """

    def init_process(self) -> None:
        """Get ready, and serve until told to stop."""
        self._epoll = select.epoll()
        self._idle: dict[int, TConn] = {}
        self._counting = threading.Lock()
        self._over, self._end = os.pipe()
        self._epoll.register(self._over, select.EPOLLIN)
        super().init_process()

    def run(self) -> None:
        """Serve until told to stop; then no more than what has begun."""
        for _ in range(self.cfg.threads):
            self.tpool.submit(self._serve)
        try:
            super().run()
        finally:  # however it ended: the process waits for its threads
            os.write(self._end, b"!")  # which nobody reads, so that all threads see it

    def accept(self, listener: socket.socket) -> None:
        """Take a new connection, which may say nothing yet."""
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
        conn = TConn(self.cfg, client, address, listener.getsockname())
        conn.data_ready = True  # before a thread sees it
        conn.timeout = time.monotonic() + DEFAULT_WORKER_DATA_TIMEOUT
        with self._counting:
            self.nr_conns += 1
        self._idle[client.fileno()] = conn
        self._epoll.register(client, READABLE_ONCE)

    def _serve(self) -> None:
        while True:
            [(descriptor, _)] = self._epoll.poll(maxevents=1)
            if descriptor == self._over:
                return
            conn = self._idle.pop(descriptor)
            try:
                self._serve_requests(conn)
            except BaseException:
                self.log.exception("Error handling a connection")
                self._close(conn)

    def _serve_requests(self, conn: TConn) -> None:
        """Answer the request that has come, and those that came with it."""
        while self.handle(conn):
            if not conn.parser.unreader.buf.getvalue():
                conn.set_timeout()
                self._idle[conn.sock.fileno()] = conn
                self._epoll.modify(conn.sock, READABLE_ONCE)
                return
        self._close(conn)

    def _close(self, conn: TConn) -> None:
        conn.close(graceful=True)
        with self._counting:
            self.nr_conns -= 1

    def murder_keepalived(self, force: bool = False) -> None:
        """Let go of clients who take too long, once a second."""
        super().murder_keepalived(force)
        now = time.monotonic()
        for conn in list(self._idle.values()):
            if force or conn.timeout < now:
                stop_listening(conn)

    def _cap_keepalive(self, deadline: float) -> None:
        for conn in list(self._idle.values()):
            conn.timeout = min(conn.timeout, deadline)
