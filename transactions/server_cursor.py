"""Runs prepared statements of PostgreSQL by way of libpq, as psycopg's own cursor does in some sixty function calls."""

from collections.abc import Sequence
from typing import Any

import psycopg
from psycopg.adapt import PyFormat, Transformer
from psycopg.errors import error_from_result
from psycopg.pq import ConnStatus, ExecStatus

GOOD = (ExecStatus.COMMAND_OK, ExecStatus.TUPLES_OK)


class ServerCursor:
    """A cursor of one connection, whose every statement is prepared on the server the first time it is run.

    Statements have their values as ``$1``, ``$2``. Values and rows are converted as psycopg converts them, all as
    texts: so what type a value has is the server's to say, who knows the column.
    """

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self.connection = connection
        # It would tell the server to forget all prepared statements, these as well, whenever something is rolled back.
        connection.prepare_threshold = None
        self._libpq = connection.pgconn
        self._transformer = Transformer(connection)
        self._names: dict[str, bytes] = {}
        self._result: Any = None

    def execute(self, sql: str, values: Sequence[Any] = ()) -> None:
        """Run a statement.

        :raises psycopg.Error: When the server refuses it, or the connection is lost.
        """
        name = self._names.get(sql) or self._prepare(sql)
        texts: Any = self._transformer.dump_sequence(values, [PyFormat.TEXT] * len(values)) if values else ()
        result = self._result = self._libpq.exec_prepared(name, texts)
        if result.status not in GOOD:
            raise self._failure(result)

    def executemany(self, sql: str, several: Sequence[Sequence[Any]]) -> None:
        """Run a statement for each of several values, which psycopg sends all at once."""
        with psycopg.RawCursor(self.connection) as cursor:
            cursor.executemany(sql, several)

    def fetchall(self) -> list[tuple[Any, ...]]:
        """Return the rows of the last statement."""
        result, transformer = self._result, self._transformer
        transformer.set_pgresult(result)
        rows: list[tuple[Any, ...]] = transformer.load_rows(0, result.ntuples, tuple)
        return rows

    def _prepare(self, sql: str) -> bytes:
        name = b"authn_%d" % len(self._names)
        result = self._libpq.prepare(name, sql.encode())
        if result.status not in GOOD:
            raise self._failure(result)
        self._names[sql] = name
        return name

    def _failure(self, result: Any) -> psycopg.Error:
        if self._libpq.status != ConnStatus.OK:
            return psycopg.OperationalError(result.get_error_message())
        return error_from_result(result)
