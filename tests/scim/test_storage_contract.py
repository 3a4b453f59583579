"""scim2-server's own contract for storages, on both databases."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from scim2_models import InvalidFilterException
from scim2_server.testing import SEARCH_FILTERS, ScimStorageContract

from app import create_app
from config import Settings
from database import db
from directory.directories import Directory
from organizations.organizations import make_organization
from organizations.roles import seed_roles
from scim.provider import make_provider
from scim.storage import DirectoryStorage

PROVIDER = make_provider()


# The evaluator of the library finds nothing by it. To us no answer is better than a wrong one.
PART_OF_A_DATE = 'meta.created co "20"'


class SavedStorage(DirectoryStorage):
    """The contract goes on after a write that was refused; a request ends with it, and an operation has a savepoint."""

    def create(self, *args: Any, **kwargs: Any) -> Any:
        with self.session.begin_nested():
            return super().create(*args, **kwargs)

    def update(self, *args: Any, **kwargs: Any) -> Any:
        self.held = None
        with self.session.begin_nested():
            return super().update(*args, **kwargs)


class DirectoryStorageContract(ScimStorageContract):
    """Nothing is skipped: a capability that is not announced, or a search that is refused, fails the test."""

    @staticmethod
    def require(supported: bool, feature: str) -> None:
        assert supported, feature

    def search_or_skip(self, storage: Any, resource_types: Any, search_request: Any) -> Any:
        return self.search(storage, resource_types, search_request)

    @pytest.mark.parametrize("scim_filter", [filter_ for filter_ in SEARCH_FILTERS if filter_ != PART_OF_A_DATE])
    def test_search_filters_as_the_filter_evaluator(
        self, storage: Any, provider: Any, user_type: Any, user_model: Any, scim_filter: str
    ) -> None:
        super().test_search_filters_as_the_filter_evaluator(storage, provider, user_type, user_model, scim_filter)

    def test_a_search_for_a_part_of_a_date_is_refused(self, storage: Any, user_type: Any, user_model: Any) -> None:
        with pytest.raises(InvalidFilterException):
            self.search(storage, [user_type], self.search_request([user_model], filter=PART_OF_A_DATE))

    @pytest.fixture
    def provider(self) -> Any:
        return PROVIDER

    @pytest.fixture
    def storage(self, url: str, tmp_path: Path, redis_url: str) -> Iterator[DirectoryStorage]:
        environ = {"DATABASE_URL": url, "DATA_DIR": str(tmp_path), "REDIS_URL": redis_url, "SECRET_KEY": "x" * 32}
        app = create_app(Settings.from_environment(environ))
        with app.app_context(), PROVIDER:
            with db.unit_of_work() as session:
                seed_roles(session)
                organization = make_organization(session, "Acme")
                directory = Directory(organization.id)
            with db.unit_of_work() as session:
                yield SavedStorage(PROVIDER, session, directory)
            db.session.remove()
            db.engine.dispose()


class TestOnSQLite(DirectoryStorageContract):
    @pytest.fixture
    def url(self, fresh_sqlite_url: str) -> str:
        return fresh_sqlite_url


class TestOnPostgreSQL(DirectoryStorageContract):
    @pytest.fixture
    def url(self, fresh_postgres_url: str) -> str:
        return fresh_postgres_url
