"""The life of a customer's directory as Okta drives it, in chapters, with every answer and every event checked."""

import secrets
from collections.abc import Callable

from simulator.back_fill import back_fill
from simulator.exchange import Misbehaviour
from simulator.okta import content_of
from simulator.push_groups import push_groups
from simulator.stage import Stage, new_password

# A delivery that failed comes again after a minute and some jitter; a longer silence means that nothing comes any more.
QUIET_SECONDS = 100.0


def tell_story(stage: Stage) -> None:
    """Tell all chapters.

    :raises Misbehaviour: At the first thing that is not as it must be.
    """
    chapters: list[tuple[str, Callable[[Stage], None]]] = [
        ("Okta tests its API credentials", test_credentials),
        ("One person is assigned", assign_first),
        ("The person's profile changes", update_profile),
        ("The person leaves and comes back", leave_and_return),
        (f"The back-fill: {len(stage.others)} people at once", back_fill),
        ("Groups are pushed", push_groups),
        ("Some people are unassigned", unassign_some),
        ("What the product learned of all this", take_stock),
    ]
    for title, tell in chapters:
        stage.narrator.chapter(title)
        tell(stage)
        if stage.product is not None:
            stage.product.receiver.check()


def test_credentials(stage: Stage) -> None:
    """Test the right token, then ones that must be refused."""
    stage.okta.test_credentials()
    stage.narrator.say("A green check. Now with a token that nobody issued, and with one without its scheme:")
    stage.okta.with_authorization(f"Bearer scim_{secrets.token_hex(18).upper()}").expect_credentials_refused()
    stage.okta.with_authorization("non-token").expect_credentials_refused()
    stage.okta.expect_unknown_refused("00919288221112222")


def assign_first(stage: Stage) -> None:
    """Assign Nadia Petrov, and find her among the members."""
    user = stage.assign(stage.first)
    if content_of(stage.okta.get_user(user["id"])) != content_of(user):
        raise Misbehaviour(f"Reading {user['id']} gives another user than the answer to its creation did.")
    stage.narrator.say("Created a second time, which must be refused:")
    stage.okta.expect_duplicate_refused(stage.first, new_password())
    stage.expect_member(user["id"], stage.first.full_name)
    stage.tell_learned()


def update_profile(stage: Stage) -> None:
    """Change a name as both kinds of Okta app do it, then change nothing."""
    user_id, okta = stage.id_of(stage.first), stage.okta
    given, family = stage.first.given_name, stage.first.family_name
    renamed = f"{family}-Lindqvist"
    stage.narrator.say("By PATCH, as an app of Okta's catalogue:")
    new = {"name": {"givenName": given, "familyName": renamed}, "displayName": f"{given} {renamed}"}
    okta.as_app("oin").update_user(user_id, new)
    stage.expected.add("scimUser.updated", user_id)
    stage.expect_member(user_id, f"{given} {renamed}")
    stage.narrator.say("By GET and PUT, as an app of the App Integration Wizard:")
    old = {"name": {"givenName": given, "familyName": family}, "displayName": stage.first.full_name}
    changed = okta.as_app("aiw").update_user(user_id, old)
    stage.expected.add("scimUser.updated", user_id)
    stage.expect_member(user_id, stage.first.full_name)
    stage.narrator.say("The same once more, which changes nothing and must tell the product nothing:")
    again = okta.as_app("aiw").update_user(user_id, old)
    if again.get("meta", {}).get("lastModified") != changed.get("meta", {}).get("lastModified"):
        raise Misbehaviour(f"A PUT that changes nothing gave {user_id} another lastModified.")
    stage.tell_learned()


def leave_and_return(stage: Stage) -> None:
    """Deactivate and reactivate, then deactivate and assign anew: it stays the same user."""
    user_id = stage.id_of(stage.first)
    stage.deactivate(user_id)
    found = stage.okta.find_user(stage.first.user_name)
    if found is None or found["id"] != user_id or found["active"] is not False:
        raise Misbehaviour(f"The look-up of a deactivated user must find it, inactive. It found: {found}")
    stage.expect_no_member(user_id)
    stage.reactivate(user_id)
    stage.expect_member(user_id, stage.first.full_name)
    stage.narrator.say("Unassigned, and assigned again some months later:")
    stage.deactivate(user_id)
    again = stage.assign(stage.first)
    if again["id"] != user_id:
        raise Misbehaviour(f"{stage.first.full_name} came back as {again['id']} and was {user_id} before.")
    stage.narrator.say(f"The same user came back: {user_id}")
    stage.expect_member(user_id, stage.first.full_name)
    stage.tell_learned()


def unassign_some(stage: Stage) -> None:
    """Unassign every tenth person, and compare the members with who is assigned."""
    leaving = [stage.id_of(person) for person in stage.others[::10]]
    with stage.narrator.muted(), stage.narrator.progress("Unassigned", len(leaving)) as progress:
        for user_id in leaving:
            stage.deactivate(user_id)
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


def take_stock(stage: Stage) -> None:
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
