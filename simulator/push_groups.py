"""The chapter of groups: one is pushed, changed, renamed and deleted, and roles follow."""

from simulator.client import Client, PushedGroup
from simulator.exchange import Misbehaviour
from simulator.people import Person
from simulator.stage import Stage

ADMIN, MEMBER = "org:admin", "org:member"


def push_groups(stage: Stage[Client]) -> None:
    """Push a group and change it in every way; with roles, if the product maps them."""
    client, say = stage.client, stage.narrator.say
    ids = [stage.id_of(person) for person in stage.others]
    with stage.narrator.muted():
        name, new_name = (stage.client.free_group_name(wish) for wish in ("Platform Team", "Plattform-Team “Ω”"))
    group = push(stage, name, stage.members(ids[:6]))
    _expect_group_shown(stage, ids[0], group)
    group = note_change(stage, client.change_members(group, add=stage.members(ids[6:8]), remove=ids[:2]))
    say("Members who are in the group already are added once more, which changes nothing:")
    client.check_group(client.change_members(group, add=stage.members(ids[6:8])))
    for way, words in client.ways.items():
        say(words)
        group = note_change(stage, client.in_way(way).change_members(group, add=stage.members(ids[:1])))
        group = note_change(stage, client.in_way(way).change_members(group, remove=ids[:1]))
    group = note_change(stage, client.rename_group(group, new_name))
    if stage.product is not None and stage.product.admins_group is not None:
        _push_admins(stage, stage.product.admins_group, stage.others[8:10])
    say("The group is deleted:")
    _unlink(stage, group)
    stage.tell_learned()


def admins_mapping(group_name: str) -> dict[str, str]:
    """Return the attribute mapping that makes admins of a group's members and members of everybody else."""
    expression = f'value | downcase | replace: "{group_name.lower()}", "{ADMIN}" | default: "{MEMBER}"'
    return {"groups[0].value": f"{{{{ {expression} }}}}.organization_role"}


def push(stage: Stage[Client], name: str, members: dict[str, str]) -> PushedGroup:
    """Push a new group, and expect the events of it."""
    group = stage.client.push_group(name, members)
    stage.expected.add("scimGroup.created", group.id)
    return note_change(stage, group)


def note_change(stage: Stage[Client], group: PushedGroup) -> PushedGroup:
    """Expect the event of a group's change, and see that the server has it as it was pushed."""
    stage.expected.add("scimGroup.updated", group.id)
    stage.client.check_group(group)
    return group


def _push_admins(stage: Stage[Client], name: str, people: list[Person]) -> None:
    """Push the group whose members become admins, and see the roles follow."""
    stage.narrator.say("A group that the product's attribute mapping makes admins of:")
    ids = [stage.id_of(person) for person in people]
    admins = push(stage, name, stage.members(ids))
    for person in people:
        _expect_role(stage, person, ADMIN)
    admins = note_change(stage, stage.client.change_members(admins, remove=ids[:1]))
    _expect_role(stage, people[0], MEMBER)
    _unlink(stage, admins)
    _expect_role(stage, people[1], MEMBER)


def _expect_role(stage: Stage[Client], person: Person, role: str) -> None:
    """See that somebody's role followed the groups, and expect the event of it."""
    stage.expect_member(stage.id_of(person), person.full_name, role)
    stage.expected.add("scimUser.updated", stage.id_of(person))


def _expect_group_shown(stage: Stage[Client], user_id: str, group: PushedGroup) -> None:
    shown = [entry.get("value") for entry in stage.client.get_user(user_id).get("groups") or []]
    if group.id not in shown:
        raise Misbehaviour(
            f"The groups of {user_id} are shown as {shown}, without {group.id}, which has it as a member."
        )


def _unlink(stage: Stage[Client], group: PushedGroup) -> None:
    stage.client.unlink_group(group)
    stage.expected.add("scimGroup.deleted", group.id)
