"""OneLogin's provisioning, whose bodies are made from a JSON template that an admin wrote."""

from collections.abc import Mapping
from typing import ClassVar

from simulator.client import Client
from simulator.exchange import JsonObject
from simulator.judgement import USER_SCHEMA
from simulator.people import Person
from simulator.stage import Chapter


class OneLoginClient(Client):
    """OneLogin's side of one app. The template names a schema of SCIM 1.0, bare roles and a key of its own."""

    name = "OneLogin"
    introduction = (
        "OneLogin fills in a template that an admin wrote, and has an empty User-Agent. What happens to who leaves is"
        " a setting of the app."
    )
    headers: ClassVar[Mapping[str, str]] = {"User-Agent": "", "Content-Type": "application/scim+json"}
    ways: ClassVar[Mapping[str, str]] = {
        "suspend": "By PUT; who leaves is suspended:",
        "delete": "By PUT; who leaves is deleted:",
    }
    takes_404_for_nobody = True

    @property
    def puts_users(self) -> bool:
        return True

    @property
    def deletes_users(self) -> bool:
        return self.way == "delete"

    def test_connection(self) -> None:
        """Look up a name that cannot exist, then list users and groups."""
        self.find_user("onelogin-does-not-exist@acme.example")
        self._list("/Users", "startIndex=1&count=100")
        self._list("/Groups", "startIndex=1&count=100")

    def profile(self, person: Person) -> JsonObject:
        return {
            "schemas": ["urn:scim:schemas:core:1.0"],
            "userName": person.user_name,
            "name": {"givenName": person.given_name, "familyName": person.family_name},
            "displayName": person.full_name,
            "emails": [{"value": person.user_name, "type": "work", "primary": True}],
            "roles": ["engineer"],
            "costCentre": "4711",
            "profileUrl": "",
        }

    def shown(self, body: JsonObject) -> JsonObject:
        roles = [{"value": role} if isinstance(role, str) else role for role in body.get("roles", [])]
        return {name: value for name, value in {**body, "roles": roles}.items() if name != "profileUrl"}

    def link(self, found: JsonObject, person: Person) -> JsonObject:
        schemas = [USER_SCHEMA, *self.profile(person)["schemas"]]
        return self._put_user({**found, **self.profile(person), "schemas": schemas, "active": True})


CHAPTERS: list[Chapter] = []
