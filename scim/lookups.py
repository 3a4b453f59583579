"""What identity providers ask all the time: who has this unique name, and everybody, page after page.

These lists are read off the query by a few rules and answered by prepared statements. They say what
``scim/searching.py`` would say, in a quarter of the time; every other list is left to it. A test compares both.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, bindparam, func, select
from sqlalchemy.orm import Session

from directory.directories import Directory
from directory.lists import find_length
from folding import fold
from models import DirectoryGroup, DirectoryUser
from prepared import Prepared
from scim.documents import render_list
from scim.places import PLACES
from scim.provider import DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE
from scim.reading import OF_DIRECTORY, WITH_GROUPS, directory_parameters, documents_of, user_with_groups

Fold = Callable[[str], str]


def _exactly(text: str) -> str:
    return text


# By resource type and name in small letters, what is unique among those that are not deleted.
UNIQUE: dict[tuple[str, str], tuple[Any, Fold]] = {
    ("User", "username"): (DirectoryUser.user_name_key, fold),
    ("User", "externalid"): (DirectoryUser.external_id, _exactly),
    ("User", "id"): (DirectoryUser.user_id, _exactly),
    ("Group", "displayname"): (DirectoryGroup.display_name_key, fold),
    ("Group", "externalid"): (DirectoryGroup.external_id, _exactly),
    ("Group", "id"): (DirectoryGroup.id, _exactly),
}
IDS: dict[str, Any] = {"User": DirectoryUser.user_id, "Group": DirectoryGroup.id}
EVERYBODY: dict[str, ColumnElement[bool]] = {
    "User": (DirectoryUser.organization_id == bindparam("organization")) & DirectoryUser.deleted_at.is_(None),
    "Group": DirectoryGroup.organization_id == bindparam("organization"),
}
FOUND = {
    (kind, name): Prepared((WITH_GROUPS if kind == "User" else OF_DIRECTORY[kind]).where(column == bindparam("value")))
    for (kind, name), (column, _) in UNIQUE.items()
}


def _page(resource_type: str) -> Any:
    query: Any = OF_DIRECTORY[resource_type].where(IDS[resource_type] > bindparam("after"))
    return query.order_by(IDS[resource_type]).limit(bindparam("count")).offset(bindparam("skipped"))


PAGES = {resource_type: Prepared(_page(resource_type)) for resource_type in IDS}
COUNTED = {
    resource_type: Prepared(select(func.count(IDS[resource_type])).where(those))
    for resource_type, those in EVERYBODY.items()
}

# ``userName eq "…"``, without escapes and what no database holds; of names as schemas have them, without a URN.
LOOK_UP = re.compile(r'\s*([A-Za-z]+)\s+eq\s+"([^"\\\x00-\x1f\ud800-\udfff]{1,512})"\s*', re.IGNORECASE)
NUMBER = re.compile(r"[0-9]{1,9}")
KNOWN = {"filter", "startIndex", "count", "attributes", "excludedAttributes", "sortBy", "sortOrder", "cursor"}
PLAIN = {"filter", "startIndex", "count"}


@dataclass(frozen=True)
class LookUp:
    """One who is looked for by a unique name; ``value`` is as it is compared."""

    name: tuple[str, str]
    value: str

    def answer(self, session: Session, directory: Directory, base_url: str) -> str:
        """Return the ListResponse."""
        named = {"organization": directory.organization_id, "value": self.value}
        kind, rows = self.name[0], FOUND[self.name].rows(session, named)
        documents = user_with_groups(rows) if kind == "User" else documents_of(session, directory, kind, rows, True)
        return render_list(documents, base_url, {kind: None}, totalResults=len(documents), startIndex=1)


@dataclass(frozen=True)
class PlainPage:
    """A page of everybody, in the order of their ids; ``start_index`` is 1-based."""

    resource_type: str
    start_index: int
    count: int

    def answer(self, session: Session, directory: Directory, base_url: str) -> str:
        """Return the ListResponse."""
        length = find_length(session, directory.organization_id, self.resource_type)
        rows = self._rows(session, directory, None if length is None else length[1])
        total = self._counted(session, directory) if length is None else length[0]
        documents = documents_of(session, directory, self.resource_type, rows, True, in_a_row=True)
        return render_list(
            documents, base_url, {self.resource_type: None}, totalResults=total, startIndex=self.start_index
        )

    def _rows(self, session: Session, directory: Directory, shifts: int | None) -> list[Any]:
        """Return the rows of the page, found from the nearest place before it whose holder is known."""
        places = None if shifts is None else PLACES.of(directory.organization_id, self.resource_type, shifts)
        wanted = self.start_index - 1
        place, after = (0, "") if places is None else places.nearest(wanted)
        named = {**directory_parameters(directory), "after": after, "count": self.count, "skipped": wanted - place}
        rows = PAGES[self.resource_type].rows(session, named)
        if rows and places is not None:
            places.note(wanted + len(rows), rows[-1][0])
        return rows

    def _counted(self, session: Session, directory: Directory) -> int:
        row = COUNTED[self.resource_type].row(session, directory_parameters(directory))
        return row[0] if row else 0


def plain_list_of(resource_type: str, query: Mapping[str, str]) -> LookUp | PlainPage | None:
    """Return the list that a query asks for, if it is one of these; None for any other, valid or not."""
    if (query.keys() & KNOWN) - PLAIN:
        return None
    start_index, count = _number(query, "startIndex", 1), _number(query, "count", DEFAULT_PAGE_SIZE)
    if not start_index or not count:
        return None
    if "filter" not in query:
        return PlainPage(resource_type, start_index, min(count, MAX_PAGE_SIZE))
    found = LOOK_UP.fullmatch(query["filter"])
    name = (resource_type, found[1].lower()) if found else None
    if found is None or name not in UNIQUE or start_index != 1:
        return None
    return LookUp(name, UNIQUE[name][1](found[2]))


def _number(query: Mapping[str, str], name: str, default: int) -> int | None:
    """Return a positive number; None for anything else."""
    text = query.get(name)
    if text is None:
        return default
    return int(text) if NUMBER.fullmatch(text) else None
