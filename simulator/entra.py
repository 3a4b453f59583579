"""Microsoft Entra ID's provisioning service, in both of its dialects.

Without the flag ``aadOptscim062020`` each attribute is an operation of its own, ``op`` is capitalized, booleans are
texts and members leave by value. With it PATCH is close to the RFC, and the flag is a parameter of every request.
"""

import uuid
from collections.abc import Iterable, Mapping
from typing import ClassVar
from urllib.parse import quote_plus

from simulator.client import Client, PushedGroup, comparison, content_of
from simulator.exchange import JsonObject, Misbehaviour
from simulator.judgement import GROUP_SCHEMA, USER_SCHEMA, read_listing
from simulator.people import Person
from simulator.push_groups import note_change, push
from simulator.stage import Chapter, Stage

ENTERPRISE = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
MANAGER = f"{ENTERPRISE}:manager"
ADSCIM_GROUP = "http://schemas.microsoft.com/2006/11/ResourceManagement/ADSCIM/2.0/Group"
FLAG = "aadOptscim062020"


class EntraClient(Client):
    """Entra's side of one app. It takes no 404 for nobody: a base URL that answers so is quarantined."""

    name = "Entra"
    introduction = (
        "Entra looks up before everything and sends only what differs. Who leaves is deactivated, and deleted"
        " thirty days later."
    )
    headers: ClassVar[Mapping[str, str]] = {
        "Accept": "application/scim+json",
        "Content-Type": "application/scim+json; charset=utf-8",
    }
    ways: ClassVar[Mapping[str, str]] = {
        "default": "In the default dialect: an operation for each attribute, booleans as texts:",
        FLAG: f"With the flag {FLAG}: values without a path, as the RFC has them:",
    }

    @property
    def puts_users(self) -> bool:
        return False

    @property
    def puts_groups(self) -> bool:
        return False

    def address(self, path: str) -> str:
        return path if self.way == "default" else f"{path}{'&' if '?' in path else '?'}{FLAG}"

    def query(self, attribute: str, value: str) -> str:
        left_out = "excludedAttributes=members&" if attribute == "displayName" else ""
        return f"{left_out}filter={quote_plus(comparison(attribute, value))}"

    def test_connection(self) -> None:
        """Look up somebody who cannot exist."""
        if self.find_user(f"AzureAD_Test-{uuid.uuid4()}") is not None:
            raise Misbehaviour("Entra looked up a random name, and somebody was found.")

    def probes(self) -> Iterable[str]:
        return (f"/Users?{self.query('userName', f'AzureAD_Test-{uuid.uuid4()}')}",)

    def profile(self, person: Person) -> JsonObject:
        name = {"formatted": person.full_name, "familyName": person.family_name, "givenName": person.given_name}
        return {
            "externalId": person.mail_nickname,
            "userName": person.user_name,
            "displayName": person.full_name,
            "emails": [{"primary": True, "type": "work", "value": person.user_name}],
            "name": name,
            ENTERPRISE: {"department": "Finance"},
        }

    def creation(self, person: Person) -> JsonObject:
        return {
            "schemas": [USER_SCHEMA, ENTERPRISE],
            **self.profile(person),
            "active": True,
            "meta": {"resourceType": "User"},
            "roles": [],
        }

    def shown(self, body: JsonObject) -> JsonObject:
        return {name: value for name, value in body.items() if name != "roles"}

    def link(self, found: JsonObject, person: Person) -> JsonObject:
        """Send what differs, and nothing where nothing does."""
        wanted = {**self.profile(person), "active": True}
        changes = {name: value for name, value in wanted.items() if found.get(name) != value}
        return self.update_user(found["id"], changes) if changes else self.get_user(found["id"])

    def operations(self, changes: JsonObject) -> list[JsonObject]:
        """Return paths with values, or one value without a path; an address is always named by its type."""
        emails = [entry["value"] for entry in changes.get("emails", []) if entry.get("type") == "work"]
        flat = flattened({name: value for name, value in changes.items() if name != "emails"})
        by_path = {'emails[type eq "work"].value': emails[0]} if emails else {}
        if self.way == "default":
            return [
                {"op": "Replace", "path": path, "value": str(value) if isinstance(value, bool) else value}
                for path, value in {**flat, **by_path}.items()
            ]
        pathless = [{"op": "replace", "value": flat}] if flat else []
        return [*pathless, *({"op": "replace", "path": path, "value": value} for path, value in by_path.items())]

    def set_manager(self, user_id: str, manager_id: str | None) -> None:
        """Set a person's manager by a bare id, or take it away by an empty one, as the dialect does it."""
        op = {"op": "Add", "path": MANAGER, "value": manager_id}
        if manager_id is None:
            op = {"op": "Replace", "path": MANAGER, "value": ""} if self.way == "default" else {"op": "remove"}
        user = self.patch_user(user_id, [{**op, "path": MANAGER}], {})
        shown = (user.get(ENTERPRISE) or {}).get("manager")
        if (shown or {}).get("value") != manager_id:
            raise Misbehaviour(f"The manager of {user_id} must be {manager_id}, and is shown as {shown!r}.")

    def group_body(self, name: str) -> JsonObject:
        guid = str(uuid.uuid5(uuid.NAMESPACE_URL, name))
        return {"schemas": [GROUP_SCHEMA, ADSCIM_GROUP], "externalId": guid, "displayName": name}

    def naming(self, group: PushedGroup) -> list[JsonObject]:
        if self.way == "default":
            return [{"op": "Replace", "path": "displayName", "value": group.name}]
        return [{"op": "replace", "value": {"displayName": group.name}}]

    def joining(self, members: Mapping[str, str]) -> list[JsonObject]:
        if self.way == "default":
            return [{"op": "Add", "path": "members", "value": nulled(members)}]
        return super().joining(members)

    def leaving(self, ids: Iterable[str]) -> list[JsonObject]:
        if self.way == "default":
            return [{"op": "Remove", "path": "members", "value": nulled(ids)}]
        return super().leaving(ids)

    def is_member(self, group_id: str, user_id: str) -> bool:
        """Ask whether somebody is in a group, by a filter with two conditions."""
        both = f"{comparison('id', group_id)} and {comparison('members', user_id)}"
        exchange = self._call("GET", f"/Groups?filter={quote_plus(both)}&attributes=id", expected=(200,))
        return read_listing(exchange).total == 1


def nulled(ids: Iterable[str]) -> list[JsonObject]:
    """Return references to members, with the null that the default dialect adds."""
    return [{"$ref": None, "value": user_id} for user_id in ids]


def flattened(changes: JsonObject) -> JsonObject:
    """Return changes with a path for each value: ``name.givenName``, or a URN and a colon for an extension."""
    flat: JsonObject = {}
    for name, value in changes.items():
        if isinstance(value, dict):
            mark = ":" if name.startswith("urn:") else "."
            flat.update({f"{name}{mark}{key}": item for key, item in value.items()})
        else:
            flat[name] = value
    return flat


def give_managers(stage: Stage[EntraClient]) -> None:
    """Give somebody a manager and take it away again, in both dialects."""
    person, manager = (stage.id_of(one) for one in stage.others[:2])
    for way, words in stage.client.ways.items():
        stage.narrator.say(words)
        for manager_id in (manager, None):
            stage.client.in_way(way).set_manager(person, manager_id)
            stage.expected.add("scimUser.updated", person)
    stage.tell_learned()


def restore_and_purge(stage: Stage[EntraClient]) -> None:
    """Soft-delete and restore somebody, whose groups must be kept; then delete another one for good."""
    staying, leaving = (stage.id_of(one) for one in stage.others[:2])
    group = push(stage, stage.client.free_group_name("Finance"), stage.members([staying, leaving]))
    stage.deactivate(staying)
    stage.reactivate(staying)
    stage.narrator.say("Restored. Entra does not send memberships again, so they must be there:")
    if not stage.client.is_member(group.id, staying):
        raise Misbehaviour(f"{staying} was restored, and is no longer in {group.id}.")
    stage.narrator.say("Thirty days after its soft-deletion a user is deleted for good; a second time is a 404:")
    stage.deactivate(leaving)
    before = content_of(stage.client.get_user(leaving))
    if before["active"] is not False:
        raise Misbehaviour(f"{leaving} was soft-deleted, and is shown as active.")
    stage.delete(leaving)
    group = note_change(stage, PushedGroup(group.id, group.name, stage.members([staying])))
    stage.client.unlink_group(group)
    stage.expected.add("scimGroup.deleted", group.id)
    stage.narrator.say("Hired again:")
    stage.assign(stage.others[1])
    stage.tell_learned()


CHAPTERS: list[Chapter] = [
    ("Managers are set and taken away", give_managers),
    ("Somebody is restored, and somebody deleted for good", restore_and_purge),
]
