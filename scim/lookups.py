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
from folding import fold
from models import DirectoryGroup, DirectoryUser
from prepared import Prepared
from scim.documents import render_list
from scim.provider import DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE
from scim.reading import OF_DIRECTORY, directory_parameters, documents_of

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
    name: Prepared(OF_DIRECTORY[name[0]].where(column == bindparam("value"))) for name, (column, _) in UNIQUE.items()
}


def _page(resource_type: str) -> Any:
    query: Any = OF_DIRECTORY[resource_type]
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
        rows = FOUND[self.name].rows(session, named)
        documents = documents_of(session, directory, self.name[0], rows, True)
        return render_list(documents, base_url, {self.name[0]: None}, totalResults=len(rows), startIndex=1)


@dataclass(frozen=True)
class PlainPage:
    """A page of everybody, in the order of their ids; ``start_index`` is 1-based."""

    resource_type: str
    start_index: int
    count: int

    def answer(self, session: Session, directory: Directory, base_url: str) -> str:
        """Return the ListResponse."""
        named = {**directory_parameters(directory), "count": self.count, "skipped": self.start_index - 1}
        rows = PAGES[self.resource_type].rows(session, named)
        total = len(rows)
        if self.start_index > 1 or total == self.count:
            total = (COUNTED[self.resource_type].row(session, directory_parameters(directory)) or (0,))[0]
        documents = documents_of(session, directory, self.resource_type, rows, True, in_a_row=True)
        return render_list(
            documents, base_url, {self.resource_type: None}, totalResults=total, startIndex=self.start_index
        )


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
