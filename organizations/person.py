"""One person as an organization may see them: a member, a former member, or somebody whom its directory alone knows."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from errors import NotFound
from models import DirectoryUser, User
from organizations.member_search import Member, find_member


@dataclass(frozen=True)
class PersonOfOrganization:
    """A person; ``member`` is None for whoever never was a member, ``directory_user`` for whoever never came from it.

    ``profile`` holds the fields that the organization may see, by their names:
    of somebody whom another organization manages, nothing that is that one's.
    """

    user_id: str
    member: Member | None
    directory_user: DirectoryUser | None
    managed_elsewhere: bool
    profile: dict[str, Any]

    @property
    def full_name(self) -> str:
        """The name, or what comes closest to one."""
        if self.member is not None:
            return self.member.full_name
        names = [name for name in (self.profile.get("first_name"), self.profile.get("last_name")) if name]
        row = self.directory_user
        shown = row.display_name or row.user_name if row is not None else None
        return " ".join(names) or shown or "No name"

    @property
    def address(self) -> str | None:
        """The e-mail address, or the user name of somebody without one."""
        if self.member is not None:
            return self.member.address
        email_address: str | None = self.profile.get("email_address")
        return email_address or (self.directory_user.user_name if self.directory_user is not None else None)

    @property
    def is_member(self) -> bool:
        """Whether the person is a member now."""
        return self.member is not None and self.member.ended_at is None

    @property
    def in_directory(self) -> bool:
        """Whether the organization's directory has the person now."""
        return self.directory_user is not None and self.directory_user.deleted_at is None


def get_person(session: Session, organization_id: str, user_id: str) -> PersonOfOrganization:
    """Return a person who is or was a member of an organization, or whom its directory has or had.

    :raises NotFound: For everybody else, whether or not there is such a person elsewhere.
    """
    member = find_member(session, organization_id, user_id)
    row = session.scalar(
        select(DirectoryUser).where(DirectoryUser.organization_id == organization_id, DirectoryUser.user_id == user_id)
    )
    if member is None and row is None:
        raise NotFound("There is no such person in this organization.", code="person_not_found")
    user = session.get_one(User, user_id)
    elsewhere = user.managed_by_organization_id not in (None, organization_id)
    fields = ("email_address", "username", "first_name", "last_name", "external_id", "public_metadata")
    profile = {} if elsewhere else {field: getattr(user, field) for field in fields}
    if elsewhere and member is not None:
        profile["email_address"] = member.email_address
    return PersonOfOrganization(user_id, member, row, elsewhere, profile)
