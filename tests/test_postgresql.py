"""Where PostgreSQL does not answer in time: nobody waits for it without an end, and nothing was changed."""

import re
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from flask import Flask
from flask_migrate import upgrade
from sqlalchemy import create_engine, text
from sqlalchemy.engine import make_url

from app import create_app, engine_options
from config import Settings
from database import db
from jobs import APPLICATIONS_PER_WORKER, DRAINS_PER_WORKER
from tests import okta
from tests.conftest import ROOT, SECRET_KEY, Tenant
from transactions.stack import CONNECTIONS_AT_MOST, KEPT_CONNECTIONS


@pytest.fixture
def database_url(fresh_postgres_url: str) -> str:
    """A database whose locks are waited for no longer than a test may."""
    impatient = make_url(fresh_postgres_url).update_query_dict({"options": "-c lock_timeout=200ms"})
    return impatient.render_as_string(hide_password=False)


def test_a_row_that_somebody_else_holds_is_answered_503_and_can_be_written_afterwards(
    acme: Tenant, fresh_postgres_url: str
) -> None:
    user = acme.scim("POST", "/Users", okta.user()).json
    change = okta.patch({"op": "replace", "path": "title", "value": "Tester"})
    other = create_engine(fresh_postgres_url)
    with other.begin() as connection:
        connection.execute(text("SELECT * FROM directory_users FOR UPDATE"))
        refused = acme.scim("PATCH", f"/Users/{user['id']}", change)
        assert (refused.status_code, refused.headers["Retry-After"]) == (503, "5"), refused.text
        assert refused.json["schemas"] == [okta.ERROR]
        assert acme.scim("GET", f"/Users/{user['id']}").json == user, "who reads waits for nobody"
    other.dispose()
    assert acme.scim("PATCH", f"/Users/{user['id']}", change).json["title"] == "Tester"


def test_no_wait_for_postgresql_is_without_an_end(fresh_postgres_url: str, tmp_path: Path) -> None:
    environ = {"DATABASE_URL": fresh_postgres_url, "DATA_DIR": str(tmp_path), "SECRET_KEY": SECRET_KEY}
    app = create_app(Settings.from_environment(environ))
    names = ("lock_timeout", "statement_timeout", "idle_in_transaction_session_timeout")
    with app.app_context():
        with db.reading() as session:
            assert [session.scalar(text(f"SHOW {name}")) for name in names] == ["20s", "1min", "1min"]
            driver = session.connection().connection.dbapi_connection
            assert driver is not None
            given = driver.info.get_parameters()  # type: ignore[attr-defined]
            assert {"connect_timeout", "keepalives_idle", "tcp_user_timeout"} <= given.keys()
        db.engine.dispose()


def test_what_the_address_of_the_database_says_itself_counts() -> None:
    given = engine_options("postgresql+psycopg://host/name?connect_timeout=60")["connect_args"]
    assert "connect_timeout" not in given and "lock_timeout" in given["options"]


def test_every_thread_of_a_process_can_have_a_connection() -> None:
    [threads] = re.findall(r"^threads = (\d+)$", (ROOT / "deploy" / "gunicorn.conf.py").read_text(), re.MULTILINE)
    assert int(threads) == KEPT_CONNECTIONS, "and keeps it from one request to the next"
    assert DRAINS_PER_WORKER + APPLICATIONS_PER_WORKER < CONNECTIONS_AT_MOST


def test_a_migration_waits_for_another_one_for_as_long_as_it_takes(app: Flask, fresh_postgres_url: str) -> None:
    other = create_engine(fresh_postgres_url)

    def migrate() -> None:
        with app.app_context():
            upgrade()
            db.engine.dispose()

    with ThreadPoolExecutor() as pool, other.begin() as connection:
        connection.execute(text("SELECT pg_advisory_xact_lock(76437644)"))
        migrated = pool.submit(migrate)
        time.sleep(1)  # five times what is waited for a lock here
        assert not migrated.done()
        connection.rollback()
        migrated.result(60)
    other.dispose()
