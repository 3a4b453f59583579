"""Directory sync: the state in one sentence, and the life of a token."""

from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask
from redis import Redis
from sqlalchemy import delete, select, update

from clock import now_ms
from database import db
from ids import new_id
from models import (
    AdministrativeAct,
    DirectoryActivity,
    DirectoryGroup,
    DirectoryUser,
    OrganizationMembership,
    Role,
    ScimToken,
    User,
    WebhookEndpoint,
)
from organizations.scim_tokens import find_token_holder
from webhooks.endpoints import disable_endpoint

SYNC = "/organization/directory-sync"
NEW = f"{SYNC}/tokens/new"
MINUTE = 60_000


def tokens_of(app: Flask, organization_id: str) -> list[ScimToken]:
    with app.app_context(), db.reading() as session:
        query = select(ScimToken).where(ScimToken.organization_id == organization_id).order_by(ScimToken.id)
        tokens = list(session.scalars(query))
        session.expunge_all()
        return tokens


def change_tokens(app: Flask, organization_id: str, **values: Any) -> None:
    with app.app_context(), db.unit_of_work() as session:
        session.execute(update(ScimToken).where(ScimToken.organization_id == organization_id).values(**values))


# -- The state ------------------------------------------------------------------


def test_without_a_token_it_says_so_and_offers_one(app: Flask, acme: Any, acme_admin: Any) -> None:
    with app.app_context(), db.unit_of_work() as session:
        session.execute(delete(ScimToken))
    page = acme_admin.get(SYNC)
    assert page.words(".state__sentence").startswith("Not connected.")
    assert "No token yet" in page.text and NEW in page.links()


def test_with_an_unused_token_it_waits_for_the_first_call(acme_admin: Any) -> None:
    assert acme_admin.get(SYNC).words(".state__sentence").startswith("Waiting for the first call.")


def test_after_a_call_it_says_when_and_by_whom(app: Flask, acme: Any, acme_admin: Any, globex_admin: Any) -> None:
    change_tokens(app, acme.organization_id, last_used_at=now_ms() - 4 * MINUTE - 1)
    add_activity(app, acme.organization_id, user_agent="Okta SCIM Client 1.0.0")
    page = acme_admin.get(SYNC)
    assert page.words(".state__sentence") == "Connected. Last call 4 minutes ago, by Okta SCIM Client 1.0.0."
    assert "Connected" not in globex_admin.get(SYNC).text


@pytest.mark.parametrize("end", ["revoked_at", "expires_at"])
def test_when_no_token_is_left_it_is_cut_off(app: Flask, acme: Any, acme_admin: Any, end: str) -> None:
    change_tokens(app, acme.organization_id, last_used_at=now_ms() - 3 * 60 * MINUTE, **{end: now_ms() - 1})
    page = acme_admin.get(SYNC)
    assert page.words(".state__sentence").startswith("Cut off.") and "3 hours ago" in page.text
    assert {"revoked_at": "Revoked", "expires_at": "Expired"}[end] in page.rows()[0]


def test_it_counts_people_and_groups_of_the_own_directory(
    app: Flask, acme: Any, acme_admin: Any, globex_admin: Any
) -> None:
    with app.app_context(), db.unit_of_work() as session:
        for number, (active, deleted_at) in enumerate([(True, None), (True, None), (False, None), (False, 1)]):
            user = User(id=new_id("user"))
            session.add(user)
            session.flush()
            session.add(
                DirectoryUser(
                    organization_id=acme.organization_id,
                    user_id=user.id,
                    user_name=f"p{number}",
                    user_name_key=f"p{number}",
                    active=active,
                    document="{}",
                    document_key={},
                    deleted_at=deleted_at,
                )
            )
        session.add(
            DirectoryGroup(
                organization_id=acme.organization_id,
                id=new_id("grp"),
                display_name="Platform",
                display_name_key="platform",
                document="{}",
                document_key={},
            )
        )
    assert acme_admin.get(SYNC).words(".figures") == "Active people 2 Inactive 1 Groups 1"
    assert globex_admin.get(SYNC).words(".figures") == "Active people 0 Inactive 0 Groups 0"


def add_activity(app: Flask, organization_id: str, **values: Any) -> None:
    row = {"method": "POST", "path": "/scim/v2/Users", "status": 201, "warnings": [], "occurred_at": now_ms(), **values}
    with app.app_context(), db.unit_of_work() as session:
        session.add(DirectoryActivity(id=new_id("req"), organization_id=organization_id, **row))


def test_it_shows_what_was_refused_and_what_was_warned_of(
    app: Flask, acme: Any, acme_admin: Any, globex_admin: Any
) -> None:
    add_activity(app, acme.organization_id)
    add_activity(app, acme.organization_id, status=409, detail="userName <b>is taken</b>.", occurred_at=now_ms() - 1)
    add_activity(app, acme.organization_id, warnings=["No such role."], occurred_at=now_ms() - 10 * MINUTE)
    page = acme_admin.get(SYNC)
    shown = [" ".join(item.get_text(" ").split()) for item in page.soup.select(".troubles li")]
    assert shown == [
        "Refused, 409 just now userName <b>is taken</b>. POST /scim/v2/Users",
        "Warning 10 minutes ago No such role. POST /scim/v2/Users",
    ]
    assert not globex_admin.get(SYNC).soup.select(".troubles")


def test_it_says_when_nobody_can_manage_any_more(app: Flask, acme: Any, acme_member: Any, globex_admin: Any) -> None:
    assert "Nobody can manage" not in acme_member.get(SYNC).text
    with app.app_context(), db.unit_of_work() as session:
        session.execute(
            update(OrganizationMembership)
            .where(OrganizationMembership.user_id == acme.admin_id)
            .values(deleted_at=now_ms())
        )
    assert "Nobody can manage Directory sync any more" in acme_member.get(SYNC).text
    assert "Nobody can manage" not in globex_admin.get(SYNC).text


def test_it_shows_the_base_url_and_leads_to_the_guides(acme_admin: Any) -> None:
    page = acme_admin.get(SYNC)
    assert page.words("#base-url") == "https://acme.authn.test/scim/v2/"
    assert f"{SYNC}/setup" in page.links()


def test_it_says_when_the_calls_of_the_idp_are_refused(
    app: Flask, acme: Any, acme_admin: Any, globex_admin: Any
) -> None:
    change_tokens(app, acme.organization_id, last_used_at=now_ms() - MINUTE)
    for _ in range(3):
        add_activity(app, acme.organization_id, status=409, reason="user_name_taken", action="refused")
    page = acme_admin.get(SYNC)
    assert page.words(".state__sentence").startswith("Failing.") and page.words(".figures__alarm").endswith("3")
    assert "find who else has it" in page.words(".troubles")
    add_activity(app, acme.organization_id)
    page = acme_admin.get(SYNC)
    assert page.words(".state__sentence").startswith("Connected.")
    assert "Errors in 24 hours" not in globex_admin.get(SYNC).text


def test_it_says_for_how_long_nothing_was_heard(app: Flask, acme: Any, acme_admin: Any) -> None:
    change_tokens(app, acme.organization_id, last_used_at=now_ms() - 12 * 24 * 60 * MINUTE)
    assert acme_admin.get(SYNC).words(".state__sentence").startswith("Nothing heard for 12 days.")


def test_it_warns_of_a_token_that_ends_soon(app: Flask, acme: Any, acme_admin: Any, globex_admin: Any) -> None:
    change_tokens(app, acme.organization_id, expires_at=now_ms() + 5 * 24 * 60 * MINUTE + MINUTE)
    assert "“First token” expires in 5 days." in acme_admin.get(SYNC).text.replace("“ ", "“").replace(" ”", "”")
    assert "expires in" not in globex_admin.get(SYNC).text
    change_tokens(app, acme.organization_id, expires_at=now_ms() + 50 * 24 * 60 * MINUTE)
    assert "expires in" not in acme_admin.get(SYNC).text


def test_a_webhook_endpoint_that_was_given_up_is_told_with_the_reason(
    app: Flask, acme: Any, acme_admin: Any, globex_admin: Any
) -> None:
    def add(organization_id: str | None, host: str) -> str:
        body = {"url": f"http://{host}:9/secret-path", "organization_id": organization_id}
        answer = acme.api("POST", "/webhook-endpoints", body)
        assert answer.status_code == 201
        return str(answer.json["id"])

    def disable(endpoint_id: str, reason: str) -> None:
        with app.app_context(), db.unit_of_work() as session:
            disable_endpoint(session, session.get_one(WebhookEndpoint, endpoint_id), reason)

    add(acme.organization_id, "127.0.0.1")
    disable(add(acme.organization_id, "127.0.0.2"), "manual")
    assert "webhook endpoint" not in acme_admin.get(SYNC).text
    failing, ours = add(acme.organization_id, "127.0.0.3"), add(None, "127.0.0.4")
    disable(failing, "failing")
    disable(ours, "gone")
    page = acme_admin.get(SYNC).text
    assert "The webhook endpoint at 127.0.0.3 is disabled. For five days it answered nothing but failures." in page
    assert "A webhook endpoint of the product is disabled. It answered that it is gone (410)." in page
    assert "secret-path" not in page and "127.0.0.4" not in page
    assert "127.0.0.3" not in globex_admin.get(SYNC).text
    acme.api("PATCH", f"/webhook-endpoints/{failing}", {"enabled": True})
    assert "127.0.0.3" not in acme_admin.get(SYNC).text


# -- Issuing ----------------------------------------------------------------------


def test_a_token_is_shown_once_and_works(
    app: Flask, acme: Any, acme_admin: Any, plaintext_in: Callable[..., str]
) -> None:
    page = acme_admin.send_and_read(acme_admin.get(NEW), label="  Okta — Production ")
    assert page.heading == "Token issued" and "only time it is shown" in page.text
    plaintext = plaintext_in(page)
    with app.app_context(), db.reading() as session:
        assert find_token_holder(session, plaintext).organization_id == acme.organization_id
    assert [token.name for token in tokens_of(app, acme.organization_id)] == ["First token", "Okta — Production"]
    assert plaintext not in acme_admin.cookie
    for path in (SYNC, NEW, "/organization/members", "/"):
        later = acme_admin.get(path).response
        assert plaintext not in later.text and plaintext not in str(later.headers)
    assert any(row.startswith(f"Okta — Production {plaintext[:13]}…") for row in acme_admin.get(SYNC).rows())


def test_a_form_sent_twice_issues_one_token(
    app: Flask, acme: Any, acme_admin: Any, plaintext_in: Callable[..., str]
) -> None:
    form = acme_admin.get(NEW)
    plaintext_in(acme_admin.send_and_read(form, label="Okta"))
    again = acme_admin.send_and_read(form, label="Okta")
    assert again.status == 409 and again.heading == "This token was issued before"
    assert "scim_" not in again.text and "revoke it and issue another" in again.text
    assert len(tokens_of(app, acme.organization_id)) == 2
    assert acme_admin.send(acme_admin.get(NEW), label="Okta").status_code == 200, "a new form issues another"


def test_while_redis_is_away_tokens_are_issued_all_the_same(
    app: Flask, acme: Any, acme_admin: Any, plaintext_in: Callable[..., str], caplog: pytest.LogCaptureFixture
) -> None:
    form = acme_admin.get(NEW)
    app.extensions["redis"] = Redis.from_url("unix:///nowhere/redis.sock")
    plaintext_in(acme_admin.send_and_read(form, label="Okta"))
    assert "could not be checked for being sent twice" in caplog.text


@pytest.mark.parametrize(
    ("label", "message"),
    [
        ("", "Enter a label."),
        ("   ", "Enter a label."),
        ("\x00\x07", "Enter a label."),
        ("x" * 201, "The label must be 200 characters or fewer."),
    ],
)
def test_a_wrong_label_is_told_at_the_field_and_above(
    app: Flask, acme: Any, acme_admin: Any, label: str, message: str
) -> None:
    page = acme_admin.send_and_read(acme_admin.get(NEW), label=label)
    assert page.status == 422 and page.title.startswith("Error: Issue new token")
    summary = page.soup.select_one(".error-summary")
    assert summary.has_attr("autofocus") and summary["tabindex"] == "-1"
    assert [(link["href"], link.get_text()) for link in summary.select("a")] == [("#label", message)]
    field = page.soup.select_one("input#label")
    assert field["aria-invalid"] == "true" and "label-error" in field["aria-describedby"].split()
    assert page.words("#label-error") == f"Error: {message}"
    assert len(tokens_of(app, acme.organization_id)) == 1
    corrected = acme_admin.send_and_read(page, label="Okta")
    assert corrected.heading == "Token issued", "the corrected form is the first one that counts"


def test_what_was_typed_stays_in_a_form_that_is_shown_again(acme_admin: Any) -> None:
    page = acme_admin.send_and_read(acme_admin.get(NEW), label="x" * 201, lifetime="90")
    assert page.soup.select_one("#label")["value"] == "x" * 201
    assert page.soup.select_one("#lifetime option[selected]")["value"] == "90"


@pytest.mark.parametrize(("lifetime", "days"), [("", None), ("90", 90), ("365", 365)])
def test_a_token_may_expire(app: Flask, acme: Any, acme_admin: Any, lifetime: str, days: int | None) -> None:
    assert acme_admin.send(acme_admin.get(NEW), label="Okta", lifetime=lifetime).status_code == 200
    token = tokens_of(app, acme.organization_id)[-1]
    if days is None:
        assert token.expires_at is None
    else:
        assert -MINUTE < token.expires_at - token.created_at - days * 24 * 60 * MINUTE < MINUTE


def test_a_lifetime_that_is_not_offered_is_refused(app: Flask, acme: Any, acme_admin: Any) -> None:
    page = acme_admin.send_and_read(acme_admin.get(NEW), label="Okta", lifetime="36500")
    assert page.status == 422 and page.soup.select(".error-summary a[href='#lifetime']")
    assert len(tokens_of(app, acme.organization_id)) == 1


def test_a_label_is_shown_as_text(acme_admin: Any) -> None:
    label = "<img src=x onerror=alert(1)>\u202e“&quot;"
    for page in (acme_admin.send_and_read(acme_admin.get(NEW), label=label), acme_admin.get(SYNC)):
        assert "<img src=x" not in page.response.text and "<img src=x onerror=alert(1)>" in page.text


def test_who_issued_and_revoked_a_token_stands_in_the_audit_log(app: Flask, acme: Any, acme_admin: Any) -> None:
    acme_admin.send(acme_admin.get(NEW), label="Okta")
    token = tokens_of(app, acme.organization_id)[-1]
    acme_admin.send(acme_admin.get(f"{SYNC}/tokens/{token.id}/revoke"))
    acme_admin.send(acme_admin.get(f"{SYNC}/setup/okta/token"), label="Okta again")
    with app.app_context(), db.reading() as session:
        acts = session.scalars(select(AdministrativeAct).where(AdministrativeAct.actor_id == acme.admin_id)).all()
        about = [(act.action, act.details) for act in acts if act.target_type == "scim_token"]
    okta = {"name": "Okta", "prefix": token.prefix}
    assert about[:2] == [("scim_token.issued", okta), ("scim_token.revoked", okta)]
    assert about[2][0] == "scim_token.issued" and about[2][1]["name"] == "Okta again"


# -- Revoking ---------------------------------------------------------------------


def test_revoking_asks_first_and_then_ends_the_token(app: Flask, acme: Any, globex: Any, acme_admin: Any) -> None:
    token = tokens_of(app, acme.organization_id)[0]
    page = acme_admin.get(f"{SYNC}/tokens/{token.id}/revoke")
    assert page.heading == "Revoke “ First token ”?"
    assert "at once and for good" in page.text and "all members and groups stay" in page.text
    assert tokens_of(app, acme.organization_id)[0].revoked_at is None
    response = acme_admin.send(page)
    assert (response.status_code, response.location) == (303, SYNC)
    assert tokens_of(app, acme.organization_id)[0].revoked_at is not None
    assert tokens_of(app, globex.organization_id)[0].revoked_at is None
    overview = acme_admin.get(SYNC)
    assert "The token “First token” is revoked." in overview.text and "Revoked" in overview.rows()[0]
    assert "The token “First token” is revoked." not in acme_admin.get(SYNC).text, "said once"


def test_a_revoked_token_has_nothing_left_to_revoke(app: Flask, acme: Any, acme_admin: Any) -> None:
    path = f"{SYNC}/tokens/{tokens_of(app, acme.organization_id)[0].id}/revoke"
    page = acme_admin.get(path)
    acme_admin.send(page)
    revoked_at = tokens_of(app, acme.organization_id)[0].revoked_at
    assert "Nothing is left to do" in acme_admin.get(path).text
    assert path not in acme_admin.get(SYNC).links()
    assert acme_admin.send(page).status_code == 303, "a second click is no error"
    assert tokens_of(app, acme.organization_id)[0].revoked_at == revoked_at


def test_a_token_of_another_organization_is_not_there(app: Flask, acme: Any, globex_admin: Any) -> None:
    path = f"{SYNC}/tokens/{tokens_of(app, acme.organization_id)[0].id}/revoke"
    assert "No such SCIM token" in globex_admin.get(path, 404).text
    assert globex_admin.post_with_token(path).status_code == 404
    assert tokens_of(app, acme.organization_id)[0].revoked_at is None


@pytest.mark.parametrize("token_id", ["scimt_1", "%00", "x'--", "🔑"])
def test_a_token_that_never_was_is_not_there(acme_admin: Any, token_id: str) -> None:
    acme_admin.get(f"{SYNC}/tokens/{token_id}/revoke", 404)


# -- Who may ------------------------------------------------------------------------


def test_who_may_not_manage_sees_and_changes_nothing(app: Flask, acme: Any, acme_member: Any) -> None:
    page = acme_member.get(SYNC)
    assert "First token" in page.rows()[0]
    assert not [link for link in page.links() if "/tokens/" in link]
    assert "Issue new token" not in page.text and "Ask an admin to issue or revoke" in page.text
    revoke = f"{SYNC}/tokens/{tokens_of(app, acme.organization_id)[0].id}/revoke"
    for path in (NEW, revoke):
        assert acme_member.get(path, 403).title.startswith("Error: ")
        assert acme_member.post_with_token(path, label="Mine", nonce="x").status_code == 403
    assert [token.revoked_at for token in tokens_of(app, acme.organization_id)] == [None]


def test_a_right_that_is_taken_away_counts_at_once(app: Flask, acme: Any, acme_admin: Any) -> None:
    form = acme_admin.get(NEW)
    with app.app_context(), db.unit_of_work() as session:
        session.execute(
            update(OrganizationMembership)
            .where(OrganizationMembership.user_id == acme.admin_id)
            .values(role_id=select(Role.id).where(Role.key == "org:member").scalar_subquery())
        )
    assert acme_admin.send(form, label="Okta").status_code == 403
    assert len(tokens_of(app, acme.organization_id)) == 1


@pytest.mark.parametrize("csrf_token", [None, "", "forged"])
def test_a_form_of_another_site_changes_nothing(app: Flask, acme: Any, acme_admin: Any, csrf_token: str | None) -> None:
    values = {"label": "Forged", "nonce": "x"} | ({} if csrf_token is None else {"csrf_token": csrf_token})
    revoke = f"{SYNC}/tokens/{tokens_of(app, acme.organization_id)[0].id}/revoke"
    for path in (NEW, revoke, "/sign-out"):
        response = acme_admin.post(path, **values)
        assert response.status_code == 400 and "Nothing was changed" in response.text
    assert [token.revoked_at for token in tokens_of(app, acme.organization_id)] == [None]
    assert acme_admin.get(SYNC).heading == "Directory sync"


def test_a_form_of_an_older_session_changes_nothing(
    app: Flask, acme: Any, acme_admin: Any, visit: Callable[..., Any]
) -> None:
    form = acme_admin.get(NEW)
    acme_admin.send(acme_admin.get("/"), "/sign-out")
    other = visit(acme.organization_id, acme.admin_id)
    assert other.send(form, label="Okta").status_code == 400
    assert len(tokens_of(app, acme.organization_id)) == 1


def test_a_token_is_replaced_with_an_overlap(app: Flask, acme: Any, acme_admin: Any) -> None:
    (old,) = tokens_of(app, acme.organization_id)
    page = acme_admin.get(f"{SYNC}/tokens/{old.id}/rotate")
    answer = acme_admin.send_and_read(page, overlap="3600", lifetime="")
    assert answer.heading == "Token issued"
    plaintext = answer.words("#token")
    assert acme.scim("GET", "/Users").status_code == 200, "both work"
    old, new = tokens_of(app, acme.organization_id)
    assert old.replaced_by_id == new.id and 0 < old.expires_at - now_ms() <= 3_600_000
    with app.app_context(), db.reading() as session:
        assert find_token_holder(session, plaintext).token_id == new.id
        act = session.scalars(select(AdministrativeAct).where(AdministrativeAct.action == "scim_token.rotated")).one()
        assert (act.target_id, act.details["replaces"]) == (new.id, old.id)
    assert f"{SYNC}/tokens/{old.id}/rotate" not in acme_admin.get(SYNC).links()
    assert acme_admin.send_and_read(page, overlap="3600", lifetime="").heading == "This token was issued before"
