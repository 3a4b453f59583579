"""Many people at once: the rows that the product writes for one person, copied under other ids and names."""

import json
from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import Connection, Table, select, update
from sqlalchemy.orm import Session

from bench.measuring import VoidRun
from bench.sandbox import Sandbox
from bench.scim_works import GROUP, person
from database import db
from directory.lists import follow_lists
from ids import new_id
from models import Base, DirectoryList, DirectoryUser, EventSequence

# Rows that are inserted by one statement.
BATCH = 2000
TEMPLATE = "templateperson"

Rows = dict[Table, list[dict[str, Any]]]


def add_people(installation: Sandbox, token: str, size: int, *, first: int = 0) -> tuple[list[str], list[str]]:
    """Create a person by SCIM, then copies until there are ``size``, and return the ids and names of the copies.

    The last copy is read and changed by SCIM.

    :raises VoidRun: When that is not answered as for somebody whom SCIM created.
    """
    client = installation.app.test_client()
    headers = {"Authorization": f"Bearer {token}"}
    template = client.post("/scim/v2/Users", json=person(f"{TEMPLATE}{first}"), headers=headers)
    if template.status_code != 201:
        raise VoidRun(f"the first person was answered {template.status_code}: {template.text}")
    names = [f"p{number}" for number in range(first, first + size)]
    ids = [new_id("user") for _ in names]
    with db.unit_of_work() as session:
        _copy(session, template.json["id"], f"{TEMPLATE}{first}", list(zip(ids, names, strict=True)))
    with db.unit_of_work() as session:
        if session.get_bind().dialect.name == "postgresql":  # which does so by itself within a minute
            session.connection().exec_driver_sql("ANALYZE")
    _check(client, headers, template, ids[-1], names[-1])
    client.delete(f"/scim/v2/Users/{template.json['id']}", headers=headers)
    return ids, names


def add_group(installation: Sandbox, token: str, member_ids: Sequence[str]) -> str:
    """Create a group with these members by SCIM, and return its id.

    :raises VoidRun: When it is not created.
    """
    body = {"displayName": GROUP, "members": [{"value": id_} for id_ in member_ids]}
    headers = {"Authorization": f"Bearer {token}"}
    created = installation.app.test_client().post("/scim/v2/Groups", json=body, headers=headers)
    if created.status_code != 201:
        raise VoidRun(f"the group was answered {created.status_code}: {created.text[:500]}")
    id_: str = created.json["id"]
    return id_


def _check(client: Any, headers: dict[str, str], template: Any, id_: str, name: str) -> None:
    path = f"/scim/v2/Users/{id_}"
    text = client.get(path, headers=headers).text
    like_template = text.replace(id_, template.json["id"]).replace(name, template.json["userName"].split("@")[0])
    body = {"Operations": [{"op": "replace", "value": {"active": False}}]}
    patched = client.patch(path, json=body, headers=headers)
    found = client.get(f'/scim/v2/Users?filter=userName eq "{name}@acme.example"', headers=headers)
    if json.loads(like_template) != template.json or patched.status_code != 200 or found.json["totalResults"] != 1:
        raise VoidRun(f"a copied person is not like one that was created: {text}")
    body["Operations"][0]["value"] = {"active": True}
    client.patch(path, json=body, headers=headers)


def _copy(session: Session, template_id: str, template_name: str, people: Sequence[tuple[str, str]]) -> None:
    connection = session.connection()
    organization_id = session.scalars(select(DirectoryUser.organization_id).filter_by(user_id=template_id)).one()
    tables = [table for table in Base.metadata.sorted_tables if table is not DirectoryList.__table__]
    rows = {table: found for table in tables if (found := _rows_of(connection, table, template_id))}
    for start in range(0, len(people), BATCH):
        for table, templates in rows.items():
            batch = people[start : start + BATCH]
            copies = [copy for who in batch for copy in _copies(templates, (template_id, template_name), who)]
            if "sequence" in table.c:
                _number(connection, copies)
            connection.execute(table.insert(), copies)
    follow_lists(session, organization_id, [{"action": "created", "type": "User", "id": id_} for id_, _ in people])


def _rows_of(connection: Connection, table: Table, template_id: str) -> list[dict[str, Any]]:
    """Return the rows of a table that speak of the template."""
    rows = connection.execute(select(table).order_by(*table.primary_key.columns)).mappings()
    return [dict(row) for row in rows if template_id in json.dumps(dict(row))]


def _copies(rows: list[dict[str, Any]], template: tuple[str, str], who: tuple[str, str]) -> Iterator[dict[str, Any]]:
    """Return the rows of another person, each with an id of its own."""
    for row in rows:
        copy = {name: _renamed(value, template, who) for name, value in row.items()}
        own = str(copy.get("id", ""))
        if own and own != who[0]:
            fresh = new_id(own.partition("_")[0])
            copy = {name: _renamed(value, (own, own), (fresh, fresh)) for name, value in copy.items()}
        yield copy


def _renamed(value: Any, before: tuple[str, str], after: tuple[str, str]) -> Any:
    if isinstance(value, str):
        return value.replace(before[0], after[0]).replace(before[1], after[1])
    if isinstance(value, dict | list) and value:
        return json.loads(_renamed(json.dumps(value), before, after))
    return value


def _number(connection: Connection, events: list[dict[str, Any]]) -> None:
    """Give events the next numbers of their stream."""
    stream = events[0]["stream"]
    last = connection.scalar(select(EventSequence.last).where(EventSequence.stream == stream)) or 0
    for number, event in enumerate(events, last + 1):
        event["body"] = event["body"].replace(f'"sequence":{event["sequence"]}', f'"sequence":{number}')
        event["sequence"] = number
    connection.execute(update(EventSequence).where(EventSequence.stream == stream).values(last=last + len(events)))
