"""PingOne's and PingFederate's provisioning, where nearly everything is a setting of the connection."""

from collections.abc import Mapping
from typing import ClassVar
from urllib.parse import quote_plus

from simulator.client import Client, comparison
from simulator.exchange import JsonObject, Misbehaviour
from simulator.judgement import USER_SCHEMA
from simulator.people import Person
from simulator.stage import Chapter, Stage

LATER = Person("00uPINGDISABLED00000", "ping.disabled@acme.example", "Ping", "Disabled", "en-US")


class PingClient(Client):
    """Ping's side of one connection: users by PUT, groups by PATCH or by PUT."""

    name = "Ping"
    introduction = (
        "Ping changes users by PUT, and groups by PATCH or by PUT. It can provision people who are disabled, so that"
        " they are in the directory and nobody's members."
    )
    headers: ClassVar[Mapping[str, str]] = {"Accept": "application/scim+json", "Content-Type": "application/scim+json"}
    ways: ClassVar[Mapping[str, str]] = {"patch": "With PATCH of groups:", "put": "Without PATCH of groups:"}

    @property
    def puts_users(self) -> bool:
        return True

    def query(self, attribute: str, value: str) -> str:
        return f"filter={quote_plus(comparison(attribute, value))}"

    def profile(self, person: Person) -> JsonObject:
        return {
            "schemas": [USER_SCHEMA],
            "userName": person.user_name,
            "externalId": person.guid,
            "name": {"givenName": person.given_name, "familyName": person.family_name},
            "emails": [{"type": "work", "value": person.user_name, "primary": True}],
        }


def provision_disabled(stage: Stage[PingClient]) -> None:
    """Create somebody who is disabled, enable them, and delete them again."""
    user = stage.client.create({**stage.client.profile(LATER), "active": False})
    stage.unassigned[user["id"]] = LATER.user_name
    stage.expect_no_member(user["id"])
    stage.narrator.say("In the directory, disabled, and nobody's member. Now enabled:")
    stage.reactivate(user["id"])
    stage.expect_member(user["id"], LATER.full_name)
    stage.narrator.say("With the remove action “delete”, a removal is a DELETE:")
    stage.delete(user["id"])
    if stage.client.find_user(LATER.user_name) is not None:
        raise Misbehaviour(f"{LATER.full_name} was deleted, and a look-up still finds them.")
    stage.tell_learned()


CHAPTERS: list[Chapter] = [("Somebody is provisioned who is disabled", provision_disabled)]
