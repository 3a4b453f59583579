"""The product's webhook receiver, for tests with a whole server."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Product(ThreadingHTTPServer):
    """Keeps every body that it was sent, by event id, and which paths each event came to."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Hook)
        self.bodies: dict[str, set[bytes]] = {}
        self.arrived: list[tuple[str, str]] = []
        self.lock = threading.Lock()
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def events(self) -> list[dict[str, Any]]:
        with self.lock:
            return [json.loads(next(iter(bodies))) for bodies in self.bodies.values()]

    def arrived_at(self, path: str) -> list[str]:
        """Return the ids of the events that came to a path, one as often as it came."""
        with self.lock:
            return [event_id for to, event_id in self.arrived if to == path]


class _Hook(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Product

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        with self.server.lock:
            self.server.bodies.setdefault(self.headers["webhook-id"], set()).add(body)
            self.server.arrived.append((self.path, self.headers["webhook-id"]))
        self.send_response(204)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_arguments: Any) -> None:
        """Say nothing."""
