"""Okta's provisioning client: what it asks for, in its own words.

Two kinds of app exist in Okta: those of its catalogue (``oin``) update by PATCH, those
made with the App Integration Wizard (``aiw``) fetch a resource and PUT it back.
"""

import secrets
from collections.abc import Callable, Iterable, Mapping
from typing import ClassVar
from urllib.parse import quote

from simulator.client import PAGE_SIZE, Client, PushedGroup, comparison, references
from simulator.exchange import JsonObject
from simulator.judgement import USER_SCHEMA, read_service_provider_config
from simulator.people import Person
from simulator.push_groups import note_change, push
from simulator.stage import Chapter, Stage


def random_password() -> str:
    """Return a random password; Okta sends one with each new user, even where passwords are not synchronized."""
    return secrets.token_urlsafe(24)


class OktaClient(Client):
    """Okta's side of one app."""

    name = "Okta"
    introduction = (
        "Okta looks a user name up and creates or links the user. It never deletes one: who leaves is deactivated."
    )
    headers: ClassVar[Mapping[str, str]] = {
        "User-Agent": "Okta SCIM Client 1.0.0",
        "Accept": "application/scim+json",
        "Accept-Charset": "utf-8",
        "Content-Type": "application/scim+json; charset=utf-8",
    }
    ways: ClassVar[Mapping[str, str]] = {
        "oin": "By PATCH, as an app of Okta's catalogue:",
        "aiw": "By GET and PUT, as an app of the App Integration Wizard:",
    }
    takes_404_for_nobody = True
    new_password: Callable[[], str] = staticmethod(random_password)

    @property
    def puts_users(self) -> bool:
        return self.way == "aiw"

    @property
    def puts_groups(self) -> bool:
        return self.way == "aiw"

    def test_connection(self) -> None:
        """Click “Test API Credentials”, as Okta's documentation and as its client do it."""
        read_service_provider_config(self._call("GET", "/ServiceProviderConfig", expected=(200,)))
        self._list("/Users", "startIndex=1&count=2")
        self._list("/Groups", "startIndex=1&count=100")

    def probes(self) -> Iterable[str]:
        return ("/ServiceProviderConfig", "/Users?startIndex=1&count=2", "/Groups?startIndex=1&count=100")

    def query(self, attribute: str, value: str) -> str:
        return f"filter={quote(comparison(attribute, value), safe='')}&startIndex=1&count={PAGE_SIZE}"

    def profile(self, person: Person) -> JsonObject:
        return {
            "schemas": [USER_SCHEMA],
            "userName": person.user_name,
            "name": {"givenName": person.given_name, "familyName": person.family_name},
            "emails": [{"primary": True, "value": person.user_name, "type": "work"}],
            "displayName": person.full_name,
            "locale": person.locale,
            "externalId": person.okta_id,
        }

    def creation(self, person: Person) -> JsonObject:
        return {**self.profile(person), "groups": [], "password": self.new_password(), "active": True}

    def operations(self, changes: JsonObject) -> list[JsonObject]:
        return [{"op": "replace", "value": changes}]

    def naming(self, group: PushedGroup) -> list[JsonObject]:
        return [{"op": "replace", "value": {"id": group.id, "displayName": group.name}}]

    def joining(self, members: Mapping[str, str]) -> list[JsonObject]:
        return [{"op": "add", "path": "members", "value": references(members)}]

    def prelude(self, group: PushedGroup) -> list[JsonObject]:
        return self.naming(group)

    def push_now(self, group: PushedGroup) -> PushedGroup:
        """Click “Push now”: the full list of members replaces what the server has."""
        if self.puts_groups:
            return self._put_group(group)
        return self._patch_group(group, [{"op": "replace", "path": "members", "value": references(group.members)}])


def push_now(stage: Stage[OktaClient]) -> None:
    """Push the full list of members, unchanged and then shortened."""
    ids = [stage.id_of(person) for person in stage.others]
    group = push(stage, stage.client.free_group_name("Everybody Here"), stage.members(ids[:4]))
    stage.narrator.say("“Push now” with the same members, which changes nothing, and then with fewer:")
    stage.client.push_now(group)
    fewer = PushedGroup(group.id, group.name, stage.members(ids[1:3]))
    group = note_change(stage, stage.client.push_now(fewer))
    stage.client.unlink_group(group)
    stage.expected.add("scimGroup.deleted", group.id)
    stage.tell_learned()


CHAPTERS: list[Chapter] = [("“Push now”", push_now)]
