"""Runs prepared statements of PostgreSQL by way of libpq, as psycopg's own cursor does in some sixty function calls.

A statement of whose result nobody asks waits for the next one of which somebody does, and is sent with it, all in one
round trip (libpq's pipeline mode). What the server does with them, and in which order, is the same. It refuses one
that waits at the latest at the end of the transaction, and what follows one that was refused it does not run.

What is done after a mark can be taken back, as far as it waits still; and with it what the transaction knew by then.
"""

import select
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

import psycopg
from psycopg.adapt import PyFormat, Transformer
from psycopg.errors import error_from_result
from psycopg.pq import ConnStatus, ExecStatus, TransactionStatus
from psycopg.types.json import set_json_loads

from json_text import read_compact
from prepared import Answers

GOOD = (ExecStatus.COMMAND_OK, ExecStatus.TUPLES_OK)
BEGIN, COMMIT = "BEGIN", "COMMIT"
# The statements after which there is nothing to take back.
HARMLESS = ("SELECT", "SAVEPOINT", "RELEASE", "ROLLBACK TO")
# As many wait at most: their values are in memory.
WAITING_AT_MOST = 256


@dataclass
class Mark:
    """How things stood in a transaction: how many statements waited, what was known, what was put off to the end."""

    waiting: int
    known: dict[Any, Any]
    at_end: dict[Any, Any]
    # Whether something that changes rows was sent since.
    has_written: bool = False


class ServerCursor:
    """A cursor of one connection, whose every statement is prepared on the server the first time it is run.

    Statements have their values as ``$1``, ``$2``. Values and rows are converted as psycopg converts them, all as
    texts: so what type a value has is the server's to say, who knows the column.
    """

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self.connection = connection
        # It would tell the server to forget all prepared statements, these as well, whenever something is rolled back.
        connection.prepare_threshold = None
        set_json_loads(read_compact, connection)
        self._libpq = connection.pgconn
        self._transformer = Transformer(connection)
        self._names: dict[str, bytes] = {}
        self._result: Any = None
        self._in_transaction = False
        # What was not sent so far: each statement, its name on the server, its values as texts, and where its result
        # is put for whoever asked for it.
        self._waiting: list[tuple[str, bytes, Any, list[Any]]] = []
        # What the transaction knows of rows that it holds, for those who go on with it; None where there is none.
        self.known: dict[Any, Any] | None = None
        # What is run at its end, each with its values.
        self.at_end: dict[Any, tuple[str, Sequence[Any]]] = {}
        self._marks: dict[str, Mark] = {}
        # What somebody else asked already for whoever goes on with the transaction, see ``Ahead``.
        self.answers: Answers | None = None
        # The statement that failed last.
        self.failed: str | None = None
        self._answers = select.poll()
        self._answers.register(self._libpq.socket, select.POLLIN)

    def begin(self, sql: str, _values: Sequence[Any] = ()) -> None:
        """Begin a transaction with a statement: from now on statements wait."""
        self._in_transaction, self.known = True, {}
        self.execute_later(sql)

    def commit(self) -> None:
        """Send what waits, and end the transaction.

        :raises psycopg.Error: When the server refuses something of it; ``rollback`` has to follow.
        """
        waiting = self._waiting
        is_unheard_of = bool(waiting) and waiting[0][0] == BEGIN  # so the server does not know of it so far
        is_over = self._libpq.transaction_status == TransactionStatus.IDLE and not is_unheard_of
        if is_over or not self._in_transaction:
            raise psycopg.OperationalError("the transaction was over before its end")
        if len(waiting) > 1 or not is_unheard_of:
            self.execute(COMMIT)
            if self._result.command_status != COMMIT.encode():
                raise psycopg.OperationalError("the transaction had failed, and was rolled back")
        self.end()

    def rollback(self) -> None:
        """End the transaction, if there is one, and leave nothing of it."""
        self.end()
        self.connection.rollback()

    def end(self) -> None:
        """Leave all that waits: the transaction is over."""
        self._in_transaction, self.known, self.answers = False, None, None
        self._waiting.clear()
        self.at_end.clear()
        self._marks.clear()

    def mark(self, name: str) -> None:
        """Note how things stand, such as at the beginning of a savepoint."""
        self._marks[name] = Mark(len(self._waiting), dict(self.known or {}), self.at_end.copy())

    def forget(self, name: str) -> None:
        """Leave what waits since a mark, and know what was known then: the transaction is rolled back to it."""
        if not self._in_transaction:
            return  # it is over already, and everything forgotten
        mark = self._marks[name]
        del self._waiting[mark.waiting :]
        self.known, self.at_end = mark.known.copy(), mark.at_end.copy()

    def can_forget(self, name: str) -> bool:
        """Tell whether all that was done since a mark can be forgotten, since the server did nothing but read."""
        mark, status = self._marks.get(name), self._libpq.transaction_status
        is_alive = status in (TransactionStatus.IDLE, TransactionStatus.INTRANS)
        return is_alive and mark is not None and not mark.has_written

    def note_sent(self, sql: str) -> None:
        """Note that a statement was sent by somebody else, after all that waited."""
        if not sql.startswith(HARMLESS):
            for mark in self._marks.values():
                mark.has_written = True

    def execute(self, sql: str, values: Sequence[Any] = ()) -> None:
        """Run a statement, after those that wait.

        :raises psycopg.Error: When the server refuses it or one of those, or the connection is lost.
        """
        name, texts = self._names.get(sql) or self._prepare(sql), self._texts(values)
        if self._waiting:
            self._waiting.append((sql, name, texts, []))
            self._send()
            return
        self.note_sent(sql)
        result = self._result = self._libpq.exec_prepared(name, texts)
        if result.status not in GOOD:
            self._fail(sql, result)

    def execute_later(self, sql: str, values: Sequence[Any] = ()) -> None:
        """Run a statement with the next one that is executed; outside of a transaction at once.

        :raises psycopg.Error: When the server refuses it, or the connection is lost: now, or when it is sent.
        """
        self.ask(sql, values)

    def ask(self, sql: str, values: Sequence[Any] = ()) -> list[Any]:
        """Run a statement, as ``execute_later`` does, and return for ``rows_at`` where its result will be."""
        place: list[Any] = []
        if not self._in_transaction:
            self.execute(sql, values)
            place.append(self._result)
            return place
        name = self._names.get(sql) or self._prepare(sql)  # which may send what waits
        self._waiting.append((sql, name, self._texts(values), place))
        if len(self._waiting) >= WAITING_AT_MOST:
            self._send()
        return place

    def rows_at(self, place: list[Any]) -> list[tuple[Any, ...]] | None:
        """Return the rows of a statement that was asked, which is sent with all that waits if it was not so far.

        None where it is not sent any more, since it waited in a savepoint that was rolled back.

        :raises psycopg.Error: When the server refuses something of that, or the connection is lost.
        """
        if not place:
            self.send_waiting()
        return self._rows(place[0]) if place else None

    def executemany_later(self, sql: str, several: Sequence[Sequence[Any]]) -> None:
        """Run a statement for each of several values, as ``execute_later`` does."""
        for values in several:
            self.execute_later(sql, values)

    def send_waiting(self) -> None:
        """Run what waits.

        :raises psycopg.Error: When the server refuses something of it, or the connection is lost.
        """
        if self._waiting:
            self._send()

    def fetchall(self) -> list[tuple[Any, ...]]:
        """Return the rows of the last statement."""
        return self._rows(self._result)

    def _rows(self, result: Any) -> list[tuple[Any, ...]]:
        transformer = self._transformer
        transformer.set_pgresult(result)
        rows: list[tuple[Any, ...]] = transformer.load_rows(0, result.ntuples, tuple)
        return rows

    def _texts(self, values: Sequence[Any]) -> Any:
        return self._transformer.dump_sequence(values, [PyFormat.TEXT] * len(values)) if values else ()

    def _prepare(self, sql: str) -> bytes:
        self.send_waiting()  # which may be what makes the server prepare anything again, in a failed transaction
        name = b"authn_%d" % len(self._names)
        result = self._libpq.prepare(name, sql.encode())
        if result.status not in GOOD:
            self._fail(sql, result)
        self._names[sql] = name
        return name

    def _send(self) -> None:
        """Send all that waits in one round trip; the result of the last is that of the cursor."""
        sent, libpq = list(self._waiting), self._libpq
        self._waiting.clear()
        for mark in self._marks.values():
            mark.has_written |= not all(sql.startswith(HARMLESS) for sql, *_ in sent[mark.waiting :])
            mark.waiting = 0
        try:
            libpq.enter_pipeline_mode()
            for _, name, texts, _ in sent:
                libpq.send_query_prepared(name, texts)
            libpq.pipeline_sync()
            results = self._results()
            libpq.exit_pipeline_mode()
        except BaseException:
            self.failed = sent[-1][0]
            libpq.finish()  # what was answered so far is not known, so nothing can be asked any more
            raise
        for (sql, _, _, place), result in zip(sent, results, strict=True):
            if result.status not in GOOD:
                self._fail(sql, result)
            place.append(result)
        self._result = results[-1]

    def _results(self) -> list[Any]:
        """Return the results of what was sent, in that order.

        :raises psycopg.OperationalError: When the connection is lost.
        """
        libpq, results = self._libpq, list[Any]()
        while True:
            while libpq.is_busy():
                self._wait()
            result = libpq.get_result()
            if result is None:  # the end of what one statement gave
                if libpq.status != ConnStatus.OK:
                    raise psycopg.OperationalError(libpq.get_error_message())
            elif result.status == ExecStatus.PIPELINE_SYNC:
                return results
            else:
                results.append(result)

    def _wait(self) -> None:
        """Wait until the server said something, while it is sent what it was not so far."""
        libpq = self._libpq
        while libpq.flush():
            both = select.poll()
            both.register(libpq.socket, select.POLLIN | select.POLLOUT)
            both.poll()
            libpq.consume_input()  # which sends as well, so that all may be answered and read after it
        if libpq.is_busy():
            self._answers.poll()
            libpq.consume_input()

    def _fail(self, sql: str, result: Any) -> NoReturn:
        self.failed = sql
        if self._libpq.status != ConnStatus.OK:
            raise psycopg.OperationalError(result.get_error_message())
        raise error_from_result(result)
