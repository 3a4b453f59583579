"""docs/settings.md names exactly the settings that are read, and its defaults are the real ones."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from config import Settings
from tests.conftest import ROOT

TABLE = re.compile(r"^\| `(\w+)` \| (.+?) \| (.+?) \|$", re.MULTILINE)
DOCUMENTED = {name: default for name, default, _ in TABLE.findall((ROOT / "docs" / "settings.md").read_text())}


class Watched(Mapping[str, str]):
    """An environment that notes which names are looked up."""

    def __init__(self, values: dict[str, str]) -> None:
        self.values_by_name = values
        self.names: set[str] = set()

    def get(self, key: str, default: str | None = None) -> str | None:  # type: ignore[override]
        self.names.add(key)
        return self.values_by_name.get(key, default)

    def __getitem__(self, key: str) -> str:
        self.names.add(key)
        return self.values_by_name[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self.values_by_name)

    def __len__(self) -> int:
        return len(self.values_by_name)


@pytest.fixture
def watched(tmp_path: Path) -> Watched:
    return Watched({"DATA_DIR": str(tmp_path)})


def test_the_page_names_exactly_the_settings_that_are_read(watched: Watched) -> None:
    Settings.from_environment(watched)
    assert {name for name in watched.names if not name.endswith("_FILE")} == set(DOCUMENTED)
    assert {name for name in watched.names if name.endswith("_FILE")} == {f"{name}_FILE" for name in DOCUMENTED}


def test_the_defaults_of_the_page_are_the_real_ones(watched: Watched, tmp_path: Path) -> None:
    written = {name: default.strip("`") for name, default in DOCUMENTED.items() if default.startswith("`")}
    del written["DATA_DIR"], written["PUBLIC_URL"]
    assert Settings.from_environment({"DATA_DIR": str(tmp_path), **written}) == Settings.from_environment(watched)
