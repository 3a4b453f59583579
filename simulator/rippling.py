"""Rippling's provisioning of a custom app, whose admin ticks what the server can do."""

from collections.abc import Mapping
from typing import ClassVar

from simulator.client import Client, comparison, only_hit
from simulator.exchange import JsonObject, Misbehaviour
from simulator.judgement import USER_SCHEMA
from simulator.people import Person
from simulator.stage import Chapter, Stage


class RipplingClient(Client):
    """Rippling's side of one app; of attributes it knows externalId, the primary address, and the names."""

    name = "Rippling"
    introduction = "Rippling is told by its admin what the server can do, and changes by PATCH or by PUT accordingly."
    headers: ClassVar[Mapping[str, str]] = {"Accept": "application/scim+json", "Content-Type": "application/scim+json"}
    ways: ClassVar[Mapping[str, str]] = {"patch": "Where PATCH is ticked:", "put": "Where PATCH is not ticked:"}

    def profile(self, person: Person) -> JsonObject:
        return {
            "schemas": [USER_SCHEMA],
            "userName": person.user_name,
            "externalId": person.hex_id,
            "name": {"givenName": person.given_name, "familyName": person.family_name},
            "emails": [{"value": person.user_name, "primary": True}],
        }

    def find_by_external_id(self, person: Person) -> JsonObject | None:
        """Look somebody up by Rippling's own id, whose case matters."""
        query = self.query("externalId", person.hex_id)
        exchange = self._call("GET", f"/Users?{query}", expected=(200,))
        return only_hit(exchange, "externalId", person.hex_id)


def look_up_by_own_id(stage: Stage[RipplingClient]) -> None:
    """Look people up by the id that Rippling knows them by."""
    for person in stage.others[:3]:
        found = stage.client.find_by_external_id(person)
        if found is None or found["id"] != stage.id_of(person):
            filtered = comparison("externalId", person.hex_id)
            raise Misbehaviour(f"{filtered} must find {stage.id_of(person)}, and found {found}.")
    stage.narrator.say("Each was found by the id that Rippling gave.")


CHAPTERS: list[Chapter] = [("People are looked up by Rippling's own ids", look_up_by_own_id)]
