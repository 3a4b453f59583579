"""What came is compared with what must come: each event once, in order, with nothing missing between."""

from typing import Any

import pytest

from simulator.expectation import ExpectedEvents
from simulator.learned import sentence
from simulator.receiver import Event


def event(sequence: int, kind: str, subject: str = "user_1", **data: Any) -> Event:
    return Event(f"evt_{sequence}", kind, sequence, subject, {"data": data})


@pytest.fixture
def expected() -> ExpectedEvents:
    expected = ExpectedEvents()
    expected.add("scimUser.provisioned", "user_1")
    expected.add("scimUser.deprovisioned", "user_1")
    return expected


def test_events_may_arrive_in_any_order_if_their_numbers_tell_the_right_one(expected: ExpectedEvents) -> None:
    came = [event(8, "scimUser.deprovisioned"), event(7, "scimUser.provisioned")]
    assert expected.all_came(came)
    assert expected.compare(came).complaint is None
    assert (expected.arrived(came), len(expected)) == (2, 2)


def test_events_of_other_kinds_and_about_others_do_not_disturb(expected: ExpectedEvents) -> None:
    came = [
        event(1, "organizationMembership.created"),
        event(2, "scimUser.provisioned"),
        event(3, "scimUser.updated", "user_9"),
        event(4, "scimUser.deprovisioned"),
    ]
    assert expected.compare(came).complaint is None


@pytest.mark.parametrize(
    ("came", "complaint"),
    [
        ([event(1, "scimUser.provisioned")], "scimUser.deprovisioned of user_1 never came"),
        (
            [event(1, "scimUser.deprovisioned"), event(2, "scimUser.provisioned")],
            "scimUser.deprovisioned, scimUser.provisioned of user_1 came in another order",
        ),
        (
            [event(n, kind) for n, kind in enumerate(["scimUser.provisioned"] * 2 + ["scimUser.deprovisioned"])],
            "scimUser.provisioned of user_1 came, though nothing happened",
        ),
        (
            [event(1, "scimUser.provisioned"), event(4, "scimUser.deprovisioned")],
            "2, 3 are sequence numbers that nothing came for",
        ),
    ],
)
def test_what_is_wrong_is_said(expected: ExpectedEvents, came: list[Event], complaint: str) -> None:
    assert complaint in (expected.compare(came).complaint or "")


NADIA = {"id": "user_1", "first_name": "Nadia", "last_name": "Petrov"}


@pytest.mark.parametrize(
    ("kind", "data", "words"),
    [
        ("scimUser.provisioned", {"user": NADIA}, "Nadia Petrov joined Acme"),
        ("scimUser.provisioned", {"user": NADIA, "role": "org:member"}, "Nadia Petrov joined Acme as org:member"),
        ("scimUser.provisioned", {"user": {"id": "user_1", "email_address": "n@x.example"}}, "n@x.example joined Acme"),
        ("scimUser.deprovisioned", {"user": NADIA}, "Nadia Petrov may no longer enter Acme"),
        ("scimUser.updated", {"user": NADIA}, "Nadia Petrov has other attributes in the directory"),
        (
            "scimUser.updated",
            {"user": NADIA, "changes": {"role": {"from": "org:member", "to": "org:admin"}}},
            "Nadia Petrov: role org:member → org:admin",
        ),
        (
            "scimGroup.updated",
            {"group": {"display_name": "Admins"}, "members": {"added": ["user_1"], "removed": []}},
            "the group “Admins” changed: 1 joined, 0 left",
        ),
    ],
)
def test_events_are_told_in_words(kind: str, data: dict[str, Any], words: str) -> None:
    assert sentence(event(1, kind, **data), "Acme") == words
