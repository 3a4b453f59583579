"""The chapter of Okta's Push Groups: a group is pushed, changed, replaced, renamed and deleted, and roles follow."""

from simulator.exchange import Misbehaviour
from simulator.okta import OktaClient, PushedGroup
from simulator.people import Person
from simulator.stage import Stage

ADMIN, MEMBER = "org:admin", "org:member"


def push_groups(stage: Stage) -> None:
    """Push a group and change it in every way; with roles, if the product maps them."""
    ids = [stage.id_of(person) for person in stage.others]
    with stage.narrator.muted():
        name, new_name = (free_name(stage.okta, wish) for wish in ("Platform Team", "Plattform-Team “Ω”"))
    group = _push(stage, name, stage.members(ids[:6]))
    _expect_group_shown(stage, ids[0], group)
    group = _note_change(stage, stage.okta.change_members(group, add=stage.members(ids[6:8]), remove=ids[:2]))
    stage.narrator.say("“Push now” with the same members, which changes nothing, and then with fewer:")
    stage.okta.push_now(group)
    fewer = PushedGroup(group.id, group.name, stage.members(ids[2:6]))
    group = _note_change(stage, stage.okta.push_now(fewer))
    stage.narrator.say("The other kind of Okta app changes members; then the group is renamed:")
    other = stage.okta.as_app("aiw" if stage.okta.app == "oin" else "oin")
    group = _note_change(stage, other.change_members(group, add=stage.members(ids[:1]), remove=ids[2:3]))
    group = _note_change(stage, stage.okta.rename_group(group, new_name))
    if stage.product is not None and stage.product.admins_group is not None:
        _push_admins(stage, stage.product.admins_group, stage.others[8:10])
    stage.narrator.say("Unlinked, and deleted:")
    _unlink(stage, group)
    stage.tell_learned()


def free_name(okta: OktaClient, name: str) -> str:
    """Return a name that no group has, so that no group of anybody else is touched."""
    number, candidate = 1, name
    while okta.find_group(candidate) is not None:
        number += 1
        candidate = f"{name} {number}"
    return candidate


def admins_mapping(group_name: str) -> dict[str, str]:
    """Return the attribute mapping that makes admins of a group's members and members of everybody else."""
    expression = f'value | downcase | replace: "{group_name.lower()}", "{ADMIN}" | default: "{MEMBER}"'
    return {"groups[0].value": f"{{{{ {expression} }}}}.organization_role"}


def _push_admins(stage: Stage, name: str, people: list[Person]) -> None:
    """Push the group whose members become admins, and see the roles follow."""
    stage.narrator.say("A group that the product's attribute mapping makes admins of:")
    ids = [stage.id_of(person) for person in people]
    admins = _push(stage, name, stage.members(ids))
    for person in people:
        _expect_role(stage, person, ADMIN)
    admins = _note_change(stage, stage.okta.change_members(admins, remove=ids[:1]))
    _expect_role(stage, people[0], MEMBER)
    _unlink(stage, admins)
    _expect_role(stage, people[1], MEMBER)


def _expect_role(stage: Stage, person: Person, role: str) -> None:
    """See that somebody's role followed the groups, and expect the event of it."""
    stage.expect_member(stage.id_of(person), person.full_name, role)
    stage.expected.add("scimUser.updated", stage.id_of(person))


def _expect_group_shown(stage: Stage, user_id: str, group: PushedGroup) -> None:
    shown = [entry.get("value") for entry in stage.okta.get_user(user_id).get("groups") or []]
    if group.id not in shown:
        raise Misbehaviour(
            f"The groups of {user_id} are shown as {shown}, without {group.id}, which has it as a member."
        )


def _push(stage: Stage, name: str, members: dict[str, str]) -> PushedGroup:
    group = stage.okta.push_group(name, members)
    stage.expected.add("scimGroup.created", group.id)
    return _note_change(stage, group)


def _note_change(stage: Stage, group: PushedGroup) -> PushedGroup:
    """Expect the event of a group's change, and see that the server has it as it was pushed."""
    stage.expected.add("scimGroup.updated", group.id)
    stage.okta.check_group(group)
    return group


def _unlink(stage: Stage, group: PushedGroup) -> None:
    stage.okta.unlink_group(group)
    stage.expected.add("scimGroup.deleted", group.id)
