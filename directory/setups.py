"""How far an organization's admin is in connecting the IdP: what nothing else that is stored tells."""

from sqlalchemy.orm import Session

from clock import now_ms
from models import DirectorySetup


def find_setup(session: Session, organization_id: str) -> DirectorySetup | None:
    """Return where an organization's setup stands, or None while no IdP was chosen."""
    return session.get(DirectorySetup, organization_id)


def choose_provider(session: Session, organization_id: str, provider: str) -> DirectorySetup:
    """Choose the IdP. Another one than before starts anew; the same one goes on where it was."""
    setup = find_setup(session, organization_id)
    now = now_ms()
    if setup is None:
        setup = DirectorySetup(organization_id=organization_id, provider=provider, confirmed_steps=[], started_at=now)
        session.add(setup)
    elif setup.provider != provider:
        setup.provider, setup.confirmed_steps, setup.started_at = provider, [], now
    setup.updated_at = now
    session.flush()
    return setup


def confirm_step(session: Session, organization_id: str, provider: str, step: str) -> None:
    """Note that the admin says a step is done."""
    setup = choose_provider(session, organization_id, provider)
    if step not in setup.confirmed_steps:
        setup.confirmed_steps = [*setup.confirmed_steps, step]
