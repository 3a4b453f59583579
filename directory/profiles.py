"""Writing what the mapping gives into a person's profile, and saying what changed."""

from copy import deepcopy
from typing import Any

from sqlalchemy import exists, select
from sqlalchemy.orm import Session

from clock import now_ms
from directory.directories import Directory
from directory.linking import is_claimed_elsewhere, is_member_elsewhere, may_write_profile
from directory.mapping import Mapped
from folding import fold
from models import User

Changes = dict[str, dict[str, Any]]

PLAIN_FIELDS = ("external_id", "first_name", "last_name", "username")


def write_profile(session: Session, directory: Directory, user: User, mapped: Mapped, *, active: bool) -> Changes:
    """Write the mapped profile, if this directory manages the person; ``active`` tells whether the person is in it now.

    A directory that let somebody go has no say any more once others have the person.

    :return: What changed, as ``{field: {"from": old, "to": new}}``.
    """
    if not may_write_profile(directory, user):
        return {}
    if not active and is_member_elsewhere(session, user.id, directory.organization_id):
        return {}
    changes: Changes = {}
    for name in PLAIN_FIELDS:
        if name in mapped.fields:  # what the mapping could not decide stays
            _set(user, name, mapped.fields[name], changes)
    if "email_address" in mapped.fields:
        _write_email(session, directory, user, mapped.fields["email_address"], changes)
    _set(user, "public_metadata", merged_metadata(user.public_metadata, mapped), changes)
    if changes:
        user.updated_at = now_ms()
    return changes


def _set(user: User, name: str, value: Any, changes: Changes) -> None:
    before = getattr(user, name)
    if before != value:
        changes[name] = {"from": before, "to": value}
        setattr(user, name, value)


def _write_email(session: Session, directory: Directory, user: User, address: str | None, changes: Changes) -> None:
    """Write the e-mail address, unless that would touch somebody elsewhere.

    The address is how the product recognises a person, so a directory may not
    change it for somebody whom another organization has too, and may
    not claim an address that another person has. Neither fails the request: the
    IdP must not learn who exists elsewhere, and the person must not lose access.
    """
    key = fold(address) if address else None
    if key == user.email_key:
        _set(user, "email_address", address, changes)
        return
    shared = user.email_key is not None and is_claimed_elsewhere(session, user.id, directory.organization_id)
    taken = key is not None and session.scalar(select(exists().where(User.email_key == key, User.id != user.id)))
    if shared or taken:
        directory.warn("The person keeps the former e-mail address: a directory cannot give away this one alone.")
        return
    _set(user, "email_address", address, changes)
    user.email_key = key


def merged_metadata(current: dict[str, Any], mapped: Mapped) -> dict[str, Any]:
    """Return the public metadata with the mapping's own paths brought up to date, and every other path left alone."""
    merged = deepcopy(current)
    for path in mapped.metadata_paths:
        _remove(merged, path.split("."))
    _merge(merged, mapped.public_metadata)
    return merged


def _remove(tree: dict[str, Any], path: list[str]) -> None:
    """Remove one path, and what became empty above it."""
    head, rest = path[0], path[1:]
    if not rest:
        tree.pop(head, None)
    elif isinstance(tree.get(head), dict):
        _remove(tree[head], rest)
        if not tree[head]:
            del tree[head]


def _merge(target: dict[str, Any], source: dict[str, Any]) -> None:
    for key, value in source.items():
        if isinstance(value, dict) and isinstance(target.get(key), dict):
            _merge(target[key], value)
        else:
            target[key] = value
