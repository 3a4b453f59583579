"""One request and its answer, and the complaint about a pair that is not as it must be."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

JsonObject = dict[str, Any]

SHOWN_CHARACTERS = 4_000


@dataclass(frozen=True)
class Exchange:
    """A request as it was sent and the answer as it came, ``milliseconds`` apart. ``secrets`` are masked when shown."""

    method: str
    url: str
    request_headers: Mapping[str, str]
    request_body: str | None
    status: int
    headers: Mapping[str, str]
    text: str
    milliseconds: float
    secrets: tuple[str, ...] = field(default=(), repr=False)

    def __str__(self) -> str:
        sent = [f"> {self.method} {self.url}", *(f"> {name}: {value}" for name, value in self.request_headers.items())]
        if self.request_body is not None:
            sent.append(f">\n> {self.request_body[:SHOWN_CHARACTERS]}")
        received = [f"< {self.status}  ({self.milliseconds:.0f} ms)"]
        received += [f"< {name}: {value}" for name, value in self.headers.items()]
        if self.text:
            received.append(f"<\n< {self.text[:SHOWN_CHARACTERS]}")
        return self._masked("\n".join([*sent, *received]))

    def _masked(self, text: str) -> str:
        for secret in self.secrets:
            text = text.replace(secret, f"{secret[:8]}…")
        return text


Observer = Callable[[Exchange], None]


class Misbehaviour(Exception):
    """The server did what nobody who relies on it can live with; the text holds the request and the answer."""

    def __init__(self, complaint: str, exchange: Exchange | None = None) -> None:
        super().__init__(complaint if exchange is None else f"{complaint}\n\n{exchange}")
        self.complaint = complaint
        self.exchange = exchange
