"""scim2-server's own contract for storages, on both databases."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from scim2_server.testing import ScimStorageContract

from app import create_app
from config import Settings
from database import db
from directory.directories import Directory
from organizations.organizations import make_organization
from organizations.roles import seed_roles
from scim.provider import make_provider
from scim.storage import DirectoryStorage

PROVIDER = make_provider()


class DirectoryStorageContract(ScimStorageContract):
    supports_root_search = False

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
                yield DirectoryStorage(PROVIDER, session, directory)
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
