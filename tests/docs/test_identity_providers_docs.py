"""docs/identity-providers.md names exactly the providers that can be simulated, their options and their ways."""

import re

from simulator.providers import PROVIDERS
from tests.conftest import ROOT

PAGE = (ROOT / "docs" / "identity-providers.md").read_text()
ROW = re.compile(r"^\| [^|]+ \| `(\w+)` \| `(--[\w-]+)` \| (.+) \|$", re.MULTILINE)


def test_the_page_names_every_simulation_with_its_option_and_its_ways() -> None:
    documented = {idp: (option, re.findall(r"`(\w+)`", ways)) for idp, option, ways in ROW.findall(PAGE)}
    assert documented == {idp: (one.option, list(one.client.ways)) for idp, one in PROVIDERS.items()}


def test_every_simulated_provider_has_a_conversation() -> None:
    for idp in PROVIDERS:
        assert (ROOT / "tests" / "scim" / "conversations" / f"test_{idp}_conversation.py").exists(), idp
