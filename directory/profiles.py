"""What the mapping makes of a person's profile, and saying what changed.

What is decided is decided by pure functions over ``Profile``, so that a preview
says what a write would do.
"""

from copy import deepcopy
from dataclasses import dataclass, replace
from operator import itemgetter
from typing import Any, NamedTuple, Protocol

from sqlalchemy import exists, select
from sqlalchemy.orm import Session

from clock import now_ms
from directory.directories import Directory
from directory.linking import is_claimed_elsewhere
from directory.mapping import Mapped
from directory.rows import is_plain, write_row
from folding import fold
from models import User
from organizations.users import is_member_elsewhere

Changes = dict[str, dict[str, Any]]

PLAIN_FIELDS = ("external_id", "first_name", "last_name", "username")
SHOWN_FIELDS = (*PLAIN_FIELDS, "email_address", "public_metadata")


@dataclass
class Profile:
    """What a directory writes of a person, and which organization's directory that is.

    ``directory_metadata_paths`` (``a.b``) are the places in ``public_metadata``
    that were written by the directory.
    """

    external_id: str | None
    first_name: str | None
    last_name: str | None
    username: str | None
    email_address: str | None
    email_key: str | None
    public_metadata: dict[str, Any]
    directory_metadata_paths: list[str]
    managed_by_organization_id: str | None

    @classmethod
    def of(cls, user: User) -> "Profile":
        """Return the profile of a person as it is stored."""
        columns = _columns_of(user.__dict__) if is_plain(user) else [getattr(user, name) for name in COLUMNS]
        return cls(*columns)

    def changes_to(self, other: "Profile") -> Changes:
        """Return what changes on the way to another profile, as ``{field: {"from": old, "to": new}}``."""
        if self is other:
            return {}
        before, after = vars(self), vars(other)
        return {name: {"from": before[name], "to": after[name]} for name in SHOWN_FIELDS if before[name] != after[name]}

    def store(self, session: Session, user: User, **columns: Any) -> None:
        """Write what differs into the person's row, and other columns with it."""
        write_row(session, user, **vars(self), **columns)


COLUMNS = tuple(Profile.__dataclass_fields__)
_columns_of = itemgetter(*COLUMNS)


class Elsewhere(Protocol):
    """What has to be known about others before a person's profile is written."""

    def is_member(self, user_id: str) -> bool:
        """Tell whether a person is an active member of another organization."""

    def is_claimed(self, user_id: str) -> bool:
        """Tell whether another organization has a person, as a member or in its directory."""

    def has_address(self, email_key: str, user_id: str) -> bool:
        """Tell whether somebody else than this person has an e-mail address."""


class AskedElsewhere(NamedTuple):
    """Asks the database, each time."""

    session: Session
    organization_id: str

    def is_member(self, user_id: str) -> bool:
        """See ``Elsewhere``."""
        return is_member_elsewhere(self.session, user_id, self.organization_id)

    def is_claimed(self, user_id: str) -> bool:
        """See ``Elsewhere``."""
        return is_claimed_elsewhere(self.session, user_id, self.organization_id)

    def has_address(self, email_key: str, user_id: str) -> bool:
        """See ``Elsewhere``."""
        return bool(self.session.scalar(select(exists().where(User.email_key == email_key, User.id != user_id))))


def new_profile(directory: Directory, mapped: Mapped) -> Profile:
    """Return the profile that the mapping gives somebody whom nobody knows yet."""
    address = mapped.fields.get("email_address")
    plain = {name: mapped.fields.get(name) for name in PLAIN_FIELDS}
    return Profile(
        **plain,
        email_address=address,
        email_key=fold(address) if address else None,
        public_metadata=merged_metadata({}, mapped, []),
        directory_metadata_paths=_written_paths([], mapped),
        managed_by_organization_id=directory.organization_id,
    )


def taken_over(directory: Directory, user_id: str, profile: Profile, elsewhere: Elsewhere) -> Profile:
    """Return the profile under this directory's management, when no other organization has the person any more.

    So somebody invited by hand, or left behind by a former organization, is
    managed by the directory that has them; and never while others do. What the
    former directory said of the person stays its own secret.
    """
    if profile.managed_by_organization_id == directory.organization_id or elsewhere.is_claimed(user_id):
        return profile
    if profile.managed_by_organization_id is not None:
        profile = replace(profile, external_id=None, username=None, public_metadata={}, directory_metadata_paths=[])
    return replace(profile, managed_by_organization_id=directory.organization_id)


def write_profile(
    session: Session,
    directory: Directory,
    user: User,
    mapped: Mapped,
    *,
    active: bool,
    takes_over: bool = False,
    comes_back: bool = False,
) -> Changes:
    """Write the mapped profile, if this directory manages the person; ``active`` tells whether the person is in it now.

    With ``takes_over`` it manages the person from now on, where ``taken_over``
    allows that. With ``comes_back`` the person is an active one from now on.

    :return: What changed, as ``{field: {"from": old, "to": new}}``.
    """
    elsewhere = AskedElsewhere(session, directory.organization_id)
    stored = before = Profile.of(user)
    if takes_over:
        before = taken_over(directory, user.id, before, elsewhere)
    after = mapped_profile(directory, user.id, before, mapped, elsewhere, active=active)
    changes = before.changes_to(after)
    columns: dict[str, Any] = {"active": True, "deleted_at": None} if comes_back else {}
    if changes or (comes_back and not user.active):
        columns["updated_at"] = now_ms()
    if after is stored:
        write_row(session, user, **columns)
    else:
        after.store(session, user, **columns)
    return changes


def mapped_profile(
    directory: Directory, user_id: str, profile: Profile, mapped: Mapped, elsewhere: Elsewhere, *, active: bool
) -> Profile:
    """Return the profile that the mapping gives a person whom this directory manages.

    A directory that let somebody go has no say any more once others have the person.
    """
    if profile.managed_by_organization_id != directory.organization_id:
        return profile
    if not active and elsewhere.is_member(user_id):
        return profile
    # What the mapping could not decide stays.
    plain = {name: mapped.fields[name] for name in PLAIN_FIELDS if name in mapped.fields}
    before = vars(profile)
    after = {
        **before,
        **_mapped_email(directory, user_id, profile, mapped, elsewhere),
        **plain,
        "public_metadata": merged_metadata(profile.public_metadata, mapped, profile.directory_metadata_paths),
        "directory_metadata_paths": _written_paths(profile.directory_metadata_paths, mapped),
    }
    return profile if after == before else Profile(**after)


def _mapped_email(
    directory: Directory, user_id: str, profile: Profile, mapped: Mapped, elsewhere: Elsewhere
) -> dict[str, str | None]:
    """Return the mapped e-mail address as columns; none of them where that would touch somebody elsewhere.

    The address is how the product recognises a person, so a directory may not
    change it for somebody whom another organization has too, and may
    not claim an address that another person has. Neither fails the request: the
    IdP must not learn who exists elsewhere, and the person must not lose access.
    """
    if "email_address" not in mapped.fields:
        return {}
    address = mapped.fields["email_address"]
    key = fold(address) if address else None
    if key != profile.email_key:
        shared = profile.email_key is not None and elsewhere.is_claimed(user_id)
        if shared or (key is not None and elsewhere.has_address(key, user_id)):
            directory.warn("The person keeps the former e-mail address: a directory cannot give away this one alone.")
            return {}
    return {"email_address": address, "email_key": key}


def _written_paths(written_before: list[str], mapped: Mapped) -> list[str]:
    """Return the places in the metadata that are the directory's after this write."""
    if not (written_before or mapped.metadata_paths):
        return []
    kept = set(mapped.undecided_paths).intersection(written_before)
    return sorted(kept | {path for path in mapped.metadata_paths if _has(mapped.public_metadata, path.split("."))})


def merged_metadata(current: dict[str, Any], mapped: Mapped, written_before: list[str]) -> dict[str, Any]:
    """Return the public metadata with the mapping's own paths brought up to date, and every other path left alone.

    Of the paths that the directory wrote before, those that the mapping no
    longer has are removed.
    """
    if not (written_before or mapped.metadata_paths or mapped.public_metadata):
        return current
    merged = deepcopy(current)
    given_up = set(written_before).difference(mapped.metadata_paths, mapped.undecided_paths)
    for path in (*sorted(given_up), *mapped.metadata_paths):
        _remove(merged, path.split("."))
    _merge(merged, mapped.public_metadata)
    return merged


def _has(tree: Any, path: list[str]) -> bool:
    for key in path:
        if not isinstance(tree, dict) or key not in tree:
            return False
        tree = tree[key]
    return True


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
