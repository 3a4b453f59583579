"""The webhook receiver believes only what is signed, and notices what contradicts itself."""

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from standardwebhooks.webhooks import Webhook

from simulator.exchange import Misbehaviour
from simulator.receiver import WebhookReceiver

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OTHER_SECRET = "whsec_AAAA9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


@pytest.fixture
def receiver() -> Iterator[WebhookReceiver]:
    with WebhookReceiver() as receiver:
        receiver.trust(SECRET)
        yield receiver


def event(sequence: int = 1, event_id: str = "evt_1", **data: Any) -> bytes:
    envelope = {
        "object": "event",
        "id": event_id,
        "type": "scimUser.provisioned",
        "occurred_at": 1_760_000_000_000,
        "sequence": sequence,
        "organization_id": "org_1",
        "data": data or {"user": {"id": "user_1", "first_name": "Надежда"}},
    }
    return json.dumps(envelope, ensure_ascii=False).encode()


def signed(body: bytes, event_id: str = "evt_1", secret: str = SECRET, age: timedelta = timedelta()) -> dict[str, str]:
    moment = datetime.now(UTC) - age
    signature = Webhook(secret).sign(event_id, moment, body.decode())
    return {
        "webhook-id": event_id,
        "webhook-timestamp": str(int(moment.timestamp())),
        "webhook-signature": signature,
    }


def deliver(receiver: WebhookReceiver, body: bytes, headers: dict[str, str]) -> int:
    request = urllib.request.Request(receiver.url, data=body, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def test_a_signed_event_is_kept(receiver: WebhookReceiver) -> None:
    assert deliver(receiver, event(), signed(event())) == 204
    assert receiver.wait_until(lambda events: len(events) == 1, 5)
    assert receiver.events[0].subject == "user_1"
    receiver.check()


def test_an_event_that_comes_again_counts_as_a_duplicate(receiver: WebhookReceiver) -> None:
    assert deliver(receiver, event(), signed(event())) == 204
    assert deliver(receiver, event(), signed(event())) == 204
    assert (len(receiver.events), receiver.duplicates) == (1, 1)


def test_an_event_that_is_overtaken_is_counted(receiver: WebhookReceiver) -> None:
    for sequence in (2, 1):
        body = event(sequence, f"evt_{sequence}")
        assert deliver(receiver, body, signed(body, f"evt_{sequence}")) == 204
    assert receiver.late_arrivals == 1


def headers_without(name: str) -> dict[str, str]:
    return {key: value for key, value in signed(event()).items() if key != name}


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        pytest.param(event(), signed(event(), secret=OTHER_SECRET), id="signed with another secret"),
        pytest.param(event(2), signed(event()), id="altered"),
        pytest.param(event(), signed(event(), age=timedelta(minutes=6)), id="old"),
        pytest.param(event(), signed(event(), age=timedelta(hours=-1)), id="of the future"),
        pytest.param(event(), headers_without("webhook-signature"), id="not signed"),
        pytest.param(event(), headers_without("webhook-id"), id="without an id"),
        pytest.param(event(), {**signed(event()), "webhook-signature": "v1"}, id="half a signature"),
        pytest.param(event(), {**signed(event()), "webhook-signature": "v1,=="}, id="no base64"),
        pytest.param(event(), signed(event(), "evt_2"), id="under another id"),
        pytest.param(b"\xff\xfe", signed(event()), id="no text"),
        pytest.param(b"[]", signed(b"[]"), id="no event"),
    ],
)
def test_a_delivery_that_cannot_be_believed_is_refused_loudly(
    receiver: WebhookReceiver, body: bytes, headers: dict[str, str]
) -> None:
    assert deliver(receiver, body, headers) == 400
    assert receiver.events == []
    with pytest.raises(Misbehaviour, match="must not be believed"):
        receiver.check()
    with pytest.raises(Misbehaviour, match="must not be believed"):
        receiver.wait_until(lambda events: False, 5)


def test_an_id_that_comes_with_another_body_is_refused(receiver: WebhookReceiver) -> None:
    deliver(receiver, event(), signed(event()))
    assert deliver(receiver, event(2), signed(event(2))) == 400


def test_a_sequence_number_that_comes_twice_is_refused(receiver: WebhookReceiver) -> None:
    deliver(receiver, event(), signed(event()))
    again = event(1, "evt_2")
    assert deliver(receiver, again, signed(again, "evt_2")) == 400


def test_waiting_ends_when_nothing_arrives_any_more(receiver: WebhookReceiver) -> None:
    assert receiver.wait_until(lambda events: False, 0.05) is False
