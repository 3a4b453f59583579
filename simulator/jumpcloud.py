"""JumpCloud's provisioning, which tries a connection out on a person and a group that it makes and deletes."""

from collections.abc import Iterable, Mapping
from typing import ClassVar

from simulator.client import Client
from simulator.exchange import JsonObject, Misbehaviour
from simulator.judgement import USER_SCHEMA
from simulator.people import Person
from simulator.push_groups import push
from simulator.stage import Chapter, Stage

TEST_PERSON = Person("00uJUMPCLOUDTEST0000", "jumpcloud.test@acme.example", "JumpCloud", "Test", "en-US")


class JumpCloudClient(Client):
    """JumpCloud's side of one app. It sends no extension schemas."""

    name = "JumpCloud"
    introduction = (
        "JumpCloud creates, changes and deletes a person and a group of its own when it is activated. It adds members"
        " again who are in already, and takes them out by value."
    )
    headers: ClassVar[Mapping[str, str]] = {"Accept": "application/scim+json", "Content-Type": "application/scim+json"}
    ways: ClassVar[Mapping[str, str]] = {"patch": "Configured to PATCH:", "put": "Configured to PUT:"}

    def profile(self, person: Person) -> JsonObject:
        return {
            "schemas": [USER_SCHEMA],
            "userName": person.user_name,
            "externalId": person.hex_id,
            "name": {"givenName": person.given_name, "familyName": person.family_name},
            "displayName": person.full_name,
            "emails": [{"value": person.user_name, "type": "work", "primary": True}],
        }

    def leaving(self, ids: Iterable[str]) -> list[JsonObject]:
        return [{"op": "remove", "path": "members", "value": [{"value": user_id} for user_id in ids]}]


def activate(stage: Stage[JumpCloudClient]) -> None:
    """Activate the connection: the product hears of one arrival and one departure."""
    user_id = stage.assign(TEST_PERSON)["id"]
    stage.client.update_user(user_id, {"displayName": "JumpCloud Changed"})
    stage.expected.add("scimUser.updated", user_id)
    group = push(stage, stage.client.free_group_name("JumpCloud Test"), stage.members([user_id]))
    stage.client.unlink_group(group)
    stage.expected.add("scimGroup.deleted", group.id)
    stage.delete(user_id)
    stage.expect_no_member(user_id)
    if stage.client.find_user(TEST_PERSON.user_name) is not None:
        raise Misbehaviour("The test person was deleted, and a look-up still finds it.")
    stage.tell_learned()


CHAPTERS: list[Chapter] = [("The activation, with a person and a group that are deleted at once", activate)]
