"""Which reads wait for nothing and are over soon, so that whoever serves may answer them one after another."""

from dataclasses import replace

import pytest

from app import create_app, limits_storage
from blueprints.application import Application
from config import Settings

# As Okta, Entra ID and others ask.
QUICK = [
    "/scim/v2/Users",
    "/scim/v2/Users/user_01JD0000000000000000000000",
    "/scim/v2/Users?startIndex=1&count=100",
    "/scim/v2/Users?startIndex=99901&count=100",
    "/scim/v2/Users?count=2",
    "/scim/v2/Users?filter=userName%20eq%20%22ada%40acme.test%22",
    "/scim/v2/Users?filter=userName+eq+%22ada@acme.test%22&startIndex=1&count=1",
    '/scim/v2/Users?filter=externalId%20eq%20"00u1"',
    "/scim/v2/Users?startIndex=1&count=1&filter=userName%20eq%20%22ada%22",
]
OTHERS = [
    "/",
    "/scim/v2/Groups",
    "/scim/v2/Groups/group_01JD0000000000000000000000",
    "/scim/v2/Users/",
    "/scim/v2/Users/.search",
    "/scim/v2/Users?startIndex=0",
    "/scim/v2/Users?count=0",
    "/scim/v2/Users?sortBy=name.familyName",
    "/scim/v2/Users?attributes=userName",
    "/scim/v2/Users?filter=userName%20co%20%22a%22",
    "/scim/v2/Users?filter=displayName%20eq%20%22a%22",
    "/scim/v2/Users?filter=userName%20eq%20%22a%22%20or%20displayName%20co%20%22a%22",
    '/scim/v2/Users?filter=userName%20eq%20"a"%20or%20displayName%20co%20"a"',
    "/scim/v2/Users?filter=userName%20eq%20%22a%22+or+displayName+co+%22a%22",
    "/scim/v2/Users?filter=userName%20eq%20%22a%22&filter=userName%20co%20%22a%22",
    "/scim/v2/Users?filter=userName%20eq%20%22a%22&cursor=",
    "/v1/organizations",
]


@pytest.fixture
def database_url(fresh_sqlite_url: str) -> str:
    return fresh_sqlite_url


@pytest.fixture
def one_machine(environ: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Have limits counted as ``flask serve`` has it: in the memory of this machine."""
    environ["SCIM_RATE_LIMIT"] = "1000 per second"
    monkeypatch.setattr("app.limits_storage", lambda settings: limits_storage(replace(settings, embedded_redis=True)))


@pytest.mark.usefixtures("one_machine")
@pytest.mark.parametrize("uri", QUICK)
def test_what_reads_a_few_users_is_answered_at_once(app: Application, uri: str) -> None:
    assert app.answers_at_once is not None
    assert app.answers_at_once(uri)


@pytest.mark.usefixtures("one_machine")
@pytest.mark.parametrize("uri", OTHERS)
def test_what_may_read_everybody_is_not(app: Application, uri: str) -> None:
    assert app.answers_at_once is not None
    assert not app.answers_at_once(uri)


def test_where_redis_is_asked_nothing_is_answered_at_once(app: Application) -> None:
    assert app.answers_at_once is None


@pytest.mark.usefixtures("one_machine")
def test_where_a_server_is_asked_nothing_is_answered_at_once(environ: dict[str, str], fresh_postgres_url: str) -> None:
    settings = Settings.from_environment({**environ, "DATABASE_URL": fresh_postgres_url})
    assert create_app(settings).answers_at_once is None  # type: ignore[attr-defined]
