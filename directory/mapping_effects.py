"""What a mapping does to people who are in the directory already: decided first, for many at once, and then written.

Previewing and applying decide with the same functions as a write of
the IdP does, so they say and do the same. Deciding writes nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from sqlalchemy.orm import Session

from clock import now_ms
from directory.directories import Directory
from directory.lifecycle import deprovision, note_lost_admin, person_data, provision
from directory.mapping import Mapped, Mapping
from directory.mapping_people import Neighbours, Person
from directory.mappings import Rules, load_rules
from directory.memberships import add_membership, find_any_membership
from directory.profiles import Changes, Profile, mapped_profile, taken_over, write_profile
from directory.resources import load
from directory.roles import KnownRoles, RoleDecision, decide_role, first_role, store_role
from directory.rows import write_row
from folding import fold
from webhooks.events import record_events

TAKEN_HERE = "The person keeps the former e-mail address: another active person of this directory has the new one."
STAYS_INACTIVE = "The person stays inactive: another active person of this directory has the same e-mail address."


@dataclass(frozen=True)
class Effect:
    """What a mapping does to one person: all that would be stored, and of that what can be seen (``changes``).

    ``changes`` is as in ``scimUser.updated``, with ``active`` where the mapping
    decides that too. ``email_key`` and ``active`` are those of the directory
    user; ``role`` is None where no role is to be decided.
    """

    person: Person
    mapped: Mapped
    profile: Profile
    role: RoleDecision | None
    active: bool
    email_key: str | None
    changes: Changes
    warnings: tuple[str, ...]

    @property
    def user_id(self) -> str:
        """The id of the person."""
        return self.person.row.user_id

    @property
    def lets_go(self) -> bool:
        """Tell whether the person would lose the membership."""
        return self.person.row.active and not self.active

    @cached_property
    def is_idle(self) -> bool:
        """Tell whether there is nothing to write."""
        row, membership = self.person.row, self.person.membership
        if self.changes or row.active != self.active or row.email_key != self.email_key:
            return False
        if self.role is not None and membership is not None:
            stored = (membership.role_id, membership.role_source, membership.mapped_role_key)
            if stored != (self.role.role.id, self.role.source, self.role.mapped_role_key):
                return False
        return self.profile == Profile.of(self.person.user)


def evaluate(mapping: Mapping, person: Person) -> Mapped:
    """Return what a mapping makes of the resource that was last received for a person."""
    row = person.row
    return mapping.evaluate({**load(row.document), "groups": row.sent_groups}, person.groups)


def decide(
    session: Session, people: Sequence[Person], mapped: Sequence[Mapped], neighbours: Neighbours
) -> list[Effect]:
    """Return what the mapping does to each of these people, as if they were written in this order."""
    roles = KnownRoles.read(session)
    neighbours.look_at(session, people, [result.fields.get("email_address") for result in mapped])
    effects = []
    for person, result in zip(people, mapped, strict=True):
        effect = _effect(person, result, roles, neighbours)
        neighbours.follow(person, effect.profile.email_key, effect.email_key if effect.active else None)
        effects.append(effect)
    return effects


def _effect(person: Person, mapped: Mapped, roles: KnownRoles, neighbours: Neighbours) -> Effect:
    directory = Directory(person.row.organization_id)
    directory.warn(*mapped.warnings)
    user_id, row = person.row.user_id, person.row
    mapped, active, email_key = _admissible(directory, person, mapped, neighbours)
    before = Profile.of(person.user)
    if active:
        before = taken_over(directory, user_id, before, neighbours)
    profile = mapped_profile(directory, user_id, before, mapped, neighbours, active=active or row.active)
    role = _decided_role(directory, person, mapped, active, roles)
    changes = before.changes_to(profile)
    if active != row.active:
        changes["active"] = {"from": row.active, "to": active}
    if active or row.active:
        after = role.role.key if role else person.role_key
        if person.role_key != (after if active else None):
            changes["role"] = {"from": person.role_key, "to": after if active else None}
    return Effect(person, mapped, profile, role, active, email_key, changes, tuple(dict.fromkeys(directory.warnings)))


def _admissible(
    directory: Directory, person: Person, mapped: Mapped, neighbours: Neighbours
) -> tuple[Mapped, bool, str | None]:
    """Return what can be stored of a result: two active people of a directory never have the same e-mail address.

    A write of the IdP is refused then. Here there is nobody to refuse: what the person had is kept.
    """
    row = person.row
    active = row.active if mapped.fields.get("active") is None else bool(mapped.fields["active"])
    email_key = row.email_key
    if "email_address" in mapped.fields:
        address = mapped.fields["email_address"]
        email_key = fold(address) if address else None
    if not active or not neighbours.has_active_address(email_key, row.user_id):
        return mapped, active, email_key
    directory.warn(TAKEN_HERE)
    kept = {name: value for name, value in mapped.fields.items() if name != "email_address"}
    if not row.active and neighbours.has_active_address(row.email_key, row.user_id):
        directory.warn(STAYS_INACTIVE)
        kept.pop("active", None)
        active = False
    return replace(mapped, fields=kept), active, row.email_key


def _decided_role(
    directory: Directory, person: Person, mapped: Mapped, active: bool, roles: KnownRoles
) -> RoleDecision | None:
    """Return the role that somebody has by the mapping; None for whoever is no member, and does not become one."""
    membership, was_active = person.membership, person.row.active
    if not active or (was_active and (membership is None or membership.deleted_at is not None)):
        return None
    if membership is None:
        return first_role(roles, directory, mapped)
    return decide_role(roles, directory, membership, mapped)


# -- Writing ------------------------------------------------------------------------


def write_effects(
    session: Session, organization_id: str, effects: Sequence[Effect], *, suspended: bool = False
) -> None:
    """Write what was decided in this transaction, for people who are locked, with an event for each who changes.

    :param suspended: Whether the people of this directory are suspended: whom the mapping makes active is suspended
        as well, and a member when the directory is switched on.
    """
    directory = Directory(organization_id)
    rules = load_rules(session, directory, while_off=True)
    staying = [effect for effect in effects if effect.active == effect.person.row.active]
    for effect in staying:
        _write(session, effect)
    events = [
        (
            "scimUser.updated",
            person_data(organization_id, rules.connection_id, e.person.user, e.mapped, changes=e.changes),
        )
        for e in staying
        if e.changes
    ]
    if events:
        record_events(session, organization_id, events)
    note_lost_admin(session, directory, [(effect.person.user, effect.changes) for effect in staying])
    for effect in effects:
        if effect.active != effect.person.row.active:
            if effect.active and suspended:
                _suspend(session, directory, rules, effect)
            else:
                _admit_or_let_go(session, directory, rules, effect)


def _write(session: Session, effect: Effect) -> None:
    person = effect.person
    write_row(session, person.row, email_key=effect.email_key)
    effect.profile.store(session, person.user, **({"updated_at": now_ms()} if effect.changes.keys() - {"role"} else {}))
    if effect.role is not None and person.membership is not None:
        store_role(session, person.membership, effect.role)


def _admit_or_let_go(session: Session, directory: Directory, rules: Rules, effect: Effect) -> None:
    """Write what a mapping decides that makes a person active or inactive, as a write of the IdP would."""
    person = effect.person
    write_row(session, person.row, active=effect.active, email_key=effect.email_key)
    if effect.active:
        provision(session, directory, rules, person.user, effect.mapped)
    else:
        write_profile(session, directory, person.user, effect.mapped, active=True)
        deprovision(session, directory, rules.connection_id, person.user, effect.mapped)


def _suspend(session: Session, directory: Directory, rules: Rules, effect: Effect) -> None:
    """Note that a mapping made somebody active whose directory has its people suspended."""
    person, now = effect.person, now_ms()
    write_row(session, person.row, active=True, email_key=effect.email_key)
    if person.membership is None:
        add_membership(session, directory, rules, person.user.id, effect.mapped)
    membership = person.membership or find_any_membership(session, directory.organization_id, person.user.id)
    if membership is not None and (person.membership is None or membership.deleted_at is not None):
        write_row(session, membership, deleted_at=now, suspended_at=now, updated_at=now)
