"""The audit log: every administrative act, with who did it, on what, and under which trace id.

An act is written in the transaction of the change, so neither is there without
the other. What an identity provider does is no administrative act: that stands
in the activity log of its directory.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import select
from sqlalchemy.orm import Session

from clock import now_ms
from ids import first_id, new_id
from models import AdministrativeAct

ActorKind = Literal["secret_key", "member", "setup_link", "command"]


@dataclass(frozen=True)
class Actor:
    """Who acts: a secret key of the API, a signed-in member, the holder of a setup link, or a command.

    ``id`` is the id of the key, user or link, null for a command. ``label`` is
    what a person recognises: the key's name, an e-mail address, the command's name.
    """

    kind: ActorKind
    id: str | None
    label: str
    trace_id: str | None = None


def record_act(
    session: Session,
    actor: Actor,
    action: str,
    *,
    organization_id: str | None,
    target_type: str,
    target_id: str,
    details: dict[str, Any] | None = None,
) -> AdministrativeAct:
    """Write down that an actor did something, as part of the transaction that does it.

    :param action: The kind of target and what became of it, such as ``scim_token.issued``.
    :param organization_id: Whom it is about; None for the whole environment.
    :param target_type: What the target calls itself in ``object``.
    :param details: Plain JSON that says what exactly, such as a name or the changed fields; never a secret.
    """
    act = AdministrativeAct(
        id=new_id("adt"),
        organization_id=organization_id,
        actor_kind=actor.kind,
        actor_id=actor.id,
        actor_label=actor.label,
        action=action,
        target_type=target_type,
        target_id=target_id,
        details=details or {},
        trace_id=actor.trace_id,
        occurred_at=now_ms(),
    )
    session.add(act)
    return act


def list_acts(
    session: Session,
    organization_id: str | None = None,
    *,
    limit: int,
    before: str | None = None,
    actor_id: str | None = None,
    action: str | None = None,
    target_id: str | None = None,
    since: int | None = None,
    until: int | None = None,
) -> Sequence[AdministrativeAct]:
    """Return one page of acts, the latest first; ``before`` is the id of the last one of the page before.

    :param organization_id: The acts about one organization; None for all acts of the environment.
    :param actor_id: Only those of this secret key, user or setup link.
    :param action: Only those of this kind.
    :param target_id: Only those on this object.
    :param since: Only those from this moment on, in Unix milliseconds.
    :param until: Only those before this moment, in Unix milliseconds.
    """
    act = AdministrativeAct
    query = select(act).order_by(act.id.desc()).limit(limit)
    wanted = {
        act.organization_id: organization_id,
        act.actor_id: actor_id,
        act.action: action,
        act.target_id: target_id,
    }
    for column, value in wanted.items():
        if value is not None:
            query = query.where(column == value)
    if before is not None:
        query = query.where(act.id < before)
    if since is not None:
        query = query.where(act.id >= first_id("adt", since))
    if until is not None:
        query = query.where(act.id < first_id("adt", until))
    return session.scalars(query).all()


def find_latest_acts(
    session: Session, organization_id: str, target_ids: Sequence[str], actions: Sequence[str]
) -> dict[str, AdministrativeAct]:
    """Return for each of these targets the latest of some acts on it; for a target without any, nothing."""
    if not target_ids:
        return {}  # a list of nothing would be looked for in the whole log
    act = AdministrativeAct
    query = (
        select(act)
        .where(act.organization_id == organization_id, act.target_id.in_(target_ids), act.action.in_(actions))
        .order_by(act.id)
    )
    return {found.target_id: found for found in session.scalars(query)}
