"""The commands refuse what cannot work, and end with status 1 when the server misbehaves."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click
import pytest
from click.testing import CliRunner

from simulator.commands import demo, failing_loudly, scim_base_url, simulate
from simulator.exchange import Misbehaviour
from simulator.providers import PROVIDERS


@pytest.mark.parametrize(
    "given",
    [
        "https://acme.authn.sh/scim/v2/",
        "https://acme.authn.sh/scim/v2",
        "https://acme.authn.sh",
        "https://acme.authn.sh/",
    ],
)
def test_the_base_url_may_be_given_with_or_without_its_path(given: str) -> None:
    assert scim_base_url(given) == "https://acme.authn.sh/scim/v2"


@pytest.mark.parametrize("given", ["acme.authn.sh", "ftp://acme.authn.sh", "https://acme.authn.sh/scim/v2/Users", ""])
def test_anything_else_is_no_base_url(given: str) -> None:
    with pytest.raises(click.BadParameter):
        scim_base_url(given)


@pytest.mark.parametrize("idp", PROVIDERS)
def test_a_server_that_is_not_there_is_said_to_give_no_answer(idp: str) -> None:
    result = CliRunner().invoke(simulate, [idp, "--base-url", "http://127.0.0.1:1", "--token", "scim_0"])
    assert result.exit_code == 1
    assert "MISBEHAVIOUR: No answer to GET http://127.0.0.1:1/scim/v2/" in result.stderr


@pytest.mark.parametrize("idp", PROVIDERS)
def test_each_identity_provider_says_in_plain_words_what_it_does(idp: str) -> None:
    result = CliRunner().invoke(simulate, [idp, "--help"])
    assert result.exit_code == 0
    shown = " ".join(result.output.split())
    assert PROVIDERS[idp].client.introduction in shown
    assert PROVIDERS[idp].option in shown and all(way in shown for way in PROVIDERS[idp].client.ways)


def test_a_demo_knows_the_ways_of_whom_it_plays() -> None:
    result = CliRunner().invoke(demo, ["--idp", "entra", "--way", "aiw"])
    assert result.exit_code == 2
    assert "aadOptscim062020" in result.stderr


@pytest.mark.parametrize("idp", PROVIDERS)
def test_a_misbehaviour_ends_the_command_with_status_1_and_shows_both_sides(stub: Any, answer: Any, idp: str) -> None:
    stub.will(answer(418, "I am a teapot", media_type="text/plain"))
    result = CliRunner().invoke(simulate, [idp, "--base-url", stub.url, "--token", "scim_01HKX9SYSECRET"])
    assert result.exit_code == 1
    assert "> GET " in result.stderr
    assert "I am a teapot" in result.stderr
    assert "SECRET" not in result.output


def test_a_demo_on_another_server_needs_its_token() -> None:
    result = CliRunner().invoke(demo, ["--base-url", "http://127.0.0.1:1"])
    assert result.exit_code == 2
    assert "--token" in result.stderr


def test_too_few_people_make_no_story() -> None:
    result = CliRunner().invoke(demo, ["--people", "3"])
    assert result.exit_code == 2


@contextmanager
def tidying_up_fails() -> Iterator[None]:
    try:
        yield
    finally:
        raise Misbehaviour("the second")


def test_what_fails_while_tidying_up_does_not_hide_what_failed_before(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit), failing_loudly(), tidying_up_fails():
        raise Misbehaviour("the first")
    shown = capsys.readouterr().err
    assert shown.index("the first") < shown.index("the second")
