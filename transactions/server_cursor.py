"""Runs prepared statements of PostgreSQL by way of libpq, as psycopg's own cursor does in some sixty function calls.

A statement of whose result nobody asks waits for the next one of which somebody does, and is sent with it, all in one
round trip (libpq's pipeline mode). What the server does with them, and in which order, is the same. It refuses one
that waits at the latest at the end of the transaction, and what follows one that was refused it does not run.
"""

import select
from collections.abc import Sequence
from typing import Any, NoReturn

import psycopg
from psycopg.adapt import PyFormat, Transformer
from psycopg.errors import error_from_result
from psycopg.pq import ConnStatus, ExecStatus
from psycopg.types.json import set_json_loads

from json_text import read_compact

GOOD = (ExecStatus.COMMAND_OK, ExecStatus.TUPLES_OK)
BEGIN, COMMIT, SAVEPOINT = "BEGIN", "COMMIT", "SAVEPOINT"
# As many wait at most: their values are in memory.
WAITING_AT_MOST = 256


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
        # What the transaction knows of rows that it holds, for those who go on with it, until anything is rolled back.
        self.known: dict[Any, Any] = {}
        # The statement that failed last.
        self.failed: str | None = None
        self._answers = select.poll()
        self._answers.register(self._libpq.socket, select.POLLIN)

    def begin(self, sql: str, _values: Sequence[Any] = ()) -> None:
        """Begin a transaction with a statement: from now on statements wait."""
        self._in_transaction = True
        self.execute_later(sql)

    def commit(self) -> None:
        """Send what waits, and end the transaction.

        :raises psycopg.Error: When the server refuses something of it; ``rollback`` has to follow.
        """
        if self._in_transaction and not self._is_unheard_of():
            self.execute(COMMIT)
            if self._result.command_status != COMMIT.encode():
                raise psycopg.OperationalError("the transaction had failed, and was rolled back")
        self.end()

    def _is_unheard_of(self) -> bool:
        """Tell whether the server does not know of the transaction, in which nothing was done so far."""
        return len(self._waiting) == 1 and self._waiting[0][0] == BEGIN

    def rollback(self) -> None:
        """End the transaction, if there is one, and leave nothing of it."""
        self.end()
        self.connection.rollback()

    def end(self) -> None:
        """Leave all that waits: the transaction is over."""
        self._in_transaction = False
        self._waiting.clear()
        self.known.clear()

    def forget(self) -> None:
        """Leave what waits since the last savepoint, to which the transaction is rolled back."""
        self.known.clear()
        while self._waiting and not self._waiting[-1][0].startswith(SAVEPOINT):
            del self._waiting[-1]

    def execute(self, sql: str, values: Sequence[Any] = ()) -> None:
        """Run a statement, after those that wait.

        :raises psycopg.Error: When the server refuses it or one of those, or the connection is lost.
        """
        name, texts = self._names.get(sql) or self._prepare(sql), self._texts(values)
        if self._waiting:
            self._waiting.append((sql, name, texts, []))
            self._send()
            return
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
