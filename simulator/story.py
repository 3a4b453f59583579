"""The life of a customer's directory as an IdP drives it, in chapters, with every answer and every event checked."""

import secrets
from collections.abc import Sequence

from simulator.back_fill import back_fill
from simulator.client import Client, content_of
from simulator.exchange import JsonObject, Misbehaviour
from simulator.people import Person
from simulator.push_groups import push_groups
from simulator.stage import Chapter, Stage

# A delivery that failed comes again after a minute and some jitter; a longer silence means that nothing comes any more.
QUIET_SECONDS = 100.0


def tell_story(stage: Stage[Client], own_chapters: Sequence[Chapter]) -> None:
    """Tell all chapters, those of the IdP's own ways among them.

    :raises Misbehaviour: At the first thing that is not as it must be.
    """
    chapters: list[Chapter] = [
        (f"{stage.client.name} tests the connection", test_connection),
        ("One person is assigned", assign_first),
        ("The person's profile changes", update_profile),
        ("The person leaves and comes back", leave_and_return),
        (f"The back-fill: {len(stage.others)} people at once", back_fill),
        *([("Groups are pushed", push_groups)] if stage.client.pushes_groups else []),
        *own_chapters,
        ("Some people leave", let_some_leave),
        ("What the product learned of all this", take_stock),
    ]
    stage.narrator.say(stage.client.introduction)
    for title, tell in chapters:
        stage.narrator.chapter(title)
        tell(stage)
        if stage.product is not None:
            stage.product.receiver.check()


def test_connection(stage: Stage[Client]) -> None:
    """Test the right token, then ones that must be refused."""
    stage.client.test_connection()
    stage.narrator.say("A green check. Now with a token that nobody issued, and with one without its scheme:")
    stage.client.with_authorization(f"Bearer scim_{secrets.token_hex(18).upper()}").expect_credentials_refused()
    stage.client.with_authorization("non-token").expect_credentials_refused()
    stage.client.expect_unknown_refused("00919288221112222")


def assign_first(stage: Stage[Client]) -> None:
    """Assign Nadia Petrov, and find her among the members."""
    user = stage.assign(stage.first)
    if content_of(stage.client.get_user(user["id"])) != content_of(user):
        raise Misbehaviour(f"Reading {user['id']} gives another user than the answer to its creation did.")
    stage.narrator.say("Created a second time, which must be refused:")
    stage.client.expect_duplicate_refused(stage.first)
    stage.expect_member(user["id"], stage.first.full_name)
    stage.tell_learned()


def update_profile(stage: Stage[Client]) -> None:
    """Change a name in every way that the IdP has, then change nothing."""
    user_id, client = stage.id_of(stage.first), stage.client
    for number, (way, words) in enumerate(client.ways.items()):
        stage.narrator.say(words)
        family = f"{stage.first.family_name}-{('Lindqvist', 'Sørensen')[number % 2]}"
        client.in_way(way).update_user(user_id, named(stage.first, family))
        stage.expected.add("scimUser.updated", user_id)
        stage.expect_member(user_id, f"{stage.first.given_name} {family}")
    changed = client.update_user(user_id, named(stage.first, stage.first.family_name))
    stage.expected.add("scimUser.updated", user_id)
    stage.expect_member(user_id, stage.first.full_name)
    stage.narrator.say("The same once more, which changes nothing and must tell the product nothing:")
    again = client.update_user(user_id, named(stage.first, stage.first.family_name))
    if again.get("meta", {}).get("lastModified") != changed.get("meta", {}).get("lastModified"):
        raise Misbehaviour(f"A change that changes nothing gave {user_id} another lastModified.")
    stage.tell_learned()


def named(person: Person, family_name: str) -> JsonObject:
    """Return the attributes of a person who is called by another family name."""
    name = {"givenName": person.given_name, "familyName": family_name}
    return {"name": name, "displayName": f"{person.given_name} {family_name}"}


def leave_and_return(stage: Stage[Client]) -> None:
    """Deactivate and reactivate, then leave and be assigned anew: it stays the same user."""
    user_id = stage.id_of(stage.first)
    stage.deactivate(user_id)
    found = stage.client.find_user(stage.first.user_name)
    if found is None or found["id"] != user_id or found["active"] is not False:
        raise Misbehaviour(f"The look-up of a deactivated user must find it, inactive. It found: {found}")
    stage.expect_no_member(user_id)
    stage.reactivate(user_id)
    stage.expect_member(user_id, stage.first.full_name)
    stage.narrator.say("Gone, and assigned again some months later:")
    stage.remove(user_id)
    stage.expect_no_member(user_id)
    again = stage.assign(stage.first)
    if again["id"] != user_id:
        raise Misbehaviour(f"{stage.first.full_name} came back as {again['id']} and was {user_id} before.")
    stage.narrator.say(f"The same user came back: {user_id}")
    stage.expect_member(user_id, stage.first.full_name)
    stage.tell_learned()


def let_some_leave(stage: Stage[Client]) -> None:
    """Let every tenth person leave, and compare the members with who is assigned."""
    leaving = [stage.id_of(person) for person in stage.others[::10]]
    with stage.narrator.muted(), stage.narrator.progress("Left", len(leaving)) as progress:
        for user_id in leaving:
            stage.remove(user_id)
            progress.step()
    stage.tell_learned()
    if stage.product is None:
        return
    members = stage.product.backend.members(stage.product.organization_id)
    lacking, staying = set(stage.active) - set(members), set(stage.unassigned) & set(members)
    if lacking or staying:
        raise Misbehaviour(f"Assigned, but no members: {sorted(lacking)}. Unassigned, but members: {sorted(staying)}.")
    stage.narrator.say(
        f"{len(stage.active)} assigned people are members; the {len(stage.unassigned)} unassigned ones are not."
    )


def take_stock(stage: Stage[Client]) -> None:
    """Wait for every event that is due, and compare what came with what happened."""
    say = stage.narrator.say
    if stage.product is None:
        say("No secret key was given, so nothing is known of the product's side.")
        return
    receiver, expected = stage.product.receiver, stage.expected
    receiver.wait_until(expected.all_came, QUIET_SECONDS)
    complaint = expected.compare(receiver.events).complaint
    if complaint is not None:
        raise Misbehaviour(f"Of the events, {complaint}.")
    say(f"{expected.arrived(receiver.events)} of {len(expected)} events of the directory came, and none too many.")
    say(f"{len(receiver.events)} events in all; every signature is valid; no sequence number is missing between them.")
    say("For each person and each group, the sequence numbers put them in the order in which things happened.")
    say(f"Delivered again, with the same id: {receiver.duplicates}. Overtaken by later ones: {receiver.late_arrivals}.")
