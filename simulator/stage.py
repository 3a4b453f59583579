"""What all chapters share: the identity provider, the product, who is assigned, and which events are due."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from simulator.backend import ProductBackend
from simulator.client import Assignment, Client
from simulator.exchange import JsonObject, Misbehaviour
from simulator.expectation import DIRECTORY_EVENTS, ExpectedEvents
from simulator.learned import display_name, sentence
from simulator.narrator import Narrator
from simulator.people import Person, invent
from simulator.receiver import WebhookReceiver

# Within a chapter it is enough to see most of what arrives; the last chapter waits for all of it.
CHAPTER_QUIET_SECONDS = 10.0


@dataclass(frozen=True)
class Product:
    """The product's side, where a secret key was given. Members of ``admins_group`` become admins."""

    backend: ProductBackend
    receiver: WebhookReceiver
    organization_id: str
    organization_name: str
    admins_group: str | None


C_co = TypeVar("C_co", bound=Client, covariant=True)


class Stage(Generic[C_co]):
    """Where the story takes place. ``active`` and ``unassigned`` are user names by the ids of users."""

    def __init__(self, client: C_co, narrator: Narrator, people: int, product: Product | None) -> None:
        self.client = client
        self.narrator = narrator
        self.product = product
        self.first = invent(0)
        self.others = [invent(number) for number in range(1, people + 1)]
        self.expected = ExpectedEvents()
        self.active: dict[str, str] = {}
        self.unassigned: dict[str, str] = {}
        self._ids: dict[Person, str] = {}
        self._told = 0

    def id_of(self, person: Person) -> str:
        """Return the id of a person's user."""
        return self._ids[person]

    def members(self, ids: Sequence[str]) -> dict[str, str]:
        """Return users as members of a group."""
        return {user_id: self.active[user_id] for user_id in ids}

    def assign(self, person: Person) -> JsonObject:
        """Assign a person, and expect the event of it."""
        assignment = self.client.assign(person)
        self.note_assignment(person, assignment)
        return assignment.user

    def note_assignment(self, person: Person, assignment: Assignment) -> None:
        """Remember who is assigned, and which event is due."""
        user_id = assignment.user["id"]
        self._ids[person] = user_id
        self.active[user_id] = person.user_name
        self.unassigned.pop(user_id, None)
        if assignment.before is None or not assignment.before["active"]:
            self.expected.add("scimUser.provisioned", user_id)
        elif assignment.changed:
            self.expected.add("scimUser.updated", user_id)

    def deactivate(self, user_id: str) -> None:
        """Unassign a person, and expect the event of it."""
        self.client.deactivate(user_id)
        self.unassigned[user_id] = self.active.pop(user_id)
        self.expected.add("scimUser.deprovisioned", user_id)

    def reactivate(self, user_id: str) -> None:
        """Activate an unassigned person again, and expect the event of it."""
        self.client.reactivate(user_id)
        self.active[user_id] = self.unassigned.pop(user_id)
        self.expected.add("scimUser.provisioned", user_id)

    def delete(self, user_id: str) -> None:
        """Delete a user, and expect the event of it if the person was assigned."""
        self.client.delete_user(user_id)
        if user_id in self.active:
            self.expected.add("scimUser.deprovisioned", user_id)
            self.unassigned[user_id] = self.active.pop(user_id)

    def remove(self, user_id: str) -> None:
        """Let a person leave as the IdP does it: by deactivation or by deletion."""
        if self.client.deletes_users:
            self.delete(user_id)
        else:
            self.deactivate(user_id)

    def expect_member(self, user_id: str, full_name: str, role: str | None = None) -> None:
        """See that the product has somebody as a member by this name, and in this role if one is given."""
        membership = self._membership(user_id)
        if self.product is None:
            return
        if membership is None:
            raise Misbehaviour(f"{full_name} ({user_id}) is assigned and is no member.")
        shown = display_name(membership["user"])
        if shown != full_name:
            raise Misbehaviour(
                f"The membership of {user_id} shows {shown!r}, and {self.client.name} said {full_name!r}."
            )
        if role is not None and membership["role"] != role:
            raise Misbehaviour(f"{full_name} must be {role}, and is {membership['role']}.")
        self.narrator.say(f"Member: {full_name} as {membership['role']}")

    def expect_no_member(self, user_id: str) -> None:
        """See that the product has somebody no longer as a member."""
        if self._membership(user_id) is not None:
            raise Misbehaviour(f"{user_id} was deactivated and still is a member.")

    def tell_learned(self) -> None:
        """Let the events that are due arrive, and tell what they say."""
        if self.product is None:
            return
        receiver = self.product.receiver
        receiver.wait_until(self.expected.all_came, CHAPTER_QUIET_SECONDS)
        news = receiver.events[self._told :]
        self._told += len(news)
        self.narrator.learned(
            [
                sentence(event, self.product.organization_name)
                for event in news
                if event.type.startswith(DIRECTORY_EVENTS)
            ]
        )

    def _membership(self, user_id: str) -> JsonObject | None:
        if self.product is None:
            return None
        return self.product.backend.members(self.product.organization_id).get(user_id)


# The title of a chapter, and what happens in it.
Chapter = tuple[str, Callable[[Stage[Any]], None]]
