"""One process of the web server: gunicorn's, with a limit to how long a request may take to arrive.

gunicorn waits for the rest of a request for ever. A client that sends one byte
now and then would hold a thread as long as it likes, and a few such clients all
of them.
"""

import socket
import threading
import time
from contextlib import suppress
from typing import Any

from gunicorn.workers.gthread import TConn, ThreadWorker

RECEIVE_SECONDS = 30.0


class Worker(ThreadWorker):  # type: ignore[misc]
    """Serves with threads, and stops listening to a client whose request is not whole after ``RECEIVE_SECONDS``.

    Only the receiving half of the connection is closed. So a request that is
    whole and takes longer to be answered is answered all the same.
    """

    def run(self) -> None:
        """Serve until told to stop."""
        self._receiving: dict[TConn, float] = {}
        threading.Thread(target=self._watch, name="slow clients", daemon=True).start()
        super().run()

    def handle(self, conn: TConn) -> Any:
        """Serve one request of a connection, in a thread of its own."""
        self._receiving[conn] = time.monotonic()
        try:
            return super().handle(conn)
        finally:
            self._receiving.pop(conn, None)

    def _watch(self) -> None:
        while self.alive:
            time.sleep(RECEIVE_SECONDS / 10)
            begun_before = time.monotonic() - RECEIVE_SECONDS
            for conn, begun in list(self._receiving.items()):
                if begun < begun_before and self._receiving.pop(conn, None) is not None:
                    with suppress(OSError):
                        conn.sock.shutdown(socket.SHUT_RD)
