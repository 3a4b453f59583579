"""E-mail address and password: a way in for members of a small installation."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any
from unicodedata import normalize

import pytest
from flask import Flask
from sqlalchemy import select, update
from werkzeug.security import generate_password_hash

from blueprints.profile import passwords
from blueprints.profile.passwords import hash_of_nobody, hash_password
from clock import now_ms
from database import db
from models import AdministrativeAct, OrganizationMembership, Password
from models import Session as BrowserSession
from organizations.passwords import set_password
from organizations.roles import get_role
from organizations.sign_in import make_sign_in_link
from tests.blueprints.profile.conftest import BASE_URL, filled_in

GOOD = "four words in a row"
EMAIL = "ada@acme.example"
USER = "urn:ietf:params:scim:schemas:core:2.0:User"
WRONG = "The e-mail address or the password is not right."


@pytest.fixture(scope="module", autouse=True)
def quick_hashes() -> Iterator[None]:
    """Let hashes take little, for many passwords are tried here; one test looks at what is made without this."""
    hash_of_nobody.cache_clear()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(passwords, "generate_password_hash", partial(generate_password_hash, method="scrypt:1024:8:1"))
        yield
    hash_of_nobody.cache_clear()


@pytest.fixture
def good_hash() -> str:
    return hash_password(GOOD)


@pytest.fixture
def ada(app: Flask, acme: Any, add_member: Callable[..., str], good_hash: str) -> str:
    """An admin of Acme who has a password; her user id."""
    user_id = add_member(acme.organization_id, "Ada", EMAIL, role="org:admin")
    with app.app_context(), db.unit_of_work() as session:
        set_password(session, user_id, good_hash)
    return user_id


def join(app: Flask, organization_id: str, user_id: str) -> None:
    with app.app_context(), db.unit_of_work() as session:
        session.add(
            OrganizationMembership(
                id=f"orgmem_{organization_id}",
                organization_id=organization_id,
                user_id=user_id,
                role=get_role(session, "org:member"),
                role_source="manual",
            )
        )


def sign_in(visitor: Any, password: str = GOOD, email: str = EMAIL) -> Any:
    return visitor.send(visitor.get("/sign-in"), email=email, password=password)


def grow_old(app: Flask) -> None:
    with app.app_context(), db.unit_of_work() as session:
        session.execute(update(BrowserSession).values(proven_at=now_ms() - 31 * 60_000))


def test_a_member_signs_in_and_is_led_back(visit: Callable[..., Any], ada: str) -> None:
    visitor = visit()
    visitor.open("/organization/directory-sync")
    assert sign_in(visitor, email="  ADA@acme.example ").location == "/organization/directory-sync"
    assert visitor.get("/").words(".account__name").endswith("Ada")


@pytest.mark.parametrize("email", [EMAIL, "nobody@acme.example", "ada@acme.example\udc80", "\0", "ＡＤＡ" * 100])
def test_a_wrong_password_is_refused_alike_for_everybody(visit: Callable[..., Any], ada: str, email: str) -> None:
    visitor = visit()
    page = visitor.send_and_read(
        visitor.get("/sign-in"), email=email.encode("utf-8", "replace").decode(), password="not the password"
    )
    assert page.status == 422 and page.title.startswith("Error: ")
    assert WRONG in page.text or "Enter your e-mail address." in page.text
    assert visitor.get("/").heading == "Sign in"


def test_an_address_longer_than_any_is_refused_before_anything_is_made_of_it(visit: Callable[..., Any]) -> None:
    page = visit()
    answer = page.send_and_read(page.get("/sign-in"), email="a" + "\u0300\u0316" * 5000, password="not the password")
    assert answer.status == 422 and "An e-mail address has 320 characters or fewer." in answer.text


def test_a_long_password_fits_however_its_letters_are_typed(app: Flask, visit: Callable[..., Any], ada: str) -> None:
    composed = "".join(chr(0xC0 + number % 30) if number % 30 != 23 else "x" for number in range(180))
    with app.app_context(), db.unit_of_work() as session:
        set_password(session, ada, hash_password(composed))
    assert sign_in(visit(), normalize("NFD", composed)).status_code == 303
    assert sign_in(visit(), normalize("NFD", composed)[:-2]).status_code == 422


def test_the_same_work_is_done_for_an_unknown_address(
    visit: Callable[..., Any], ada: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    checked: list[str] = []
    check = passwords.check_password_hash
    monkeypatch.setattr(
        passwords, "check_password_hash", lambda known, typed: checked.append(known) or check(known, typed)
    )
    for email in (EMAIL, "nobody@acme.example"):
        visitor = visit()
        sign_in(visitor, "not the password", email)
    methods = {known.rpartition("$")[0].partition("$")[0] for known in checked}
    assert len(checked) == 2 and len(methods) == 1 and methods.pop().startswith("scrypt:")


def test_hashing_takes_long_on_purpose_whether_an_account_is_there_or_not(
    app: Flask, visit: Callable[..., Any], ada: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(passwords, "generate_password_hash", generate_password_hash)
    hashes = [hash_password(GOOD), hash_of_nobody.__wrapped__()]
    assert [made.partition("$")[0] for made in hashes] == ["scrypt:32768:8:1"] * 2
    with app.app_context(), db.unit_of_work() as session:
        set_password(session, ada, hashes[0])
    assert sign_in(visit(), "not the password").status_code == 422
    assert sign_in(visit()).status_code == 303


def test_whoever_the_idp_deactivates_is_out_and_cannot_sign_in(
    app: Flask, acme: Any, visit: Callable[..., Any], good_hash: str
) -> None:
    made = acme.scim("POST", "/Users", {"schemas": [USER], "userName": EMAIL, "active": True}).json
    with app.app_context(), db.unit_of_work() as session:
        set_password(session, made["id"], good_hash)
    visitor = visit()
    assert sign_in(visitor).status_code == 303 and visitor.get("/").heading == "Members"
    acme.scim("PATCH", f"/Users/{made['id']}", deactivate())
    assert visitor.get("/").heading == "Sign in"
    assert WRONG in visitor.send_and_read(visitor.get("/sign-in"), email=EMAIL, password=GOOD).text


def deactivate() -> dict[str, Any]:
    operation = {"op": "replace", "value": {"active": False}}
    return {"schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"], "Operations": [operation]}


def test_attempts_are_limited_for_an_account_known_or_not(visit: Callable[..., Any], ada: str) -> None:
    for email in (EMAIL, "nobody@acme.example"):
        answers = [sign_in(visit(), "not the password", email) for _ in range(11)]
        assert [answer.status_code for answer in answers] == [422] * 10 + [429]
        assert "Too many attempts" in answers[-1].text and 0 < int(answers[-1].headers["Retry-After"]) <= 900
    assert sign_in(visit()).status_code == 429, "the right one too: what is guessed must not be told"


@pytest.mark.parametrize("environ", [{"PASSWORD_RATE_LIMIT": "1 per hour"}], indirect=True)
def test_attempts_are_limited_for_a_network_address(visit: Callable[..., Any]) -> None:
    answers = [sign_in(visit(), "guess guess guess", f"{number}@acme.example").status_code for number in range(6)]
    assert answers == [422] * 5 + [429]


@pytest.mark.parametrize("environ", [{"PASSWORD_RATE_LIMIT": "1 per hour", "TRUSTED_PROXIES": "1"}], indirect=True)
def test_whoever_has_a_network_of_ipv6_has_no_more_attempts(visit: Callable[..., Any]) -> None:
    visitor = visit()
    page = visitor.get("/sign-in")

    def guess(number: int, address: str) -> int:
        values = {
            **filled_in(page.soup.select_one("main form")),
            "email": f"{number}@acme.example",
            "password": "guess",
        }
        headers = {"X-Forwarded-For": f"192.0.2.1, {address}"}
        return int(visitor.client.post("/sign-in", data=values, headers=headers, base_url=BASE_URL).status_code)

    assert [guess(number, f"2001:db8:0:1::{number:x}") for number in range(6)] == [422] * 5 + [429]
    assert guess(7, "2001:db8:0:2::1") == 422, "that is somebody else"
    assert guess(8, "::ffff:198.51.100.7") == guess(9, "198.51.100.8") == 422


@pytest.fixture
def environ(environ: dict[str, str], request: pytest.FixtureRequest) -> dict[str, str]:
    return {**environ, **getattr(request, "param", {})}


@pytest.mark.parametrize("environ", [{"PASSWORD_SIGN_IN": "0"}], indirect=True)
def test_a_setting_takes_passwords_away(visit: Callable[..., Any], acme: Any, ada: str) -> None:
    visitor = visit()
    assert not visitor.get("/sign-in").soup.select("form")
    visitor = visit(acme.organization_id, ada)
    assert "Password" not in [heading.text for heading in visitor.get("/account").soup.select("h2")]
    visitor.get("/account/password", 404)
    assert visitor.post_with_token("/sign-in", email=EMAIL, password=GOOD).status_code == 404


def test_the_session_is_another_one_after_each_proof(app: Flask, visit: Callable[..., Any], ada: str) -> None:
    visitor, thief = visit(), visit()
    sign_in(visitor)
    thief.cookie = visitor.cookie
    grow_old(app)
    page = visitor.get("/organization/directory-sync/tokens/new")
    assert page.heading == "Confirm that it is you"
    refused = visitor.send_and_read(page, password="not the password")
    assert refused.status == 422 and "The password is not right." in refused.text
    assert visitor.send(page, password=GOOD).location == "/organization/directory-sync/tokens/new"
    assert visitor.get("/organization/directory-sync/tokens/new").heading == "Issue new token"
    assert thief.get("/").heading == "Sign in"


def test_a_form_that_needs_a_proof_does_nothing_before_it(
    app: Flask, acme: Any, visit: Callable[..., Any], ada: str
) -> None:
    visitor = visit()
    sign_in(visitor)
    page = visitor.get("/organization/directory-sync/tokens/new")
    grow_old(app)
    assert visitor.send(page, label="Okta").location == "/sign-in/again"
    assert len(acme.api("GET", f"/organizations/{acme.organization_id}/scim/tokens").json["data"]) == 1
    assert visitor.send(visitor.get("/sign-in/again"), password=GOOD).location.endswith("/tokens/new")


# -- Setting one -------------------------------------------------------------------


def test_a_member_sets_a_password_and_is_signed_out_elsewhere(
    app: Flask, acme: Any, visit: Callable[..., Any], add_member: Callable[..., str]
) -> None:
    user_id = add_member(acme.organization_id, "Ada", EMAIL)
    visitor, elsewhere = visit(acme.organization_id, user_id), visit(acme.organization_id, user_id)
    assert "You have no password" in visitor.get("/account").text
    page = visitor.get("/account/password")
    assert visitor.send(page, password=GOOD, again=GOOD).location == "/account"
    assert elsewhere.get("/").heading == "Sign in"
    assert sign_in(elsewhere).status_code == 303
    with app.app_context(), db.reading() as session:
        kept = session.scalars(select(Password)).one()
        assert GOOD not in kept.password_hash and kept.password_hash.startswith("scrypt:")
        acts = session.execute(select(AdministrativeAct.action, AdministrativeAct.actor_id)).all()
        assert ("password.set", user_id) in [tuple(act) for act in acts]


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("short", "12 characters or more"),
        ("x" * 201, "200 characters or fewer"),
        ("aaaaaaaaaaaab", "repeats itself"),
        ("passwordpassword", "repeats itself"),
        ("qwertyuiopas", "row of the keyboard"),
        ("210987654321", "row of the keyboard"),
        ("Password12345!", "most common ones"),
        ("ada@acme.example", "name or address of yours"),
    ],
)
def test_a_weak_password_is_refused_with_the_reason(
    acme: Any, visit: Callable[..., Any], ada: str, typed: str, said: str
) -> None:
    visitor = visit(acme.organization_id, ada)
    page = visitor.send_and_read(visitor.get("/account/password"), password=typed, again=typed)
    assert page.status == 422 and said in page.words(".error-summary")


def test_two_different_new_passwords_are_refused(acme: Any, visit: Callable[..., Any], ada: str) -> None:
    visitor = visit(acme.organization_id, ada)
    page = visitor.send_and_read(visitor.get("/account/password"), password=GOOD, again=f"{GOOD} ")
    assert page.status == 422 and "The two passwords differ." in page.text


def test_setting_a_password_needs_a_fresh_proof(app: Flask, acme: Any, visit: Callable[..., Any], ada: str) -> None:
    visitor = visit(acme.organization_id, ada)
    grow_old(app)
    assert visitor.get("/account/password").heading == "Confirm that it is you"


# -- Several organizations -----------------------------------------------------------


def test_a_person_of_several_organizations_chooses_one(
    app: Flask, globex: Any, visit: Callable[..., Any], ada: str
) -> None:
    join(app, globex.organization_id, ada)
    visitor, thief = visit(), visit()
    assert sign_in(visitor).location == "/sign-in/organizations"
    thief.cookie = visitor.cookie
    page = visitor.get("/sign-in/organizations")
    assert visitor.send(page).status_code == 303
    assert visitor.get("/").words(".brand") == "Globex"
    assert thief.get("/").heading == "Sign in", "the session before is ended"


def test_a_link_for_one_organization_opens_no_other(
    app: Flask, acme: Any, globex: Any, visit: Callable[..., Any], ada: str
) -> None:
    join(app, globex.organization_id, ada)
    visitor = visit(acme.organization_id, ada)
    page = visitor.get("/sign-in/organizations")
    assert "To reach other organizations, sign in with your password" in page.text
    assert visitor.post_with_token(f"/sign-in/organizations/{globex.organization_id}").status_code == 404


def test_a_password_set_under_one_organization_opens_no_other(
    app: Flask, acme: Any, globex: Any, visit: Callable[..., Any], add_member: Callable[..., str]
) -> None:
    """Whoever can make sign-in links for Acme alone could set one for a person of Acme and Globex."""
    user_id = add_member(acme.organization_id, "Ada", EMAIL)
    join(app, globex.organization_id, user_id)
    with app.app_context(), db.unit_of_work() as session:
        _, token = make_sign_in_link(session, acme.organization_id, user_id, organization_bound=True)
    visitor = visit()
    visitor.sign_in(token)
    visitor.send(visitor.get("/account/password"), password=GOOD, again=GOOD)
    by_password = visit()
    assert sign_in(by_password).location == "/", "there is nothing to choose"
    assert by_password.post_with_token(f"/sign-in/organizations/{globex.organization_id}").status_code == 404


def test_a_session_bound_to_one_organization_stays_so_when_it_is_chosen_again(
    app: Flask, acme: Any, globex: Any, visit: Callable[..., Any], add_member: Callable[..., str]
) -> None:
    """Else choosing one's own organization would give a session that sets a password for all of them."""
    user_id = add_member(acme.organization_id, "Ada", EMAIL)
    join(app, globex.organization_id, user_id)
    with app.app_context(), db.unit_of_work() as session:
        set_password(session, user_id, hash_password(GOOD), organization_id=acme.organization_id)
    visitor = visit()
    sign_in(visitor)
    assert visitor.post_with_token(f"/sign-in/organizations/{acme.organization_id}").status_code == 303
    visitor.send(visitor.get("/account/password"), password="another good password", again="another good password")
    with app.app_context(), db.reading() as session:
        assert session.get_one(Password, user_id).organization_id == acme.organization_id
    by_password = visit()
    assert sign_in(by_password, "another good password").location == "/", "there is nothing to choose"


def test_a_link_for_one_organization_changes_no_password_that_opens_others(
    app: Flask, acme: Any, globex: Any, visit: Callable[..., Any], ada: str
) -> None:
    join(app, globex.organization_id, ada)
    with app.app_context(), db.unit_of_work() as session:
        _, token = make_sign_in_link(session, acme.organization_id, ada, organization_bound=True)
    visitor = visit()
    visitor.sign_in(token)
    answer = visitor.send(
        visitor.get("/account/password"), password="another good password", again="another good password"
    )
    assert answer.status_code == 403 and "opens other organizations too" in answer.text
    assert sign_in(visit()).status_code == 303


# -- From the command line -------------------------------------------------------------


def test_the_command_sets_and_removes_a_password(
    runner: Any, acme: Any, visit: Callable[..., Any], add_member: Callable[..., str]
) -> None:
    add_member(acme.organization_id, "Ada", EMAIL)
    done = runner.invoke(args=["set-password", "--email", EMAIL], input=f"{GOOD}\n{GOOD}\n")
    assert done.exit_code == 0 and GOOD not in done.output, done.output
    visitor = visit()
    assert sign_in(visitor).status_code == 303
    assert runner.invoke(args=["set-password", "--email", EMAIL, "--remove"]).exit_code == 0
    assert visitor.get("/").heading == "Sign in" and sign_in(visitor).status_code == 422


@pytest.mark.parametrize(
    ("email", "typed", "said"), [(EMAIL, "short", "12 characters"), ("x@y.z", GOOD, "Nobody here")]
)
def test_the_command_refuses_in_one_line(
    runner: Any, acme: Any, add_member: Callable[..., str], email: str, typed: str, said: str
) -> None:
    add_member(acme.organization_id, "Ada", EMAIL)
    done = runner.invoke(args=["set-password", "--email", email], input=f"{typed}\n{typed}\n")
    assert done.exit_code == 1 and said in done.output and "Traceback" not in done.output
