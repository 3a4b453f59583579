"""A directory: what one organization's IdP pushes. Every function of this package works in one."""

from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import bindparam, func, select
from sqlalchemy.orm import Session

from models import EnterpriseConnection
from prepared import Prepared

EFFECTS = 20
# The enterprise connection of an organization that has one, and no other.
ONLY_CONNECTION = (
    select(func.min(EnterpriseConnection.id))
    .where(EnterpriseConnection.organization_id == bindparam("organization"))
    .having(func.min(EnterpriseConnection.id) == func.max(EnterpriseConnection.id))
)
CONNECTION = Prepared(ONLY_CONNECTION)


@dataclass
class Directory:
    """The directory that a request acts in, known from its SCIM token alone."""

    organization_id: str
    token_id: str | None = None
    enterprise_connection_id: str | None = None
    # What an IT admin should know about this request although it succeeded; ends up in the activity log.
    warnings: list[str] = field(default_factory=list, compare=False)
    # What this request did, for the activity log: its target first, then whom that reached.
    effects: list[dict[str, Any]] = field(default_factory=list, compare=False)
    # What a request calls its target, where nothing came of it.
    label: str | None = field(default=None, compare=False)

    def noting(self, warnings: list[str], effects: list[dict[str, Any]]) -> "Directory":
        """Return the same directory for one of several operations, whose notes are its own."""
        return Directory(
            self.organization_id, self.token_id, self.enterprise_connection_id, warnings, effects, self.label
        )

    def warn(self, *sentences: str) -> None:
        """Note something that the IT admin should know."""
        self.warnings.extend(sentences)

    def note(self, action: str, kind: str, id_: str, label: str | None, changes: dict[str, Any] | None = None) -> None:
        """Note what was done to a user or a group, as ``directory.activity`` describes it; the first ones are kept."""
        if len(self.effects) < EFFECTS:
            self.effects.append({"action": action, "type": kind, "id": id_, "label": label, "changes": changes or {}})


def find_connection_id(session: Session, directory: Directory) -> str | None:
    """Return the enterprise connection of a directory: the token's, else the organization's only one, else None."""
    if directory.enterprise_connection_id is not None:
        return directory.enterprise_connection_id
    found = CONNECTION.row(session, {"organization": directory.organization_id})
    return found[0] if found else None
