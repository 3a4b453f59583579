"""What a directory has really received: somebody to show examples of, and the paths that lead to something."""

import json
from collections.abc import Iterator
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from directory.known_attributes import CORE, CORE_USER
from directory.mapping_people import Person, find_person
from directory.paths import OWN_ATTRIBUTE, check_spelling, parse_path
from directory.resources import load
from directory.syntax import SyntaxProblem
from folding import fold
from models import DirectoryActivity, DirectoryGroup, DirectoryUser

# How much is looked at for examples and suggestions, and how much is suggested.
RECENT_REQUESTS = 50
RECENT_PEOPLE = 20
SHOWN_GROUPS = 50
SUGGESTED_PATHS = 120
MAX_DEPTH = 4

# Of an entry of a list these say which one it is, and are nothing to map.
_MARKS = frozenset({"type", "primary", "display", "$ref"})


def find_example_person(session: Session, organization_id: str, user_name: str | None = None) -> Person | None:
    """Return the person of a user name; without one, whoever was received last; None where there is nobody."""
    if user_name:
        query = select(DirectoryUser.user_id).where(
            DirectoryUser.organization_id == organization_id,
            DirectoryUser.user_name_key == fold(user_name),
            DirectoryUser.deleted_at.is_(None),
        )
        user_id = session.scalar(query)
        return find_person(session, organization_id, user_id) if user_id else None
    for user_id in _latest_people(session, organization_id):
        person = find_person(session, organization_id, user_id)
        if person is not None:
            return person
    return None


def _latest_people(session: Session, organization_id: str) -> Iterator[str]:
    """Yield the ids of people, those first about whom the IdP wrote last."""
    requests = (
        select(DirectoryActivity.target_type, DirectoryActivity.target_id)
        .where(DirectoryActivity.organization_id == organization_id)
        .order_by(DirectoryActivity.id.desc())
        .limit(RECENT_REQUESTS)
    )
    about = session.execute(requests).all()
    yield from [user_id for kind, user_id in about if kind == "User" and user_id][:1]
    yield from session.scalars(_newest(organization_id, 1).with_only_columns(DirectoryUser.user_id)).all()


def _newest(organization_id: str, limit: int) -> Any:
    return (
        select(DirectoryUser)
        .where(DirectoryUser.organization_id == organization_id, DirectoryUser.deleted_at.is_(None))
        .order_by(DirectoryUser.user_id.desc())
        .limit(limit)
    )


def list_group_names(session: Session, organization_id: str) -> list[str]:
    """Return the names of the first groups that were pushed, in their order."""
    query = (
        select(DirectoryGroup.display_name)
        .where(DirectoryGroup.organization_id == organization_id)
        .order_by(DirectoryGroup.display_name_key)
        .limit(SHOWN_GROUPS)
    )
    return list(session.scalars(query))


def list_received_paths(session: Session, organization_id: str) -> list[str]:
    """Return paths that lead to something in what the IdP sent lately, as a mapping takes them, most common first."""
    paths: dict[str, None] = {}
    for row in session.scalars(_newest(organization_id, RECENT_PEOPLE)).all():
        document = {**load(row.document), **({"groups": row.sent_groups} if row.sent_groups else {})}
        paths |= dict.fromkeys(path for path in _paths_in(document) if path)
    groups = list_group_names(session, organization_id)
    if groups:
        paths["groups[*].value"] = None
        paths |= dict.fromkeys(group_path(name) for name in groups)
    return list(paths)[:SUGGESTED_PATHS]


def group_path(name: str) -> str:
    """Return the path that finds one pushed group by its name."""
    return f"groups[display eq {json.dumps(name, ensure_ascii=False)}].value"


def _paths_in(document: dict[str, Any]) -> Iterator[str]:
    for name, value in document.items():
        if name == "schemas" or name.startswith("$"):
            continue
        if name[:4].lower() == "urn:" and isinstance(value, dict):
            for inner, item in value.items():
                yield from _usable(_below(f"{name}:{inner}", item, MAX_DEPTH))
        else:
            yield from _usable(_below(name, value, MAX_DEPTH))


def _below(path: str, value: Any, depth: int) -> Iterator[str]:
    if depth == 0 or value in (None, "", [], {}):
        return
    if isinstance(value, dict):
        for name, item in value.items():
            if not name.startswith("$"):
                yield from _below(f"{path}.{name}", item, depth - 1)
    elif isinstance(value, list):
        yield from _in_list(path, value)
    else:
        yield path


def _in_list(path: str, elements: list[Any]) -> Iterator[str]:
    for element in elements[:10]:
        if not isinstance(element, dict):
            yield f"{path}[*]"
            continue
        names = [name for name, item in element.items() if name not in _MARKS and item not in (None, "", [], {})]
        kind = element.get("type")
        for name in names:
            if path == "emails" and element.get("primary") is True:
                yield f"{path}[primary eq true].{name}"
            if isinstance(kind, str):
                yield f"{path}[type eq {json.dumps(kind, ensure_ascii=False)}].{name}"
            yield f"{path}[*].{name}"


def _usable(paths: Iterator[str]) -> Iterator[str]:
    """Yield those of the paths that a mapping takes, one that is nearly a standard one with the core schema's name."""
    for path in paths:
        for spelling in (path, OWN_ATTRIBUTE + path):
            try:
                check_spelling(parse_path(spelling))
            except SyntaxProblem:
                continue
            yield spelling
            break


def standard_paths() -> list[str]:
    """Return the paths of the standard that are asked for most, for a directory that has received nothing yet."""
    enterprise = CORE_USER.replace("core", "extension:enterprise")
    plain = [CORE[name][0] for name in ("username", "displayname", "title", "usertype", "locale", "timezone")]
    return [
        *plain,
        "groups[*].value",
        'phoneNumbers[type eq "work"].value',
        *(f"{enterprise}:{name}" for name in ("department", "employeeNumber", "costCenter", "manager.value")),
    ]
