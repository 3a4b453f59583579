"""What the clients of all identity providers share. How one of them speaks is a subclass in a module of its own.

A client's ``ways`` are the ways of speaking that its IdP has: kinds of app, dialects, settings of a connection.
"""

import copy
import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar, Self
from urllib.parse import quote

from simulator.exchange import Exchange, JsonObject, Misbehaviour, Observer
from simulator.judgement import (
    GROUP_SCHEMA,
    Listing,
    check_created,
    check_refusal,
    check_shown,
    check_user_members,
    read_group,
    read_listing,
    read_user,
)
from simulator.people import Person
from simulator.transport import BackOff, Connections, Transport

PATCH_SCHEMA = "urn:ietf:params:scim:api:messages:2.0:PatchOp"
PAGE_SIZE = 100


@dataclass(frozen=True)
class Assignment:
    """A person assigned to the app; ``before`` is the resource that the look-up found, None where one was created."""

    user: JsonObject
    before: JsonObject | None

    @property
    def changed(self) -> bool:
        """Tell whether linking a found resource changed anything of it."""
        return self.before is not None and content_of(self.before) != content_of(self.user)


@dataclass(frozen=True)
class PushedGroup:
    """A group as it was last pushed: ``members`` are user names by the ids of their users."""

    id: str
    name: str
    members: Mapping[str, str]


class Client:
    """An IdP's side of one app. Every method raises Misbehaviour when an answer is not as the IdP needs it."""

    name: ClassVar[str]
    introduction: ClassVar[str]
    headers: ClassVar[Mapping[str, str]]
    ways: ClassVar[Mapping[str, str]]
    pushes_groups: ClassVar[bool] = True
    takes_404_for_nobody: ClassVar[bool] = False

    def __init__(
        self,
        base_url: str,
        token: str,
        *,
        way: str | None = None,
        connections: int = 8,
        observer: Observer | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.way = way or next(iter(self.ways))
        pool = Connections(base_url, connections, observer)
        self._transport = Transport(
            pool, base_url, f"Bearer {token}", name=self.name, headers=self.headers, sleep=sleep
        )

    # -- How this IdP speaks -------------------------------------------------------

    @property
    def puts_users(self) -> bool:
        """Tell whether users are changed by GET and PUT, not by PATCH."""
        return self.way == "put"

    @property
    def puts_groups(self) -> bool:
        """Tell whether groups are changed by PUT, not by PATCH."""
        return self.way == "put"

    @property
    def deletes_users(self) -> bool:
        """Tell whether somebody who leaves is deleted, not deactivated."""
        return False

    def test_connection(self) -> None:
        """Do what the IdP's button for testing a connection does."""
        self._list("/Users", "startIndex=1&count=1")

    def probes(self) -> Iterable[str]:
        """Return the paths that must be refused to a token that must not work."""
        return ("/Users?startIndex=1&count=1",)

    def profile(self, person: Person) -> JsonObject:
        """Return the attributes that are pushed of a person."""
        raise NotImplementedError

    def creation(self, person: Person) -> JsonObject:
        """Return the body of a creation."""
        return {**self.profile(person), "active": True}

    def shown(self, body: JsonObject) -> JsonObject:
        """Return what must come back of a body."""
        return body

    def operations(self, changes: JsonObject) -> list[JsonObject]:
        """Return the operations of a PATCH that changes a user."""
        return [{"op": "replace", "path": name, "value": value} for name, value in changes.items()]

    def query(self, attribute: str, value: str) -> str:
        """Return the query of a look-up."""
        return f"filter={quote(comparison(attribute, value), safe='')}"

    def address(self, path: str) -> str:
        """Return a path as it is asked for in this way of speaking."""
        return path

    def group_body(self, name: str) -> JsonObject:
        """Return the body of a group's creation."""
        return {"schemas": [GROUP_SCHEMA], "displayName": name, "members": []}

    def naming(self, group: PushedGroup) -> list[JsonObject]:
        """Return the operations that give a group its name."""
        return [{"op": "replace", "path": "displayName", "value": group.name}]

    def joining(self, members: Mapping[str, str]) -> list[JsonObject]:
        """Return the operations by which members join."""
        return [{"op": "add", "path": "members", "value": [{"value": user_id} for user_id in members]}]

    def leaving(self, ids: Iterable[str]) -> list[JsonObject]:
        """Return the operations by which members leave."""
        return [{"op": "remove", "path": f"members[value eq {json.dumps(user_id)}]"} for user_id in ids]

    def prelude(self, _group: PushedGroup) -> list[JsonObject]:
        """Return the operations that come before those on a group's members."""
        return []

    def member_operations(self, group: PushedGroup, add: Mapping[str, str], gone: list[str]) -> list[JsonObject]:
        """Return the operations of a group's PATCH by which some leave and some join."""
        return [*self.prelude(group), *(self.leaving(gone) if gone else []), *(self.joining(add) if add else [])]

    # -- The connection ---------------------------------------------------------------

    @property
    def back_offs(self) -> list[BackOff]:
        """The 429s that were heeded so far."""
        return self._transport.back_offs

    def in_way(self, way: str) -> Self:
        """Return the same client, speaking in another of its ways."""
        twin = copy.copy(self)
        twin.way = way
        return twin

    def with_authorization(self, authorization: str) -> Self:
        """Return the same client with another Authorization header."""
        twin = copy.copy(self)
        twin._transport = self._transport.with_authorization(authorization)
        return twin

    def close(self) -> None:
        """Close the connections."""
        self._transport.connections.close()

    def expect_credentials_refused(self) -> None:
        """Test the connection with a token that must not work."""
        for path in self.probes():
            check_refusal(self._call("GET", path, expected=(401,)), 401)

    # -- Users ------------------------------------------------------------------------

    def find_user(self, user_name: str) -> JsonObject | None:
        """Look a user name up before creating it."""
        return self._find("/Users", "userName", user_name)

    def get_user(self, user_id: str) -> JsonObject:
        """Return a user."""
        return same_user(self._call("GET", f"/Users/{quote(user_id)}", expected=(200,)), user_id)

    def assign(self, person: Person) -> Assignment:
        """Assign a person: look the user name up, then create the user, or link the one that was found."""
        found = self.find_user(person.user_name)
        if found is None:
            return Assignment(self.create_user(person), None)
        return Assignment(self.link(found, person), found)

    def link(self, found: JsonObject, person: Person) -> JsonObject:
        """Bring a user that was found to the profile of a person, and return it."""
        return self._put_user({**found, **self.profile(person), "active": True})

    def create_user(self, person: Person) -> JsonObject:
        """Create a user."""
        return self.create(self.creation(person))

    def create(self, body: JsonObject) -> JsonObject:
        """Create a user with this body."""
        exchange = self._call("POST", "/Users", body, expected=(201,))
        user = read_user(exchange)
        check_shown(exchange, user, self.shown(body))
        check_created(exchange, user)
        return user

    def expect_duplicate_refused(self, person: Person) -> None:
        """Create a user whose name is taken."""
        exchange = self._call("POST", "/Users", self.creation(person), expected=(409,))
        if check_refusal(exchange, 409).get("scimType") != "uniqueness":
            raise Misbehaviour('The 409 must say "scimType": "uniqueness".', exchange)

    def expect_unknown_refused(self, user_id: str) -> None:
        """Read a user that is not there."""
        check_refusal(self._call("GET", f"/Users/{quote(user_id)}", expected=(404,)), 404)

    def update_user(self, user_id: str, changes: JsonObject) -> JsonObject:
        """Push changed attributes."""
        if self.puts_users:
            return self._put_user({**self.get_user(user_id), **changes})
        return self.patch_user(user_id, self.operations(changes), changes)

    def patch_user(self, user_id: str, operations: list[JsonObject], shown: JsonObject) -> JsonObject:
        """Send operations on a user, who must then show this."""
        exchange = self._call("PATCH", f"/Users/{quote(user_id)}", patch(operations), expected=(200, 204))
        user = self.get_user(user_id) if exchange.status == 204 else same_user(exchange, user_id)
        check_shown(exchange, user, shown)
        return user

    def deactivate(self, user_id: str) -> JsonObject:
        """Unassign a person. The user stays readable and shows ``active: false``."""
        return self.update_user(user_id, {"active": False})

    def reactivate(self, user_id: str) -> JsonObject:
        """Give a person back what ``deactivate`` took."""
        return self.update_user(user_id, {"active": True})

    def delete_user(self, user_id: str) -> None:
        """Delete a user, twice; it must be gone."""
        path = f"/Users/{quote(user_id)}"
        self._call("DELETE", path, expected=(204,))
        self.expect_unknown_refused(user_id)
        check_refusal(self._call("DELETE", path, expected=(404,)), 404)

    def import_users(self) -> Iterator[JsonObject]:
        """Yield all users, a page of 100 after the other."""
        start, total, seen = 1, 1, set[str]()
        while start <= total:
            exchange = self._call("GET", f"/Users?startIndex={start}&count={PAGE_SIZE}", expected=(200,))
            listing = read_listing(exchange)
            total = listing.total
            if listing.start_index != start or len(listing.resources) != min(PAGE_SIZE, max(0, total - start + 1)):
                complaint = f"Page {start} of {total} resources came with {len(listing.resources)} of them."
                raise Misbehaviour(complaint, exchange)
            for user in listing.resources:
                check_user_members(user, exchange)
                if user["id"] in seen:
                    raise Misbehaviour(f"{user['id']} is on two pages; the order is not stable.", exchange)
                seen.add(user["id"])
                yield user
            start += PAGE_SIZE

    def _put_user(self, resource: JsonObject) -> JsonObject:
        exchange = self._call("PUT", f"/Users/{quote(resource['id'])}", resource, expected=(200,))
        user = same_user(exchange, resource["id"])
        check_shown(exchange, user, self.shown(resource))
        return user

    # -- Groups -------------------------------------------------------------------------

    def find_group(self, name: str) -> JsonObject | None:
        """Look a group's name up before pushing it."""
        return self._find("/Groups", "displayName", name)

    def free_group_name(self, wish: str) -> str:
        """Return a name that no group has, so that no group of anybody else is touched."""
        number, candidate = 1, wish
        while self.find_group(candidate) is not None:
            number += 1
            candidate = f"{wish} {number}"
        return candidate

    def push_group(self, name: str, members: Mapping[str, str]) -> PushedGroup:
        """Push a group: look its name up, create it without members where it is not found, then push the members."""
        found = self.find_group(name)
        if found is None:
            exchange = self._call("POST", "/Groups", self.group_body(name), expected=(201,))
            found = read_group(exchange)
            check_shown(exchange, found, {"displayName": name})
            check_created(exchange, found)
        empty = PushedGroup(found["id"], name, {})
        return self.change_members(empty, add=members) if members else empty

    def change_members(
        self, group: PushedGroup, *, add: Mapping[str, str] | None = None, remove: Iterable[str] = ()
    ) -> PushedGroup:
        """Push who joined and who left."""
        gone = list(remove)
        kept = {user_id: name for user_id, name in group.members.items() if user_id not in gone}
        changed = PushedGroup(group.id, group.name, {**kept, **(add or {})})
        if self.puts_groups:
            return self._put_group(changed)
        return self._patch_group(changed, self.member_operations(changed, add or {}, gone))

    def rename_group(self, group: PushedGroup, name: str) -> PushedGroup:
        """Push a group's new name."""
        renamed = PushedGroup(group.id, name, group.members)
        return self._put_group(renamed) if self.puts_groups else self._patch_group(renamed, self.naming(renamed))

    def unlink_group(self, group: PushedGroup) -> None:
        """Delete a pushed group on the server; afterwards it must be gone."""
        path = f"/Groups/{quote(group.id)}"
        self._call("DELETE", path, expected=(204,))
        check_refusal(self._call("GET", path, expected=(404,)), 404)

    def check_group(self, group: PushedGroup) -> None:
        """Read a group back and compare it with what was pushed."""
        exchange = self._call("GET", f"/Groups/{quote(group.id)}", expected=(200,))
        _same_group(exchange, group)
        members = {str(member.get("value")) for member in read_group(exchange).get("members") or []}
        if members != set(group.members):
            lacking, surplus = set(group.members) - members, members - set(group.members)
            raise Misbehaviour(f"The group lacks {sorted(lacking)} and has {sorted(surplus)} too many.", exchange)

    def _patch_group(self, group: PushedGroup, operations: list[JsonObject]) -> PushedGroup:
        exchange = self._call("PATCH", f"/Groups/{quote(group.id)}", patch(operations), expected=(200, 204))
        if exchange.status == 200:
            _same_group(exchange, group)
        return group

    def _put_group(self, group: PushedGroup) -> PushedGroup:
        body: JsonObject = {"schemas": [GROUP_SCHEMA], "id": group.id, "displayName": group.name}
        body["members"] = references(group.members)
        exchange = self._call("PUT", f"/Groups/{quote(group.id)}", body, expected=(200, 204))
        if exchange.status == 200:
            _same_group(exchange, group)
        return group

    # -- Asking ---------------------------------------------------------------------------

    def _call(self, method: str, path: str, body: JsonObject | None = None, *, expected: tuple[int, ...]) -> Exchange:
        return self._transport.call(method, self.address(path), body, expected=expected)

    def _list(self, path: str, query: str) -> Listing:
        exchange = self._call("GET", f"{path}?{query}", expected=(200,))
        listing = read_listing(exchange)
        if path == "/Users":
            for user in listing.resources:
                check_user_members(user, exchange)
        return listing

    def _find(self, path: str, attribute: str, value: str) -> JsonObject | None:
        expected = (200, 404) if self.takes_404_for_nobody else (200,)
        exchange = self._call("GET", f"{path}?{self.query(attribute, value)}", expected=expected)
        if exchange.status == 404:
            check_refusal(exchange, 404)
            return None
        return only_hit(exchange, attribute, value)


def patch(operations: list[JsonObject]) -> JsonObject:
    """Return the body of a PATCH."""
    return {"schemas": [PATCH_SCHEMA], "Operations": operations}


def comparison(attribute: str, value: str) -> str:
    """Return a filter: ``eq`` is the only operator that the IdPs look people up with."""
    return f"{attribute} eq {json.dumps(value, ensure_ascii=False)}"


def references(members: Mapping[str, str]) -> list[JsonObject]:
    """Return members as a whole group lists them."""
    return [{"value": user_id, "display": user_name} for user_id, user_name in members.items()]


def content_of(user: JsonObject) -> JsonObject:
    """Return a user without what every write may change: a comparison tells whether anything else did."""
    return {name: value for name, value in user.items() if name != "meta"}


def only_hit(exchange: Exchange, attribute: str, value: str) -> JsonObject | None:
    """Return the one resource of a look-up. A wrong one would be linked, and somebody else's account overwritten."""
    listing = read_listing(exchange)
    if listing.total > 1:
        raise Misbehaviour(f"{listing.total} resources have the {attribute} {value!r}.", exchange)
    for resource in listing.resources:
        if str(resource.get(attribute)).casefold() != value.casefold():
            raise Misbehaviour(f"A look-up of {value!r} found {resource.get(attribute)!r}.", exchange)
        return resource
    if listing.total:
        raise Misbehaviour("The look-up counts a resource that it does not show.", exchange)
    return None


def same_user(exchange: Exchange, user_id: str) -> JsonObject:
    """Return the user of an answer, who must be the one that was meant."""
    user = read_user(exchange)
    if user["id"] != user_id:
        raise Misbehaviour(f"The answer is about {user['id']}, and {user_id} was meant.", exchange)
    return user


def _same_group(exchange: Exchange, group: PushedGroup) -> None:
    shown = read_group(exchange)
    if shown["id"] != group.id or shown["displayName"] != group.name:
        raise Misbehaviour(f"The group must be {group.id} by the name {group.name!r}.", exchange)
