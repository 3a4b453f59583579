"""Reading stored resources by id, always within one organization. ``scim/searching.py`` finds the ids of a list."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from scim2_models import NotFoundException
from sqlalchemy import Select, bindparam, func, select
from sqlalchemy.orm import Session

from directory.directories import Directory
from models import DirectoryGroup, DirectoryGroupMember, DirectoryUser
from prepared import Asked, Prepared
from scim.documents import NOTHING, StoredDocument

# Of a larger group, the answer to a write leaves the members out: an IdP that adds one must not be sent all of them.
MAX_MEMBERS_ANSWERED = 200

# id, text, version, created, last modified
Rows = Select[str, str, int, int, int]

# Every read passes here, so its statements are built once.
SELECTED: dict[str, Rows] = {
    "User": select(
        DirectoryUser.user_id.label("id"),
        DirectoryUser.document,
        DirectoryUser.version,
        DirectoryUser.created_at,
        DirectoryUser.last_modified_at,
    ).where(DirectoryUser.deleted_at.is_(None)),
    "Group": select(
        DirectoryGroup.id,
        DirectoryGroup.document,
        DirectoryGroup.version,
        DirectoryGroup.created_at,
        DirectoryGroup.last_modified_at,
    ),
}
# Those of one directory; which one is told when they are executed.
OF_DIRECTORY: dict[str, Rows] = {
    "User": SELECTED["User"].where(DirectoryUser.organization_id == bindparam("organization")),
    "Group": SELECTED["Group"].where(DirectoryGroup.organization_id == bindparam("organization")),
}
ONE: dict[str, Rows] = {
    "User": OF_DIRECTORY["User"].where(DirectoryUser.user_id == bindparam("resource")),
    "Group": OF_DIRECTORY["Group"].where(DirectoryGroup.id == bindparam("resource")),
}
BY_ID = {resource_type: Prepared(query) for resource_type, query in ONE.items()}
BY_ID_LOCKED = {resource_type: Prepared(query.with_for_update(key_share=True)) for resource_type, query in ONE.items()}
ALL_GROUPS = (
    select(DirectoryGroupMember.user_id, DirectoryGroup.id, DirectoryGroup.display_name)
    .join(
        DirectoryGroup,
        (DirectoryGroup.organization_id == DirectoryGroupMember.organization_id)
        & (DirectoryGroup.id == DirectoryGroupMember.group_id),
    )
    .where(DirectoryGroupMember.organization_id == bindparam("organization"))
    .order_by(DirectoryGroupMember.joined_at, DirectoryGroup.id)
)
GROUPS = ALL_GROUPS.where(DirectoryGroupMember.user_id.in_(bindparam("ids", expanding=True)))
GROUPS_IN_A_ROW = Prepared(
    ALL_GROUPS.where(DirectoryGroupMember.user_id.between(bindparam("first"), bindparam("last")))
)
GROUPS_OF_ONE = Prepared(ALL_GROUPS.where(DirectoryGroupMember.user_id == bindparam("id")))
# A user and the groups, in a row for each group; where there is none, one row with nothing of a group.
WITH_GROUPS: Any = (
    OF_DIRECTORY["User"]
    .add_columns(DirectoryGroupMember.joined_at, DirectoryGroup.id, DirectoryGroup.display_name)
    .outerjoin(
        DirectoryGroupMember,
        (DirectoryGroupMember.organization_id == DirectoryUser.organization_id)
        & (DirectoryGroupMember.user_id == DirectoryUser.user_id),
    )
    .outerjoin(
        DirectoryGroup,
        (DirectoryGroup.organization_id == DirectoryGroupMember.organization_id)
        & (DirectoryGroup.id == DirectoryGroupMember.group_id),
    )
)
USER_WITH_GROUPS = Prepared(WITH_GROUPS.where(DirectoryUser.user_id == bindparam("resource")))
ALL_MEMBERS = (
    select(
        DirectoryGroupMember.group_id,
        DirectoryGroupMember.user_id,
        func.coalesce(DirectoryGroupMember.display, DirectoryUser.display_name, DirectoryUser.user_name),
    )
    .join(
        DirectoryUser,
        (DirectoryUser.organization_id == DirectoryGroupMember.organization_id)
        & (DirectoryUser.user_id == DirectoryGroupMember.user_id),
    )
    .where(DirectoryGroupMember.organization_id == bindparam("organization"))
    .order_by(DirectoryGroupMember.group_id, DirectoryGroupMember.user_id)
)
MEMBERS = ALL_MEMBERS.where(DirectoryGroupMember.group_id.in_(bindparam("ids", expanding=True)))
FEW_MEMBERS = Prepared(
    ALL_MEMBERS.where(DirectoryGroupMember.group_id == bindparam("id")).limit(MAX_MEMBERS_ANSWERED + 1)
)


def get_document(
    session: Session,
    directory: Directory,
    resource_type: str,
    resource_id: str,
    *,
    computed: bool = True,
    lock: bool = False,
) -> StoredDocument:
    """Return one stored resource; without its groups or members when ``computed`` is false.

    With ``lock`` its row is held until the end of the transaction, so that what
    is written next rests on what was read.

    :raises NotFoundException: When the directory has none of this type and id.
    """
    session.flush()  # statements on the connection do not see to that themselves
    named = {"organization": directory.organization_id, "resource": resource_id}
    if resource_type == "User" and computed and not lock:
        documents = user_with_groups(USER_WITH_GROUPS.rows(session, named))
    else:
        query = BY_ID_LOCKED[resource_type] if lock else BY_ID[resource_type]
        documents = documents_of(session, directory, resource_type, query.rows(session, named), computed)
    if not documents:
        raise NotFoundException(detail=f"{resource_type} {resource_id[:64]!r} was not found in this directory.")
    return documents[0]


def user_with_groups(rows: Sequence[Any]) -> list[StoredDocument]:
    """Return the one user that the rows of a query of ``WITH_GROUPS`` are about, if there is one."""
    if not rows:
        return []
    id_, text, version, created, modified, *_ = rows[0]
    joined = sorted(row[5:] for row in rows if row[6] is not None)
    computed = {"groups": [_group(group_id, name) for _, group_id, name in joined]} if joined else NOTHING
    return [StoredDocument("User", id_, text, version, created, modified, computed)]


def with_members(session: Session, directory: Directory, document: StoredDocument) -> StoredDocument:
    """Return a Group that was just written with all its members."""
    members = _members(session, directory, [document.id])
    return document.showing({"members": members[document.id]}) if members else document


def with_few_members(session: Session, directory: Directory, document: StoredDocument) -> StoredDocument:
    """Return a Group that was just written with its members; without any, if it has more than a few."""
    rows = FEW_MEMBERS.rows(session, {"organization": directory.organization_id, "id": document.id})
    if not 0 < len(rows) <= MAX_MEMBERS_ANSWERED:
        return document
    return document.showing({"members": [_member(user_id, name) for _, user_id, name in rows]})


def ask_groups(session: Session, directory: Directory, user_id: str) -> Asked:
    """Ask for the groups of a User, for ``with_groups``; see ``Asked``."""
    statement, values = groups_question(directory, user_id)
    return statement.ask(session, values)


def groups_question(directory: Directory, user_id: str) -> tuple[Prepared, dict[str, Any]]:
    """Return what ``ask_groups`` asks."""
    return GROUPS_OF_ONE, {"organization": directory.organization_id, "id": user_id}


def with_groups(document: StoredDocument, asked: Asked) -> StoredDocument:
    """Return a User that was just written with its groups, in the order of joining."""
    groups = [_group(group_id, name) for _, group_id, name in asked.rows()]
    return document.showing({"groups": groups}) if groups else document


def load_documents(
    session: Session, directory: Directory, keys: Sequence[tuple[str, str]], *, computed: bool
) -> list[StoredDocument]:
    """Return stored resources by type and id, in the given order."""
    found: dict[tuple[str, str], StoredDocument] = {}
    for resource_type in dict.fromkeys(resource_type for resource_type, _ in keys):
        ids = [id_ for of_type, id_ in keys if of_type == resource_type]
        query = OF_DIRECTORY[resource_type].where(_id_column(resource_type).in_(ids))
        rows = session.execute(query, directory_parameters(directory)).all()
        for document in documents_of(session, directory, resource_type, rows, computed):
            found[resource_type, document.id] = document
    return [found[key] for key in keys]


def _id_column(resource_type: str) -> Any:
    return DirectoryUser.user_id if resource_type == "User" else DirectoryGroup.id


def directory_parameters(directory: Directory) -> dict[str, Any]:
    """Return the parameters that a query of ``OF_DIRECTORY`` is executed with."""
    return {"organization": directory.organization_id}


def documents_of(
    session: Session,
    directory: Directory,
    resource_type: str,
    rows: Sequence[Any],
    computed: bool,
    *,
    in_a_row: bool = False,
) -> list[StoredDocument]:
    """Return the resources of rows that begin with the columns of ``OF_DIRECTORY``.

    ``in_a_row`` tells that they are in the order of their ids, and all of the directory that are between them.
    """
    ids = [row[0] for row in rows]
    name, items = "groups" if resource_type == "User" else "members", {}
    if ids and computed:
        is_user = resource_type == "User"
        items = _groups(session, directory, ids, in_a_row) if is_user else _members(session, directory, ids)
    return [
        StoredDocument(
            resource_type, id_, text, version, created, modified, {name: items[id_]} if id_ in items else NOTHING
        )
        for id_, text, version, created, modified, *_ in rows
    ]


def _groups(
    session: Session, directory: Directory, user_ids: Sequence[str], in_a_row: bool = False
) -> dict[str, list[dict[str, Any]]]:
    """Return the ``groups`` of users (RFC 7643 §4.1.2), in the order of joining."""
    organization, groups = directory.organization_id, defaultdict(list)
    rows: Iterable[Any]
    if len(user_ids) == 1:
        rows = GROUPS_OF_ONE.rows(session, {"organization": organization, "id": user_ids[0]})
    elif in_a_row:
        row = {"organization": organization, "first": user_ids[0], "last": user_ids[-1]}
        rows = GROUPS_IN_A_ROW.rows(session, row)
    else:
        rows = session.connection().execute(GROUPS, {"organization": organization, "ids": user_ids})
    for user_id, group_id, name in rows:
        groups[user_id].append(_group(group_id, name))
    return groups


def _group(group_id: str, name: str) -> dict[str, Any]:
    return {"value": group_id, "$ref": f"Groups/{group_id}", "display": name, "type": "direct"}


def _members(session: Session, directory: Directory, group_ids: Sequence[str]) -> dict[str, list[dict[str, Any]]]:
    """Return the ``members`` of groups (RFC 7643 §4.2), in the order of their ids."""
    named = {"organization": directory.organization_id, "ids": group_ids}
    members = defaultdict(list)
    for group_id, user_id, name in session.connection().execute(MEMBERS, named):
        members[group_id].append(_member(user_id, name))
    return members


def _member(user_id: str, name: str) -> dict[str, Any]:
    return {"value": user_id, "$ref": f"Users/{user_id}", "type": "User", "display": name}
