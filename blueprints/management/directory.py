"""A directory as a whole: its state, and switching it off and on."""

from typing import Annotated, Literal

from pydantic import Field
from sqlalchemy.orm import Session

from blueprints.management.operations import audit, operation
from blueprints.management.requests import Body
from directory.switching import ScimDirectoryObject, directory_object, disable_directory, enable_directory

DIRECTORY = "/organizations/<organization_id>/scim/directory"


class Disabling(Body):
    """What becomes of the people of a directory that is switched off."""

    people: Annotated[
        Literal["keep", "suspend"],
        Field(description="`keep` leaves them members; `suspend` ends their memberships and sessions until it is on."),
    ]
    force: Annotated[bool, Field(description="Suspend them also if nobody is left who can manage provisioning.")] = (
        False
    )


@operation("read_scim_directory", "GET", DIRECTORY, tag="Directory")
def read(session: Session, organization_id: str) -> ScimDirectoryObject:
    """Return whether the directory is on, what is in it, and how far suspending or restoring its people is."""
    return directory_object(session, organization_id)


@operation(
    "disable_scim_directory",
    "POST",
    f"{DIRECTORY}/disable",
    tag="Directory",
    errors={409: "Nobody could manage provisioning, or the people are suspended already or still being restored."},
)
def disable(session: Session, organization_id: str, body: Disabling) -> ScimDirectoryObject:
    """Switch the directory off: its identity provider is answered 403 until it is on again.

    People are suspended in the background; `work` says how far that is.
    """
    disable_directory(session, organization_id, body.people, force=body.force)
    shown = directory_object(session, organization_id)
    audit(session, "scim_directory.disabled", shown, people=body.people)
    return shown


@operation("enable_scim_directory", "POST", f"{DIRECTORY}/enable", tag="Directory")
def enable(session: Session, organization_id: str) -> ScimDirectoryObject:
    """Switch the directory on, and restore those whom switching it off suspended and the identity provider still wants.

    What the identity provider wanted to change meanwhile was refused; it has to send it again.
    """
    enable_directory(session, organization_id)
    shown = directory_object(session, organization_id)
    audit(session, "scim_directory.enabled", shown)
    return shown
