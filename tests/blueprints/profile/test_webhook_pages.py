"""The webhook pages: endpoints, deliveries and sending again, with a real receiver."""

import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import update
from standardwebhooks import Webhook

from database import db
from jobs import drain
from models import AdministrativeAct
from models import Session as BrowserSession
from tests import okta
from tests.webhooks.receiving import Receiver, status

# The receiver and its fixtures are those of the webhook tests.
from tests.webhooks.conftest import add_endpoint, receiver, start_receiver  # isort: skip

__all__ = ["add_endpoint", "receiver", "start_receiver"]

WEBHOOKS = "/organization/webhooks"
SECRET = re.compile(r"whsec_[A-Za-z0-9+/=]{20,}")


def endpoints_of(tenant: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = tenant.api(
        "GET", f"/webhook-endpoints?organization_id={tenant.organization_id}"
    ).json["data"]
    return found


def deliver(app: Flask, endpoint_id: str) -> None:
    with app.app_context():
        drain(endpoint_id)


# -- Endpoints --------------------------------------------------------------------------


def test_an_endpoint_is_added_and_its_secret_shown_once(
    app: Flask, acme: Any, acme_admin: Any, receiver: Receiver
) -> None:
    assert "No endpoint yet" in acme_admin.get(WEBHOOKS).text
    form = acme_admin.get(f"{WEBHOOKS}/new")
    answer = acme_admin.send_and_read(form, url=receiver.url, description="Our תור")
    [secret] = SECRET.findall(answer.soup.select_one("#secret").text)
    [endpoint] = endpoints_of(acme)
    assert endpoint["enabled_event_types"] == ["*"] and endpoint["description"] == "Our תור"
    assert "This form was sent before" in acme_admin.send_and_read(form, url=receiver.url).text
    assert len(endpoints_of(acme)) == 1
    page = acme_admin.get(f"{WEBHOOKS}/{endpoint['id']}")
    assert secret not in page.response.text and receiver.url in page.text
    acme.scim("POST", "/Users", okta.user())
    deliver(app, endpoint["id"])
    request = receiver.received[0]
    assert Webhook(secret).verify(request.body, request.headers)["type"] == "scimUser.provisioned"
    assert "scimUser.provisioned Delivered" in acme_admin.get(f"{WEBHOOKS}/{endpoint['id']}").rows()[0]


@pytest.mark.parametrize(
    ("values", "place", "reason"),
    [
        ({"url": ""}, "url", "Enter the URL"),
        ({"url": "ftp://example.com"}, "url", "must begin with https://"),
        ({"url": "http://10.0.0.1/hook"}, "url", "not public"),
        ({"url": "http://169.254.169.254/latest"}, "url", "not public"),
        ({"url": "https://user:secret@example.com/"}, "url", "must not hold a user name"),
        ({"url": "https://exa mple.com/\0"}, "url", "without spaces"),
        ({"url": "x" * 3000}, "url", "2048 characters or fewer"),
        ({"all_events": "no"}, "all_events", "Choose one event at least"),
        ({"description": "x" * 501}, "description", "500 characters or fewer"),
    ],
)
def test_what_cannot_be_an_endpoint_is_refused_at_its_place(
    acme: Any, acme_admin: Any, values: dict[str, str], place: str, reason: str
) -> None:
    typed = {"url": "http://127.0.0.1:9/", **values}
    page = acme_admin.send_and_read(acme_admin.get(f"{WEBHOOKS}/new"), **typed)
    assert page.status == 422 and page.title.startswith("Error: ")
    assert reason in page.words(f"#{place}-error")
    assert page.soup.select_one("#url")["value"] == typed["url"].replace("\0", "")
    assert endpoints_of(acme) == []


def test_an_endpoint_is_changed_switched_off_and_on_and_deleted(
    app: Flask, acme: Any, acme_admin: Any, receiver: Receiver, add_endpoint: Callable[..., Any]
) -> None:
    endpoint = add_endpoint(acme, receiver, enabled_event_types=["scimUser.*"])
    here = f"{WEBHOOKS}/{endpoint['id']}"
    form = acme_admin.get(f"{here}/edit")
    ticked = [box["name"] for box in form.soup.select("input[type=checkbox][checked]")]
    assert ticked == ["event_scimUser_provisioned", "event_scimUser_updated", "event_scimUser_deprovisioned"]
    assert acme_admin.send(form, description="Changed", event_scimGroup_created="y").status_code == 303
    [changed] = endpoints_of(acme)
    assert len(changed["enabled_event_types"]) == 4 and changed["description"] == "Changed"
    acme_admin.send(acme_admin.get(here), f"{here}/switch")
    assert endpoints_of(acme)[0]["enabled"] is False
    assert "by hand" in acme_admin.get(here).text
    acme_admin.send(acme_admin.get(here), f"{here}/switch")
    assert endpoints_of(acme)[0]["enabled"] is True
    confirm = acme_admin.get(f"{here}/delete")
    assert "at once and for good" in confirm.text and len(endpoints_of(acme)) == 1
    acme_admin.send(confirm)
    assert endpoints_of(acme) == []
    with app.app_context(), db.reading() as session:
        acts = session.query(AdministrativeAct).filter_by(target_id=endpoint["id"], actor_kind="member").all()
        assert [act.action.rpartition(".")[2] for act in acts] == ["updated", "disabled", "enabled", "deleted"]
        assert receiver.url not in json.dumps([act.details for act in acts]), "a path may be a secret"


def test_events_are_not_led_elsewhere_without_a_fresh_proof(
    app: Flask, acme: Any, acme_admin: Any, receiver: Receiver, add_endpoint: Callable[..., Any]
) -> None:
    """A new endpoint needs one; the address of one that is there must not be the way around it."""
    here = f"{WEBHOOKS}/{add_endpoint(acme, receiver)['id']}/edit"
    form = acme_admin.get(here)
    with app.app_context(), db.unit_of_work() as session:
        session.execute(update(BrowserSession).values(proven_at=0))
    assert acme_admin.send(form, url=receiver.url.replace("hook", "thief")).location == "/sign-in/again"
    assert acme_admin.open(here).location == "/sign-in/again"
    assert endpoints_of(acme)[0]["url"] == receiver.url


def test_a_rotated_secret_is_shown_once_and_both_sign(
    app: Flask, acme: Any, acme_admin: Any, receiver: Receiver, add_endpoint: Callable[..., Any]
) -> None:
    endpoint = add_endpoint(acme, receiver)
    confirm = acme_admin.get(f"{WEBHOOKS}/{endpoint['id']}/rotate-secret")
    assert "For 24 hours both secrets sign" in confirm.text
    shown = acme_admin.send_and_read(confirm)
    [secret] = SECRET.findall(shown.soup.select_one("#secret").text)
    assert acme_admin.send(confirm).status_code == 409, "a reload makes no other"
    assert "Two secrets sign" in acme_admin.get(f"{WEBHOOKS}/{endpoint['id']}").text
    acme.scim("POST", "/Users", okta.user())
    deliver(app, endpoint["id"])
    request = receiver.received[0]
    for signing in (secret, endpoint["signing_secret"]):
        Webhook(signing).verify(request.body, request.headers)


# -- Deliveries ---------------------------------------------------------------------------


def test_a_test_is_sent_fails_and_is_replayed(
    app: Flask, acme: Any, acme_admin: Any, receiver: Receiver, add_endpoint: Callable[..., Any]
) -> None:
    receiver.answers = [status(500, body=b"<b>out of order</b>")]
    endpoint = add_endpoint(acme, receiver)
    here = f"{WEBHOOKS}/{endpoint['id']}"
    sent = acme_admin.send(acme_admin.get(here), f"{here}/test")
    page = acme_admin.get(sent.location)
    assert "Pending next attempt now" in page.text and "No attempt yet" in page.text
    deliver(app, endpoint["id"])
    page = acme_admin.get(sent.location)
    assert "Failed" in page.text and "1 attempt 500" in page.text
    assert page.soup.select(".code")[0].text == "<b>out of order</b>"
    assert json.loads(page.soup.select(".code")[1].text)["type"] == "webhookEndpoint.test"
    acme_admin.send(page, None)
    deliver(app, endpoint["id"])
    page = acme_admin.get(sent.location)
    assert "Delivered" in page.text and "2 attempts 204" in page.text
    assert receiver.received[0].body == receiver.received[1].body
    with app.app_context(), db.reading() as session:
        acts = session.query(AdministrativeAct).filter_by(target_id=endpoint["id"], actor_kind="member").all()
        assert [act.action for act in acts] == ["webhook_endpoint.tested", "webhook_delivery.replayed"]


def test_events_since_a_time_are_sent_again(
    app: Flask, acme: Any, acme_admin: Any, receiver: Receiver, add_endpoint: Callable[..., Any]
) -> None:
    endpoint = add_endpoint(acme, receiver)
    acme.scim("POST", "/Users", okta.user())
    deliver(app, endpoint["id"])
    form = acme_admin.get(f"{WEBHOOKS}/{endpoint['id']}/replay")
    assert form.soup.select_one("#only_failed").has_attr("checked")
    acme_admin.send(form, since="hour")
    deliver(app, endpoint["id"])
    first = len(receiver.received)
    form = acme_admin.get(f"{WEBHOOKS}/{endpoint['id']}/replay")
    everything = {"since": "hour", "csrf_token": form.soup.select_one("main [name=csrf_token]")["value"]}
    assert acme_admin.post(f"{WEBHOOKS}/{endpoint['id']}/replay", **everything).status_code == 303
    deliver(app, endpoint["id"])
    assert len(receiver.received) > first and len(set(receiver.ids())) < len(receiver.received)
    for day in ("", "yesterday", "9999-01-01", "0001-01-01"):
        refused = acme_admin.send_and_read(form, since="day_of", day=day)
        assert refused.status == 422 and "There is a problem" in refused.text
    acme.api("PATCH", f"/webhook-endpoints/{endpoint['id']}", {"enabled": False})
    assert "is disabled" in acme_admin.send_and_read(form, since="hour").words(".error-summary")
    page = acme_admin.get(f"{WEBHOOKS}/deliveries?receiver={endpoint['id']}")
    replay = f"{WEBHOOKS}/deliveries/{page.soup.select_one('tbody a')['href'].rpartition('/')[2]}"
    acme_admin.post_with_token(replay)
    assert "Nothing was sent: the endpoint is disabled." in acme_admin.get(replay).text
    acme_admin.post_with_token(f"{WEBHOOKS}/{endpoint['id']}/test")
    assert "Nothing was sent" in acme_admin.get(WEBHOOKS).text


def test_tests_are_limited(acme: Any, acme_admin: Any, receiver: Receiver, add_endpoint: Callable[..., Any]) -> None:
    endpoint = add_endpoint(acme, receiver)
    codes = [acme_admin.post_with_token(f"{WEBHOOKS}/{endpoint['id']}/test").status_code for _ in range(11)]
    assert codes == [303] * 10 + [429]


def test_deliveries_are_narrowed_and_paged(
    app: Flask, acme: Any, acme_admin: Any, receiver: Receiver, add_endpoint: Callable[..., Any], monkeypatch: Any
) -> None:
    monkeypatch.setattr("blueprints.profile.webhooks.PAGE_SIZE", 2)
    endpoint = add_endpoint(acme, receiver)
    add_endpoint(acme, receiver, description="Another", enabled_event_types=["scimGroup.*"])
    for number in range(5):
        acme.scim("POST", "/Users", okta.user(f"person.n{number}"))
    acme.scim("POST", "/Groups", okta.group())
    deliver(app, endpoint["id"])
    page, seen = acme_admin.get(f"{WEBHOOKS}/deliveries?type=scimUser.provisioned&state=succeeded"), []
    while True:
        links = [link["href"] for link in page.soup.select("tbody a")]
        seen.append(links)
        following = page.soup.select_one("a[rel=next]")
        if following is None:
            break
        page = acme_admin.get(following["href"])
    assert [len(links) for links in seen] == [2, 2, 1] and len({link for links in seen for link in links}) == 5
    back = acme_admin.get(page.soup.select_one("a[rel=prev]")["href"])
    assert [link["href"] for link in back.soup.select("tbody a")] == seen[1]
    assert len(acme_admin.get(f"{WEBHOOKS}/deliveries?state=pending").rows()) == 1
    assert "Nothing matches" in acme_admin.get(f"{WEBHOOKS}/deliveries?from=2020-01-01&to=2020-01-02").text
    assert len(acme_admin.get(f"{WEBHOOKS}/deliveries?state=x&type=%00&from=x").rows()) == 2
    assert "Nothing matches" in acme_admin.get(f"{WEBHOOKS}/deliveries?older_than=%7C%00").text


# -- Who may ----------------------------------------------------------------------------------


def test_who_may_only_read_sees_no_secrets_and_no_payloads(
    app: Flask, acme: Any, acme_member: Any, receiver: Receiver, add_endpoint: Callable[..., Any]
) -> None:
    endpoint = add_endpoint(acme, receiver)
    acme.scim("POST", "/Users", okta.user())
    deliver(app, endpoint["id"])
    here = f"{WEBHOOKS}/{endpoint['id']}"
    delivery = acme_member.get(f"{WEBHOOKS}/deliveries").soup.select_one("tbody a")["href"]
    for path in (WEBHOOKS, here, f"{WEBHOOKS}/deliveries", delivery):
        page = acme_member.get(path)
        assert "/hook" not in page.response.text, "the path of an address may be a secret"
        assert "nadia" not in page.text and not page.soup.select("main form[method=post]")
    for path in ("/new", f"/{endpoint['id']}/edit", f"/{endpoint['id']}/delete", f"/{endpoint['id']}/rotate-secret"):
        acme_member.get(WEBHOOKS + path, 403)
        assert acme_member.post_with_token(WEBHOOKS + path).status_code == 403
    for path in ("switch", "test", "replay"):
        assert acme_member.post_with_token(f"{here}/{path}").status_code == 403
    assert acme_member.post_with_token(delivery).status_code == 403
    assert endpoints_of(acme) == [{**endpoints_of(acme)[0], "enabled": True, "url": receiver.url}]


def test_endpoints_of_others_and_of_the_product_are_not_there(
    app: Flask,
    acme: Any,
    globex: Any,
    acme_admin: Any,
    globex_admin: Any,
    receiver: Receiver,
    add_endpoint: Callable[..., Any],
) -> None:
    endpoint = add_endpoint(acme, receiver)
    product = add_endpoint(acme, receiver, organization_id=None)
    acme.scim("POST", "/Users", okta.user())
    deliver(app, endpoint["id"])
    delivery = acme_admin.get(f"{WEBHOOKS}/deliveries").soup.select_one("tbody a")["href"]
    assert len(acme_admin.get(WEBHOOKS).rows()) == 1
    assert globex_admin.get(WEBHOOKS).rows() == [] and globex_admin.get(f"{WEBHOOKS}/deliveries").rows() == []
    assert globex_admin.get(f"{WEBHOOKS}/deliveries?receiver={endpoint['id']}").rows() == []
    for visitor, hidden in ((globex_admin, endpoint["id"]), (acme_admin, product["id"])):
        for path in ("", "/edit", "/delete", "/rotate-secret", "/replay"):
            visitor.get(f"{WEBHOOKS}/{hidden}{path}", 404)
        for path in ("edit", "delete", "rotate-secret", "switch", "test", "replay"):
            answer = visitor.post_with_token(
                f"{WEBHOOKS}/{hidden}/{path}", url=receiver.url, since="hour", nonce=f"n{path}"
            )
            assert answer.status_code == 404, path
    globex_admin.get(delivery, 404)
    assert globex_admin.post_with_token(delivery).status_code == 404
    assert endpoints_of(acme)[0]["enabled"] is True


def test_the_trouble_of_the_products_endpoint_is_told_without_its_address(
    app: Flask, acme: Any, acme_admin: Any, receiver: Receiver, add_endpoint: Callable[..., Any]
) -> None:
    receiver.answers = [status(410)]
    product = add_endpoint(acme, receiver, organization_id=None)
    acme.scim("POST", "/Users", okta.user())
    deliver(app, product["id"])
    page = acme_admin.get(WEBHOOKS)
    assert "A webhook endpoint of the product is disabled." in page.text and "127.0.0.1" not in page.text
