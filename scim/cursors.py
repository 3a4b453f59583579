"""Cursors (RFC 9865): where the next page begins, sealed for one query of one organization."""

import hashlib
import json
from collections.abc import Sequence
from typing import Any

from scim2_models import InvalidCursorException, SearchRequest
from scim2_server.cursor import Cursors

from scim.provider import CURSOR_TIMEOUT_SECONDS
from scim.sorting import Position


class PageCursors:
    """Seals positions into cursors, and opens them again."""

    def __init__(self, secret: str) -> None:
        self._cursors = Cursors(secret)

    def seal(self, query: str, count: int | None, position: Position | None) -> str | None:
        """Return the cursor of a page, or None where there is no page."""
        return None if position is None else self._cursors.seal(query, count, position.to_json())

    def open(self, cursor: str, query: str, count: int | None) -> Position | None:
        """Return where the page of a cursor begins; None for the empty cursor, which asks for the first page.

        :raises InvalidCursorException: When the cursor is not of this query of this organization.
        :raises InvalidCountException: When it was given for another ``count``.
        :raises ExpiredCursorException: When it is older than a day.
        """
        if not cursor:
            return None
        if not cursor.isascii():
            raise InvalidCursorException
        return Position.of(self._cursors.open(cursor, query, count, CURSOR_TIMEOUT_SECONDS))


def query_of(organization_id: str, types: Sequence[str], expression: str | None, request: SearchRequest[Any]) -> str:
    """Return a digest of all that decides which resources a list has, and in which order."""
    sort_by = None if request.sort_by is None else str(request.sort_by).lower()
    parts = [organization_id, list(types), expression, sort_by, request.sort_order]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]
