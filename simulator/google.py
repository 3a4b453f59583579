"""Google Workspace's automated provisioning, as far as it is known: Google documents it for admins only."""

from collections.abc import Mapping
from typing import ClassVar

from simulator.client import Client
from simulator.exchange import JsonObject, Misbehaviour
from simulator.judgement import USER_SCHEMA, read_object
from simulator.people import Person
from simulator.stage import Chapter, Stage

MAPPED = {"userName": (), "active": (), "name": ("givenName", "familyName"), "emails": ("value", "primary", "type")}


class GoogleClient(Client):
    """Google's side of one app."""

    name = "Google"
    introduction = (
        "Google reads the schemas, and looks up without a count. It pushes no groups. Suspending and deleting are"
        " independent. Only apps of its catalogue have provisioning."
    )
    headers: ClassVar[Mapping[str, str]] = {"Accept": "application/scim+json", "Content-Type": "application/scim+json"}
    ways: ClassVar[Mapping[str, str]] = {"put": "By GET and PUT:"}
    pushes_groups = False

    def query(self, attribute: str, value: str) -> str:
        return f"{super().query(attribute, value)}&startIndex=1"

    def test_connection(self) -> None:
        """Read which attributes there are to map, and look up somebody."""
        exchange = self._call("GET", f"/Schemas/{USER_SCHEMA}", expected=(200,))
        declared = {entry.get("name"): entry for entry in read_object(exchange).get("attributes") or []}
        for name, parts in MAPPED.items():
            there = {part.get("name") for part in declared.get(name, {}).get("subAttributes") or []}
            if name not in declared or not there.issuperset(parts):
                raise Misbehaviour(f"The schema of users does not declare {name} with {parts}.", exchange)
        self.find_user("nobody@acme.example")

    def profile(self, person: Person) -> JsonObject:
        return {
            "schemas": ["urn:scim:schemas:core:1.0", USER_SCHEMA],
            "userName": person.user_name,
            "name": {"givenName": person.given_name, "familyName": person.family_name},
            "displayName": person.full_name,
            "emails": [{"type": "work", "primary": True, "value": person.user_name}],
        }


def delete_while_active(stage: Stage[GoogleClient]) -> None:
    """Delete somebody who was never suspended, then somebody who was; both come back."""
    first, second = stage.others[:2]
    stage.narrator.say("A deletion can come for somebody who is active still:")
    stage.delete(stage.id_of(first))
    stage.narrator.say("… or three weeks after a suspension:")
    stage.deactivate(stage.id_of(second))
    stage.delete(stage.id_of(second))
    for person in (first, second):
        before = stage.id_of(person)
        if stage.assign(person)["id"] != before:
            raise Misbehaviour(f"{person.full_name} was hired again, and is not {before} any more.")
    stage.tell_learned()


CHAPTERS: list[Chapter] = [("People are deleted, suspended or not", delete_while_active)]
