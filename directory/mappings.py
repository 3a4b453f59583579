"""The attribute mapping of a directory: read, and replaced."""

import json
from collections.abc import Collection
from typing import Any, NamedTuple

from sqlalchemy import bindparam, select
from sqlalchemy.orm import Session

from clock import now_ms
from directory.directories import ONLY_CONNECTION, Directory
from directory.mapping import Mapping, compile_mapping, compile_stored_mapping
from directory.mapping_applications import begin_application, restart_failed_application
from directory.roles import AskedRoles, Roles
from directory.rows import LOADED, loaded_row
from errors import NotAllowed, VersionMismatch
from models import AttributeMapping, DirectorySwitch, Organization, Role
from prepared import Asked, Prepared, Runner
from written import Row

# What may become of the people of a directory that is switched off.
KEEP, SUSPEND = "keep", "suspend"
DIRECTORY_IS_OFF = (
    "This directory is switched off, so nothing is read or changed. Switch it on again in Directory sync; "
    "then have the identity provider send everything again."
)

# A writer holds the organization's row lightly, so that who applies a new mapping can wait for those who go by the
# former one. PUT itself does not: where the IdP never pauses it might wait for long.
RULES_FOR_WRITERS = Prepared(
    select(
        AttributeMapping.mapping,
        ONLY_CONNECTION.scalar_subquery(),
        DirectorySwitch.disabled_at,
        Organization.deleted_at,
        *LOADED[Role],
    )
    .select_from(Organization)
    .outerjoin(AttributeMapping, AttributeMapping.organization_id == Organization.id)
    .outerjoin(DirectorySwitch, DirectorySwitch.organization_id == Organization.id)
    .outerjoin(Role, Role.is_default.is_(True))
    .where(Organization.id == bindparam("organization"))
    .with_for_update(read=True, key_share=True, of=Organization)
)
# Under this key of ``session.info`` stand the rules that the transaction has read.
RULES = "directory_rules"


class Rules(NamedTuple):
    """What decides about the people of a directory: as it is when a transaction that writes begins with it."""

    mapping: Mapping
    connection_id: str | None
    roles: Roles
    is_off: bool


def find_mapping_override(session: Session, organization_id: str) -> AttributeMapping | None:
    """Return what an organization overrides of the default mapping, or None."""
    return session.get(AttributeMapping, organization_id)


def read_mapping(session: Session, organization_id: str) -> Mapping:
    """Return the effective mapping of an organization: the defaults under its override."""
    override = find_mapping_override(session, organization_id)
    return compile_stored_mapping(override.mapping if override else {})


def load_rules(session: Session, directory: Directory, *, while_off: bool = False) -> Rules:
    """Return the rules of a directory, for a transaction that writes by them; the mapping stays until it ends.

    They are read once in a transaction. One with savepoints reads them before
    the first, since what is locked in a savepoint is free again when that is undone.

    :param while_off: Whether the caller writes while the directory is switched off as well: it is not the IdP.
    :raises NotAllowed: When the directory was switched off, or the organization deleted, since the caller was let in.
    """
    known: dict[tuple[str, str | None], Rules] = session.info.setdefault(RULES, {})
    by = directory.organization_id, directory.enterprise_connection_id
    rules = known.get(by)
    if rules is None:
        override, connection_id, disabled_at, deleted_at, *role = _read_rules(session, directory)
        rules = known[by] = Rules(
            mapping=compile_stored_mapping(override or {}),
            connection_id=directory.enterprise_connection_id or connection_id,
            roles=AskedRoles(session, None if role[0] is None else loaded_row(Role, role)),
            is_off=(disabled_at, deleted_at) != (None, None),
        )
    if rules.is_off and not while_off:
        raise directory_is_off()
    return rules


def ask_rules(session: Session, directory: Directory) -> None:
    """Ask for the rules of a directory, if they are not known, ahead of ``load_rules``; see ``Asked``."""
    if not (session.info.get(RULES) or (RULES, directory.organization_id) in (Runner.of(session).known or ())):
        session.info[RULES, directory.organization_id] = _ask(session, directory)


def _read_rules(session: Session, directory: Directory) -> Row:
    """Return the row of the rules, as whoever went before in the same transaction has read it, if anybody did."""
    known, key = Runner.of(session).known, (RULES, directory.organization_id)
    if known is not None and key in known:
        read: Row = known[key]
        return read
    [row] = (session.info.pop(key, None) or _ask(session, directory)).rows()
    if known is not None:
        known[key] = row
    return row


def _ask(session: Session, directory: Directory) -> Asked:
    session.flush()  # prepared statements do not see to that themselves
    return RULES_FOR_WRITERS.ask(session, {"organization": directory.organization_id})


def load_mapping(session: Session, organization_id: str, *, while_off: bool = False) -> Mapping:
    """Return the effective mapping of an organization, as ``load_rules`` does."""
    return load_rules(session, Directory(organization_id), while_off=while_off).mapping


def directory_is_off() -> NotAllowed:
    """Return the refusal of an IdP whose organization switched the directory off."""
    return NotAllowed(DIRECTORY_IS_OFF, code="directory_disabled")


def hold_suspension(session: Session, organization_id: str) -> bool:
    """Tell whether the directory is off with its people suspended; that stays so until the transaction ends."""
    switch = session.get(DirectorySwitch, organization_id, with_for_update={"key_share": True}, populate_existing=True)
    return switch is not None and switch.disabled_at is not None and switch.people == SUSPEND


def await_former_mapping(session: Session, organization_id: str) -> None:
    """Wait for the transactions that write by a mapping that was replaced, and keep new ones until this one ends."""
    session.execute(select(Organization.id).where(Organization.id == organization_id).with_for_update())


def replace_mapping(
    session: Session, organization_id: str, mapping: dict[str, Any], *, of_versions: Collection[int] | None = None
) -> AttributeMapping | None:
    """Replace the override of an organization, and have it applied to everybody; an empty one brings the defaults back.

    It is used for every write of the IdP from now on. The mapping that is there
    already changes nothing; where applying it failed, it is tried again.

    :param of_versions: The versions of which one is to be replaced, and no other; 0 where there never was an override.
    :return: The override, or None where there never was one.
    :raises InvalidInput: When an entry cannot work; nothing is saved then.
    :raises VersionMismatch: When the mapping is none of those versions any more.
    """
    compile_mapping(mapping)
    session.get_one(Organization, organization_id, with_for_update={"key_share": True})
    override = session.get(AttributeMapping, organization_id, populate_existing=True)
    if of_versions is not None and (override.version if override else 0) not in of_versions:
        raise VersionMismatch(
            "The mapping was changed since you read it.",
            long_message="Read it again, see what was changed, and send your change with the new ETag in If-Match.",
        )
    # As text: the order of the entries means something.
    if json.dumps(mapping) == json.dumps(override.mapping if override else {}):
        restart_failed_application(session, organization_id)
        return override
    if override is None:
        override = AttributeMapping(organization_id=organization_id, mapping=mapping, version=1, updated_at=now_ms())
        session.add(override)
    else:
        override.mapping, override.version, override.updated_at = mapping, override.version + 1, now_ms()
    session.flush()
    begin_application(session, organization_id, override.version)
    return override
