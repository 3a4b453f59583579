"""What tests of transactions look at; ``inside`` is each module's own."""

from collections.abc import Iterator

import pytest
from flask import Flask

from database import db
from tests.conftest import looking_on


@pytest.fixture
def commits(inside: Flask) -> Iterator[list[object]]:
    """Each commit, as it happens."""
    seen: list[object] = []
    with looking_on(db.engine, commit=seen.append):
        yield seen
