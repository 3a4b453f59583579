"""The commands that make organizations and ways in; ``serve`` itself is tried in tests/deployment."""

import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import Result
from flask import Flask
from flask.testing import FlaskCliRunner
from sqlalchemy import func, select

from app import create_app
from config import Settings
from database import db
from ids import new_id
from models import Organization, OrganizationMembership, SignInLink, User
from organizations.roles import MEMBER, get_role
from organizations.scim_tokens import find_token_holder
from organizations.secret_keys import find_key_holder
from organizations.sessions import find_signed_in
from organizations.sign_in import sign_in
from serving import remember_address, served_address
from tests.conftest import SECRET_KEY, Tenant, free_port

LINK = re.compile(r"https://acme\.authn\.test/sign-in/(signin_[0-9A-Z]{40})\n")


def signed_in_by(app: Flask, output: str) -> tuple[str, str]:
    """Use the link that a command printed, and return who it signs in: organization and user."""
    link = LINK.fullmatch(output)
    assert link, output
    with app.app_context(), db.unit_of_work() as session:
        who = find_signed_in(session, sign_in(session, link[1]))
        assert who is not None
        return who.organization_id, who.user_id


def assert_one_line_and_status_1(result: Result, words: str) -> None:
    assert result.exit_code == 1
    assert result.stdout == ""
    assert result.stderr.startswith("Error: ")
    assert words in result.stderr
    assert "Traceback" not in result.stderr


# -- bootstrap ----------------------------------------------------------------------


def test_bootstrap_prints_one_json_object_whose_secrets_work(app: Flask, runner: FlaskCliRunner) -> None:
    result = runner.invoke(args=["bootstrap", "--organization", "Acme", "--admin-email", "it@acme.test", "--json"])
    assert (result.exit_code, result.stderr) == (0, "")
    made = json.loads(result.stdout)
    assert list(made) == ["organization_id", "secret_key", "scim_endpoint_url", "scim_token", "sign_in_url"]
    assert made["scim_endpoint_url"] == "https://acme.authn.test/scim/v2/"
    with app.app_context(), db.reading() as session:
        holder = find_token_holder(session, made["scim_token"])
        assert holder is not None
        assert holder.organization_id == made["organization_id"]
        key = find_key_holder(session, made["secret_key"])
        assert key is not None
        assert key.organization_id is None
    organization_id, user_id = signed_in_by(app, made["sign_in_url"] + "\n")
    with app.app_context(), db.reading() as session:
        assert organization_id == made["organization_id"]
        admin = session.get(User, user_id)
        assert admin is not None
        assert admin.email_address == "it@acme.test"


def test_bootstrap_tells_a_person_what_to_do_with_each_secret(runner: FlaskCliRunner) -> None:
    output = runner.invoke(args=["bootstrap", "--organization", "Acme"]).stdout
    for words in (
        "SCIM base URL",
        "SCIM token",
        "Secret key",
        "Sign-in link",
        "in Okta",
        "Authorization: Bearer",
        "works once",
    ):
        assert words.lower() in output.lower()


def test_bootstrap_makes_the_tables_of_a_new_database(tmp_path: Path) -> None:
    environ = {"DATA_DIR": str(tmp_path / "new"), "SECRET_KEY": SECRET_KEY}
    app = create_app(Settings.from_environment(environ))
    result = app.test_cli_runner().invoke(args=["bootstrap", "--organization", "Acme", "--json"])
    assert json.loads(result.stdout)["organization_id"].startswith("org_")
    with app.app_context():
        db.engine.dispose()


def test_bootstrap_refuses_a_name_of_nothing(runner: FlaskCliRunner) -> None:
    assert_one_line_and_status_1(runner.invoke(args=["bootstrap", "--organization", "  "]), "1 to 200 characters")


def test_bootstrap_refuses_the_address_of_somebody_else_and_makes_nothing(app: Flask, runner: FlaskCliRunner) -> None:
    assert runner.invoke(args=["bootstrap", "--organization", "Acme", "--admin-email", "it@acme.test"]).exit_code == 0
    result = runner.invoke(args=["bootstrap", "--organization", "Globex", "--admin-email", "IT@Acme.test"])
    assert_one_line_and_status_1(result, "IT@Acme.test is the address of another user")
    with app.app_context(), db.reading() as session:
        assert session.scalars(select(Organization.name)).all() == ["Acme"]


# -- sign-in-link -------------------------------------------------------------------


def test_the_link_is_for_a_member_who_may_manage_directory_sync(
    app: Flask, runner: FlaskCliRunner, acme: Tenant
) -> None:
    result = runner.invoke(args=["sign-in-link", "--organization", acme.organization_id])
    assert signed_in_by(app, result.stdout) == (acme.organization_id, acme.admin_id)


def test_the_only_organization_needs_no_naming(app: Flask, runner: FlaskCliRunner, acme: Tenant) -> None:
    assert signed_in_by(app, runner.invoke(args=["sign-in-link"]).stdout) == (acme.organization_id, acme.admin_id)


def test_one_of_several_organizations_must_be_named(runner: FlaskCliRunner, acme: Tenant, globex: Tenant) -> None:
    result = runner.invoke(args=["sign-in-link"])
    assert_one_line_and_status_1(result, "Say which organization")
    assert acme.organization_id in result.stderr
    assert globex.organization_id in result.stderr


def test_without_any_organization_the_way_to_one_is_told(runner: FlaskCliRunner) -> None:
    assert_one_line_and_status_1(runner.invoke(args=["sign-in-link"]), "bootstrap")


def test_the_link_can_be_for_a_certain_member(app: Flask, runner: FlaskCliRunner, acme: Tenant, ada: str) -> None:
    in_acme = ["sign-in-link", "--organization", acme.organization_id]
    by_id = runner.invoke(args=[*in_acme, "--user", ada])
    by_address = runner.invoke(args=[*in_acme, "--email", "ADA@acme.test"])
    assert signed_in_by(app, by_id.stdout) == signed_in_by(app, by_address.stdout) == (acme.organization_id, ada)


@pytest.mark.parametrize("which", ["--user", "--email"])
def test_no_link_is_made_for_a_member_of_another_organization(
    app: Flask, runner: FlaskCliRunner, globex: Tenant, ada: str, which: str
) -> None:
    who = ada if which == "--user" else "ada@acme.test"
    result = runner.invoke(args=["sign-in-link", "--organization", globex.organization_id, which, who])
    assert_one_line_and_status_1(result, "No such member in this organization")
    with app.app_context(), db.reading() as session:
        links = select(func.count()).where(SignInLink.user_id == ada)
        assert session.scalar(links) == 0


def test_an_organization_without_any_manager_gets_a_new_admin(app: Flask, runner: FlaskCliRunner, acme: Tenant) -> None:
    with app.app_context(), db.unit_of_work() as session:
        session.query(OrganizationMembership).filter_by(user_id=acme.admin_id).update({"deleted_at": 1})
    result = runner.invoke(args=["sign-in-link", "--organization", acme.organization_id])
    assert "an admin is added" in result.stderr
    organization_id, user_id = signed_in_by(app, result.stdout)
    assert organization_id == acme.organization_id
    assert user_id != acme.admin_id


def test_an_unknown_organization_is_told(runner: FlaskCliRunner, acme: Tenant) -> None:
    result = runner.invoke(args=["sign-in-link", "--organization", "org_none"])
    assert_one_line_and_status_1(result, "No such organization")


def test_two_ways_to_name_a_member_contradict_each_other(runner: FlaskCliRunner, acme: Tenant) -> None:
    result = runner.invoke(args=["sign-in-link", "--user", "user_1", "--email", "ada@acme.test"])
    assert result.exit_code == 2
    assert "not both" in result.stderr


def test_a_database_without_tables_is_told_in_one_line(tmp_path: Path) -> None:
    app = create_app(Settings.from_environment({"DATA_DIR": str(tmp_path / "new")}))
    assert_one_line_and_status_1(app.test_cli_runner().invoke(args=["sign-in-link"]), "flask --app app db upgrade")


def test_a_database_that_does_not_answer_is_told_in_one_line(environ: dict[str, str]) -> None:
    nowhere = f"postgresql://somebody@127.0.0.1:{free_port()}/authn"
    app = create_app(Settings.from_environment({**environ, "DATABASE_URL": nowhere}))
    result = app.test_cli_runner().invoke(args=["bootstrap", "--organization", "Acme"])
    assert_one_line_and_status_1(result, "The database does not answer")


@pytest.fixture
def ada(app: Flask, acme: Tenant) -> str:
    """The id of a plain member of acme."""
    with app.app_context(), db.unit_of_work() as session:
        user = User(id=new_id("user"), email_address="ada@acme.test", email_key="ada@acme.test")
        session.add(user)
        session.add(
            OrganizationMembership(
                id=new_id("orgmem"),
                organization_id=acme.organization_id,
                user=user,
                role=get_role(session, MEMBER),
                role_source="manual",
            )
        )
        return user.id


# -- serve, where it refuses to start --------------------------------------------------


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


def serve(environ: dict[str, str]) -> Result:
    app = create_app(Settings.from_environment(environ))
    return app.test_cli_runner().invoke(args=["serve"])


def test_serve_tells_that_the_port_is_taken(environ: dict[str, str], taken_port: int) -> None:
    result = serve({**environ, "PORT": str(taken_port)})
    assert_one_line_and_status_1(result, f"Port {taken_port} of 127.0.0.1 is taken by another program.")


def test_serve_tells_that_the_address_is_not_of_this_machine(environ: dict[str, str]) -> None:
    result = serve({**environ, "HOST": "192.0.2.1", "PORT": str(free_port())})
    assert_one_line_and_status_1(result, "Nothing can listen on port")


def test_serve_tells_that_the_host_is_no_address(environ: dict[str, str]) -> None:
    result = serve({**environ, "HOST": "no.such.host.invalid", "PORT": str(free_port())})
    assert_one_line_and_status_1(result, "is no address of this machine")


def test_building_the_application_connects_to_nothing(environ: dict[str, str]) -> None:
    """It is built once and then forked: a connection made before would be shared by all web processes."""
    before = set(Path("/proc/self/fd").iterdir())
    create_app(Settings.from_environment(environ))
    opened = {path for path in Path("/proc/self/fd").iterdir() if path.exists()} - before
    assert not [path for path in opened if "socket" in str(path.readlink()) or ".db" in str(path.readlink())]


def test_links_carry_the_address_of_the_server_that_runs_on_the_data(tmp_path: Path) -> None:
    remember_address(tmp_path, "http://127.0.0.1:9000")

    assert served_address(tmp_path, {}) == "http://127.0.0.1:9000"
    for said in ({"PORT": "8000"}, {"PUBLIC_URL": "https://scim.example.com"}):
        assert served_address(tmp_path, said) is None
    assert served_address(tmp_path / "elsewhere", {}) is None


def test_the_command_itself_finds_the_migrations(environ: dict[str, str]) -> None:
    command = [sys.executable, "-m", "flask", "--app", "app", "db", "upgrade"]
    finished = subprocess.run(command, env={**os.environ, **environ}, capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stderr
