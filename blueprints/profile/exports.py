"""Exports as streams: CSV that no spreadsheet runs, and JSON lines. A row at a time, so that they may be long."""

import csv
import io
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from flask import Response, stream_with_context

# A spreadsheet takes a cell that begins so for a formula, and runs it.
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
# Where a semicolon separates cells, as in much of Europe, quotes do not hold a cell together: one begins after these.
INNER_FORMULA = re.compile("(?s)(?<=.)([;\t\r\n][ \"']*)(?=[=+\\-@\uff1d\uff0b\uff0d\uff20])")

Row = Sequence[Any]


def harmless(value: Any) -> str:
    """Return a cell as text; an apostrophe keeps what looks like a formula from being one, inside of it too."""
    text = INNER_FORMULA.sub(r"\1'", "" if value is None else str(value))
    return f"'{text}" if text.lstrip(" ").startswith(FORMULA) else text


def csv_lines(headings: Sequence[str], rows: Iterable[Row]) -> Iterator[str]:
    """Yield the lines of a CSV file (RFC 4180), the first of them the headings, with a byte order mark for Excel."""
    yield "\ufeff" + _line(headings)
    for row in rows:
        yield _line([harmless(cell) for cell in row])


def _line(cells: Sequence[str]) -> str:
    buffer = io.StringIO()
    csv.writer(buffer).writerow(cells)
    return buffer.getvalue()


def json_lines(objects: Iterable[dict[str, Any]]) -> Iterator[str]:
    """Yield one JSON object for each line."""
    for item in objects:
        yield json.dumps(item, ensure_ascii=False) + "\n"


def download(lines: Iterator[str], name: str, mimetype: str) -> Response:
    """Return a file that is made while it is sent, and kept by nobody on the way."""
    response = Response(stream_with_context(_in_blocks(lines)), mimetype=mimetype)
    response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    response.headers["Cache-Control"] = "no-store"
    return response


def _in_blocks(lines: Iterator[str]) -> Iterator[bytes]:
    """Yield some hundred lines at a time; one by one they would be as many packets."""
    block: list[str] = []
    for line in lines:
        block.append(line)
        if len(block) == 200:
            yield "".join(block).encode("utf-8", "replace")
            block = []
    yield "".join(block).encode("utf-8", "replace")
