"""The pages of an organization of 100,000 people meet an index, and cost the same in the middle as at the start.

Asserted by the plans of both databases, not by time.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import text
from sqlalchemy.orm import Session

from app import create_app
from config import Settings
from database import db
from directory.group_lists import count_members, list_group_members, list_groups
from directory.person_history import list_person_history
from organizations.audit import find_latest_acts
from organizations.member_search import MemberFilter, search_members
from organizations.organizations import bootstrap
from tests.conftest import SECRET_KEY, looking_on

pytestmark = pytest.mark.slow

PEOPLE = 100_000
COUNTED = f"WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < {PEOPLE}) "
# Those of an even number are in the organization that is looked at, the others elsewhere.
ORGANIZATION = "CASE WHEN n % 2 = 0 THEN :organization ELSE :elsewhere END"
MIDDLE = "orgmem_1050000"
# One in a thousand is an admin, by hand, or left. Here everybody is in one group, elsewhere they are in many.
SEED = [
    "INSERT INTO users (id, first_name, last_name, email_address, email_key, public_metadata, active, created_at, "
    "updated_at, managed_by_organization_id) "
    + COUNTED
    + "SELECT 'user_' || (1000000 + n), 'First' || n, 'Last', 'u' || n || '@x', 'u' || n || '@x', '{}', true, 0, 0, "
    f"{ORGANIZATION} FROM n",
    "INSERT INTO organization_memberships (id, organization_id, user_id, role_id, role_source, created_at, updated_at, "
    "deleted_at) " + COUNTED + f"SELECT 'orgmem_' || (1000000 + n), {ORGANIZATION}, 'user_' || (1000000 + n), "
    "(SELECT id FROM roles WHERE key = CASE WHEN n % 1000 < 2 THEN 'org:admin' ELSE 'org:member' END), "
    "CASE WHEN n % 1000 = 2 THEN 'manual' ELSE 'mapping' END, 0, 0, CASE WHEN n % 1000 = 4 THEN 1 END FROM n",
    "INSERT INTO directory_users (organization_id, user_id, user_name, user_name_key, display_name, active, "
    "sent_groups, document, document_key, version, created_at, last_modified_at) "
    + COUNTED
    + f"SELECT {ORGANIZATION}, 'user_' || (1000000 + n), 'u' || n, 'u' || n, 'First' || n, n % 1000 <> 4, '[]', "
    "'{}', '{}', 1, 0, 0 FROM n",
    "INSERT INTO directory_groups (organization_id, id, display_name, display_name_key, document, document_key, "
    "version, created_at, last_modified_at) "
    + COUNTED
    + f"SELECT {ORGANIZATION}, 'grp_' || (1000000 + n), 'g' || n, 'g' || n, '{{}}', '{{}}', 1, 0, 0 "
    "FROM n WHERE n <= 20000",
    "INSERT INTO directory_group_members (organization_id, group_id, user_id, joined_at) "
    + COUNTED
    + f"SELECT {ORGANIZATION}, 'grp_' || CASE WHEN n % 2 = 0 THEN 1000002 ELSE 1000001 + n % 10000 - 1 END, "
    "'user_' || (1000000 + n), n / 10 FROM n",
    "INSERT INTO events (id, organization_id, stream, sequence, type, occurred_at, user_id, body) "
    + COUNTED
    + f"SELECT 'evt_' || (1000000 + n), {ORGANIZATION}, {ORGANIZATION}, 1000 + n, 'scimUser.updated', n, "
    "'user_' || (1000000 + n % 1000), '{\"data\": {}}' FROM n WHERE n <= 20000",
    "INSERT INTO directory_activities (id, organization_id, target_id, method, path, status, action, effects, "
    "warnings, occurred_at) "
    + COUNTED
    + f"SELECT 'req_' || (1000000 + n), {ORGANIZATION}, 'user_' || (1000000 + n % 1000), 'PATCH', '/', 200, "
    "'updated', '[{\"changes\": {}}]', '[]', n FROM n WHERE n <= 20000",
    "ANALYZE",
]


@dataclass
class Crowd:
    """An organization of 100,000 people, and the plans of what its pages ask."""

    app: Flask
    organization_id: str

    def plans(self, ask: Callable[[Session], Any], of: str = "") -> str:
        """Return the plans of all that is asked, or of what is asked of one table, one step a line."""
        asked: list[tuple[str, Any]] = []

        def note(_c: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
            if statement.startswith("SELECT") and f"FROM {of}" in statement:
                asked.append((statement, parameters))

        with self.app.app_context():
            engine = db.engine
        with self.app.app_context(), looking_on(engine, before_cursor_execute=note), db.reading() as session:
            assert ask(session)
            asking_them = list(asked)
            explain = "EXPLAIN QUERY PLAN " if engine.dialect.name == "sqlite" else "EXPLAIN "
            connection = session.connection()
            rows = [row for asking in asking_them for row in connection.exec_driver_sql(explain + asking[0], asking[1])]
        return "\n".join(str(row[-1]) for row in rows)


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def crowd(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, redis_url: str) -> Iterator[Crowd]:
    url = request.getfixturevalue("module_sqlite_url" if request.param == "sqlite" else "module_postgres_url")
    environ = {"DATABASE_URL": url, "DATA_DIR": str(tmp_path_factory.mktemp("members")), "REDIS_URL": redis_url}
    app = create_app(Settings.from_environment({**environ, "SECRET_KEY": SECRET_KEY}))
    with app.app_context():
        with db.unit_of_work() as session:
            organization_id = bootstrap(session, "Acme").organization_id
            ids = {"organization": organization_id, "elsewhere": bootstrap(session, "Globex").organization_id}
        with db.unit_of_work() as session:
            for statement in SEED:
                session.execute(text(statement), ids if ":org" in statement else {})
    yield Crowd(app, organization_id)
    with app.app_context():
        db.session.remove()
        db.engine.dispose()


def is_ranged(plan: str) -> bool:
    """Tell whether no large table is read from end to end, and nothing is sorted but what was found."""
    scans = [line for line in plan.splitlines() if "SCAN" in line or "Seq Scan" in line]
    small = ("roles", "event_sequences", "CONSTANT ROW")
    return not [line for line in scans if not any(name in line for name in small)] and not (
        "TEMP B-TREE FOR ORDER BY" in plan or "Sort  (" in plan.replace("Incremental Sort", "")
    )


@pytest.mark.parametrize(
    ("wanted", "index"),
    [
        # Of a half of all there are, PostgreSQL passes over the other half.
        (MemberFilter(), r"ix_organization_memberships_organization_id_id|pk_organization_memberships"),
        (MemberFilter(role="org:admin"), "ix_organization_memberships_role"),
        (MemberFilter(source="manual"), "ix_organization_memberships_role_source"),
        (MemberFilter(former=True), "ix_organization_memberships_former"),
    ],
    ids=["all", "role", "source", "former"],
)
@pytest.mark.parametrize("place", [{}, {"older_than": MIDDLE}, {"newer_than": MIDDLE}], ids=["first", "older", "newer"])
def test_a_page_of_members_is_a_range_of_an_index(
    crowd: Crowd, wanted: MemberFilter, index: str, place: dict[str, str]
) -> None:
    plan = crowd.plans(lambda s: search_members(s, crowd.organization_id, wanted, limit=50, **place).members)
    assert is_ranged(plan), plan
    assert re.search(index, plan), plan


@pytest.mark.parametrize("place", [{}, {"after": "grp_1010000"}, {"before": "grp_1010000"}])
def test_a_page_of_groups_is_a_range_of_an_index(crowd: Crowd, place: dict[str, str]) -> None:
    plan = crowd.plans(lambda s: list_groups(s, crowd.organization_id, limit=25, **place).groups, of="directory_groups")
    assert is_ranged(plan), plan


@pytest.mark.parametrize("place", [{}, {"earlier_than": "5000.user_1050000"}, {"later_than": "5000.user_1050000"}])
def test_a_page_of_the_members_of_a_group_is_a_range_of_an_index(crowd: Crowd, place: dict[str, str]) -> None:
    def page(session: Session) -> Any:
        return list_group_members(session, crowd.organization_id, "grp_1000002", limit=50, **place).members

    plan = crowd.plans(page)
    assert is_ranged(plan), plan
    assert "ix_directory_group_members_latest" in plan, plan


def test_counting_a_few_groups_reads_nothing_of_the_others(crowd: Crowd) -> None:
    plan = crowd.plans(lambda s: count_members(s, crowd.organization_id, ["grp_1000004", "grp_1000006"]))
    assert is_ranged(plan), plan


def test_the_history_of_one_person_is_found_among_all_events(crowd: Crowd) -> None:
    plan = crowd.plans(lambda s: list_person_history(s, crowd.organization_id, "user_1000500", limit=20).entries)
    assert is_ranged(plan), plan
    assert "ix_events_user" in plan, plan


def test_who_gave_a_role_is_found_by_the_membership(crowd: Crowd) -> None:
    ids = [f"orgmem_{1000000 + number}" for number in range(1, 51)]
    plan = crowd.plans(lambda s: [find_latest_acts(s, crowd.organization_id, ids, ["organization_membership.updated"])])
    assert "SCAN administrative_acts" not in plan, plan
    assert crowd.plans(lambda s: [find_latest_acts(s, crowd.organization_id, [], ["any"])]) == ""
