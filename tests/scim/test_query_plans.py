"""What identity providers look up meets an index, and a page in the middle costs what the first one costs.

Asserted by the plans of both databases over 100,000 people, not by time.
"""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask
from psycopg import RawCursor
from scim2_models import SearchRequest
from sqlalchemy import Engine, text

from app import create_app
from config import Settings
from database import db
from directory.directories import Directory
from organizations.organizations import bootstrap
from scim.filters import parse_filter
from scim.provider import make_provider
from scim.sorting import Position
from scim.storage import DirectoryStorage
from tests.conftest import SECRET_KEY, looking_on

pytestmark = pytest.mark.slow

PEOPLE = 100_000
PROVIDER = make_provider()
TYPES = {type_.name: type_ for type_ in PROVIDER.resource_types}
COUNTED = f"WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < {PEOPLE}) "
SEED = [
    "INSERT INTO users (id, public_metadata, active, created_at, updated_at) "
    + COUNTED
    + "SELECT 'user_' || (1000000 + n), '{}', true, 0, 0 FROM n",
    "INSERT INTO directory_users (organization_id, user_id, user_name, user_name_key, external_id, display_name_key, "
    "active, shown_active, sent_groups, document, document_key, version, created_at, last_modified_at) "
    + COUNTED
    + "SELECT :organization, 'user_' || (1000000 + n), 'u' || n, 'u' || n, 'x' || n, 'd' || n, "
    "n % 1000 <> 0, n % 1000 <> 0, '[]', '{}', '{}', 1, 0, 0 FROM n",
    "INSERT INTO directory_user_emails (organization_id, user_id, position, value_key, type_key) "
    + COUNTED
    + "SELECT :organization, 'user_' || (1000000 + n), 0, 'u' || n || '@x', 'work' FROM n",
    "INSERT INTO directory_groups (organization_id, id, display_name, display_name_key, external_id, document, "
    "document_key, version, created_at, last_modified_at) "
    + COUNTED
    + "SELECT :organization, 'grp_' || (1000000 + n), 'g' || n, 'g' || n, 'x' || n, '{}', '{}', 1, 0, 0 "
    "FROM n WHERE n <= 20000",
    "INSERT INTO directory_group_members (organization_id, group_id, user_id, joined_at) "
    + COUNTED
    + "SELECT :organization, 'grp_' || (1000000 + n % 20000 + 1), 'user_' || (1000000 + n), 0 FROM n",
    "ANALYZE",
]


class Directory100k:
    """A directory of 100,000 people, and the plans of what is asked of it."""

    def __init__(self, app: Flask, organization_id: str, token: str) -> None:
        self.app, self.organization_id, self.token = app, organization_id, token

    def plans(self, path: str) -> str:
        """Return the plans of all that a request asks of the directory's tables."""
        asked: list[tuple[str, Any]] = []

        def note(_c: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
            if "FROM directory_users" in statement or "FROM directory_group" in statement:
                asked.append((statement, parameters))

        with self.app.app_context():
            engine: Engine = db.engine
        with looking_on(engine, before_cursor_execute=note):
            found = self.app.test_client().get(path, headers={"Authorization": f"Bearer {self.token}"})
        assert found.status_code == 200 and asked
        with self.app.app_context(), db.reading() as session:
            driver: Any = session.connection().connection.dbapi_connection
            explain = "EXPLAIN QUERY PLAN " if engine.dialect.name == "sqlite" else "EXPLAIN "
            rows = []
            for statement, given in asked:
                cursor = RawCursor(driver) if "$1" in statement else driver.cursor()
                rows += cursor.execute(explain + statement, given).fetchall()
        return "\n".join(str(row[-1]) for row in rows)

    def plan(self, resource_type: str, expression: str | None, position: Position | None = None, **order: Any) -> str:
        """Return the plan of the query of one page by cursor."""
        model: Any = PROVIDER.model_for(TYPES[resource_type])
        request = SearchRequest.__class_getitem__(model)(**order)
        asked: list[tuple[str, Any]] = []

        def note(_c: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
            asked.append((statement, parameters))

        with self.app.app_context():
            engine: Engine = db.engine
        with (
            self.app.app_context(),
            looking_on(engine, before_cursor_execute=note),
            db.reading() as session,
            PROVIDER,
        ):
            storage = DirectoryStorage(PROVIDER, session, Directory(self.organization_id))
            filter_ = None if expression is None else parse_filter(expression)
            search = storage.search_of([TYPES[resource_type]], request, filter_)
            asked.clear()
            found = search.page_by_cursor(position, 100, computed=False)
            assert found.documents
            (statement, parameters) = asked[0]
            explain = "EXPLAIN QUERY PLAN " if engine.dialect.name == "sqlite" else "EXPLAIN "
            rows = session.connection().exec_driver_sql(explain + statement, parameters).all()
        # SQLAlchemy gives SQLite an OFFSET with every LIMIT.
        assert "OFFSET" not in statement or (engine.dialect.name == "sqlite" and parameters[-1] == 0)
        return "\n".join(str(row[-1]) for row in rows)


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def crowd(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, redis_url: str
) -> Iterator[Directory100k]:
    url = request.getfixturevalue("module_sqlite_url" if request.param == "sqlite" else "module_postgres_url")
    environ = {"DATABASE_URL": url, "DATA_DIR": str(tmp_path_factory.mktemp("crowd")), "REDIS_URL": redis_url}
    app = create_app(Settings.from_environment({**environ, "SECRET_KEY": SECRET_KEY}))
    with app.app_context():
        with db.unit_of_work() as session:
            made = bootstrap(session, "Acme")
            organization_id = made.organization_id
        with db.unit_of_work() as session:
            for statement in SEED:
                session.execute(text(statement), {"organization": organization_id} if ":org" in statement else {})
    yield Directory100k(app, organization_id, made.scim_token)
    with app.app_context():
        db.session.remove()
        db.engine.dispose()


def is_indexed(plan: str) -> bool:
    """Tell whether no table is read from end to end, and nothing is sorted but what was found."""
    return "SCAN directory" not in plan and "Seq Scan" not in plan


@pytest.mark.parametrize(
    ("resource_type", "expression"),
    [
        ("User", 'id eq "user_1050000"'),
        ("User", 'userName eq "U50000"'),
        ("User", 'externalId eq "x50000"'),
        ("User", 'emails eq "U50000@x"'),
        ("User", 'emails.value eq "u50000@x"'),
        ("User", 'emails[type eq "work"].value eq "u50000@x"'),
        ("User", 'emails[value eq "u50000@x"]'),
        ("User", 'displayName eq "D50000"'),
        ("User", "active eq false"),
        ("User", 'active eq "False"'),
        ("User", 'groups.value eq "grp_1000500"'),
        ("User", 'userName eq "u50001" and active eq true'),
        ("Group", 'id eq "grp_1000500"'),
        ("Group", 'displayName eq "G500"'),
        ("Group", 'externalId eq "x500"'),
        ("Group", 'members.value eq "user_1050000"'),
        ("Group", 'members[value eq "user_1050000"]'),
    ],
)
def test_a_look_up_meets_an_index(crowd: Directory100k, resource_type: str, expression: str) -> None:
    plan = crowd.plan(resource_type, expression)

    assert is_indexed(plan), plan


@pytest.mark.parametrize(
    "path",
    [
        "Users/user_1050000",
        "Users?filter=userName%20eq%20%22u50000%22",
        "Users?filter=externalId%20eq%20%22x50000%22",
        "Users?startIndex=1&count=100",
        "Groups/grp_1000500",
        "Groups?filter=displayName%20eq%20%22g500%22",
    ],
)
def test_who_is_read_with_groups_or_members_meets_an_index_of_both(crowd: Directory100k, path: str) -> None:
    plans = crowd.plans(f"/scim/v2/{path}")

    assert is_indexed(plans), plans
    # Of the members those of one group or user, or of the users of a page, never those of a whole organization.
    of_members = [step for step in plans.splitlines() if "SEARCH directory_group_members" in step]
    assert all(re.search(r"(user|group)_id[=><]", step) for step in of_members), plans


@pytest.mark.parametrize(
    ("expression", "value", "order"),
    [
        (None, None, {}),
        ("active eq true", None, {}),
        (None, "u5", {"sort_by": "userName"}),
        (None, "u5", {"sort_by": "userName", "sort_order": "descending"}),
    ],
)
@pytest.mark.parametrize("is_next", [True, False])
def test_a_page_in_the_middle_is_a_range_of_an_index_without_a_sort(
    crowd: Directory100k, expression: str | None, value: Any, order: dict[str, str], is_next: bool
) -> None:
    first = crowd.plan("User", expression, None, **order)
    middle = crowd.plan("User", expression, Position(is_next, value, 0, "user_1050000"), **order)

    for plan in (first, middle):
        assert is_indexed(plan), plan
        # PostgreSQL puts those of one name, of whom there is one, in order by their ids.
        assert "TEMP B-TREE FOR ORDER BY" not in plan and "Sort  (" not in plan.replace("Incremental Sort", ""), plan
    assert re.search(r"(user_id|user_name_key)\S* ?[<>]|ROW\(", middle), middle
