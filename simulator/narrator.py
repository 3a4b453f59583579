"""Tells the story while it happens: chapters, what is asked, what is answered, what the product learned."""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from urllib.parse import unquote, urlsplit

import click

from simulator.exchange import Exchange, Observer

REQUEST_WIDTH = 88
SHOWN_SENTENCES = 16


class Narrator:
    """Writes to the standard output: plain lines where that is no terminal, colours and a moving bar where it is."""

    def __init__(self) -> None:
        self.exchanges: list[Exchange] = []
        self._muted = False
        self._chapters = 0

    def chapter(self, title: str) -> None:
        """Begin the next chapter."""
        self._chapters += 1
        click.echo()
        click.secho(f"{self._chapters}. {title}", bold=True)

    def say(self, text: str) -> None:
        """Write a remark."""
        click.echo(f"   {text}")

    def observer(self, who: str) -> Observer:
        """Return what writes down the requests of somebody, each with its answer's status and milliseconds."""

        def observe(exchange: Exchange) -> None:
            self.exchanges.append(exchange)
            if not self._muted:
                click.echo(_line(who, exchange))

        return observe

    def learned(self, sentences: Sequence[str]) -> None:
        """Write what the product learned; of many sentences, the first ones."""
        for sentence in sentences[:SHOWN_SENTENCES]:
            click.secho(f"   ⇒ {sentence}", fg="green")
        if len(sentences) > SHOWN_SENTENCES:
            click.secho(f"   ⇒ … and {len(sentences) - SHOWN_SENTENCES} things more", fg="green")

    @contextmanager
    def muted(self) -> Iterator[list[Exchange]]:
        """Write no requests for a while; yield the list in which they are collected."""
        first = len(self.exchanges)
        collected: list[Exchange] = []
        self._muted = True
        try:
            yield collected
        finally:
            self._muted = False
            collected.extend(self.exchanges[first:])

    @contextmanager
    def progress(self, label: str, length: int) -> Iterator["Progress"]:
        """Yield a bar to move on; where there is no terminal, a line is written at each quarter instead."""
        with click.progressbar(length=length, label=f"   {label}", hidden=not _is_terminal()) as bar:
            yield Progress(bar.update, label, length)


class Progress:
    """How far something is."""

    def __init__(self, move: Callable[[int], object], label: str, length: int) -> None:
        self._move = move
        self._label = label
        self._length = length
        self._done = 0

    def step(self) -> None:
        """Say that one more is done."""
        self._done += 1
        self._move(1)
        if not _is_terminal() and self._length and self._quarter(self._done) > self._quarter(self._done - 1):
            click.echo(f"   {self._label}: {self._done} of {self._length}")

    def _quarter(self, done: int) -> int:
        return done * 4 // self._length


def _is_terminal() -> bool:
    return sys.stdout.isatty()


def _line(who: str, exchange: Exchange) -> str:
    parts = urlsplit(exchange.url)
    request = f"{exchange.method:<6} {parts.path}" + (f"?{unquote(parts.query)}" if parts.query else "")
    if len(request) > REQUEST_WIDTH:
        request = request[: REQUEST_WIDTH - 1] + "…"
    status = click.style(str(exchange.status), fg="green" if exchange.status < 400 else "yellow")
    return f"   {who:<7} {request:<{REQUEST_WIDTH}}  {status} {exchange.milliseconds:6.0f} ms"
