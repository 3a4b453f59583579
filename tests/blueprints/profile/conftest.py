"""A visitor with manners: keeps cookies, sends forms as the pages wrote them, and checks every page it opens."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from bs4 import BeautifulSoup, Tag
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from clock import now_ms
from database import db
from folding import fold
from ids import new_id
from models import DirectoryUser, OrganizationMembership, User
from organizations.roles import get_role
from organizations.sign_in import make_sign_in_link
from tests.blueprints.profile.page_checks import CheckingClient

HOST = "acme.authn.test"
BASE_URL = f"https://{HOST}"
COOKIE = "__Host-authn_scim"


@dataclass
class Page:
    """An answer that is a page."""

    response: TestResponse

    @property
    def soup(self) -> BeautifulSoup:
        """The tree that the client checked."""
        return self.response.soup

    @property
    def status(self) -> int:
        return self.response.status_code

    @property
    def title(self) -> str:
        return self.soup.title.text

    @property
    def heading(self) -> str:
        return self.words("h1")

    @property
    def text(self) -> str:
        return " ".join(self.soup.get_text(" ").split())

    def words(self, selector: str) -> str:
        return " ".join(self.soup.select_one(selector).get_text(" ").split()).replace(" .", ".").replace(" ,", ",")

    def rows(self) -> list[str]:
        return [" ".join(row.get_text(" ").split()) for row in self.soup.select("tbody tr")]

    def links(self) -> list[str]:
        return [link["href"] for link in self.soup.select("a[href]")]


@dataclass
class Visitor:
    """A browser, as far as the pages without JavaScript can tell."""

    client: FlaskClient

    @property
    def cookie(self) -> str:
        return str(self.client.get_cookie(COOKIE, domain=HOST).value)

    @cookie.setter
    def cookie(self, value: str) -> None:
        self.client.set_cookie(COOKIE, value, domain=HOST, secure=True)

    def open(self, path: str, **kwargs: Any) -> TestResponse:
        return self.client.get(path, base_url=BASE_URL, **kwargs)

    def get(self, path: str, status: int = 200) -> Page:
        response = self.open(path, follow_redirects=True)
        assert response.status_code == status, response.text
        return Page(response)

    def send(self, page: Page, action: str | None = None, **values: str) -> TestResponse:
        """Send the form of a page, with the values that a person typed into it."""
        selector = f"form[method=post][action='{action}']" if action else "main form[method=post]"
        form = page.soup.select_one(selector)
        target = form.get("action") or page.response.request.path
        return self.client.post(target, data={**filled_in(form), **values}, base_url=BASE_URL)

    def send_and_read(self, page: Page, action: str | None = None, **values: str) -> Page:
        """Send the form of a page, and return the page that answers it."""
        return Page(self.send(page, action, **values))

    def post(self, path: str, **values: str) -> TestResponse:
        """Post without a page, as another site would; there is no CSRF token in it."""
        return self.client.post(path, data=values, base_url=BASE_URL)

    def post_with_token(self, path: str, **values: str) -> TestResponse:
        """Post with a valid CSRF token of this session, as somebody who edits a form by hand."""
        token = self.get("/organization/members").soup.select_one("input[name=csrf_token]")["value"]
        return self.post(path, csrf_token=token, **values)

    def sign_in(self, token: str) -> TestResponse:
        return self.send(self.get(f"/sign-in/{token}"))


def filled_in(form: Tag) -> dict[str, str]:
    ticked = [
        item
        for item in form.select("input[name]")
        if item["type"] not in ("checkbox", "radio") or item.has_attr("checked")
    ]
    values = {item["name"]: item.get("value", "") for item in ticked}
    values |= {area["name"]: area.text.removeprefix("\n") for area in form.select("textarea[name]")}
    for select in form.select("select[name]"):
        chosen = select.select_one("option[selected]") or select.select_one("option")
        values[select["name"]] = chosen["value"]
    return values


@pytest.fixture
def visit(app: Flask) -> Callable[..., Visitor]:
    """A new browser; signed in as a user of an organization where one is named."""

    def start(organization_id: str | None = None, user_id: str | None = None) -> Visitor:
        app.test_client_class = CheckingClient
        visitor = Visitor(app.test_client())
        if organization_id is not None:
            with app.app_context(), db.unit_of_work() as session:
                _, token = make_sign_in_link(session, organization_id, user_id)
            assert visitor.sign_in(token).status_code == 303
        return visitor

    return start


@pytest.fixture
def acme_admin(visit: Callable[..., Visitor], acme: Any) -> Visitor:
    return visit(acme.organization_id, acme.admin_id)


@pytest.fixture
def globex_admin(visit: Callable[..., Visitor], globex: Any) -> Visitor:
    return visit(globex.organization_id, globex.admin_id)


@pytest.fixture
def acme_member(visit: Callable[..., Visitor], acme: Any, add_member: Callable[..., str]) -> Visitor:
    """Somebody whose role sees Directory sync and changes nothing."""
    return visit(acme.organization_id, add_member(acme.organization_id, "Reader", "reader@acme.example"))


@pytest.fixture
def add_member(app: Flask) -> Callable[..., str]:
    """Add an active member, managed by the directory or not, and return the user's id."""

    def add(
        organization_id: str,
        first_name: str | None,
        email_address: str | None = None,
        *,
        last_name: str | None = None,
        username: str | None = None,
        role: str = "org:member",
        role_source: str = "default",
        in_directory: bool = False,
        managed_by: str | None = None,
    ) -> str:
        now = now_ms()
        user = User(
            id=new_id("user"),
            first_name=first_name,
            last_name=last_name,
            username=username,
            email_address=email_address,
            email_key=fold(email_address) if email_address else None,
            managed_by_organization_id=managed_by or (organization_id if in_directory else None),
        )
        with app.app_context(), db.unit_of_work() as session:
            session.add(user)
            session.add(
                OrganizationMembership(
                    id=new_id("orgmem"),
                    organization_id=organization_id,
                    user_id=user.id,
                    role=get_role(session, role),
                    role_source=role_source,
                    created_at=now,
                )
            )
            session.flush()
            if in_directory:
                session.add(directory_user(organization_id, user.id, email_address or username or user.id))
        return user.id

    return add


def directory_user(organization_id: str, user_id: str, user_name: str, *, active: bool = True) -> DirectoryUser:
    return DirectoryUser(
        organization_id=organization_id,
        user_id=user_id,
        user_name=user_name,
        user_name_key=fold(user_name),
        active=active,
        document="{}",
        document_key={},
    )


@pytest.fixture
def plaintext_in() -> Callable[[Page], str]:
    """Read the plaintext of a SCIM token out of the page that shows it."""

    def read(page: Page) -> str:
        found = re.findall(r"scim_[0-9A-HJKMNP-TV-Z]{40}", page.response.text)
        assert len(found) == 1, "the plaintext stands on the page once"
        return str(found[0])

    return read
