"""What the activity log keeps of a body."""

import json

import pytest

from directory.kept_bodies import KEPT_BYTES, PARSED_BYTES, kept_body, kept_query

PLAINTEXT = "scim_0123456789ABCDEFGHJKMNPQRSTVWXYZ01234567"


def test_nothing_is_kept_of_nothing() -> None:
    assert kept_body(None) is None and kept_body(b"") is None


def test_a_body_without_secrets_is_kept_as_it_was_sent() -> None:
    assert kept_body(b'{"userName" : "nadia"}') == '{"userName" : "nadia"}'


@pytest.mark.parametrize(
    "sent",
    [
        {"password": "hunter2"},
        {"PassWord": "hunter2"},
        {"urn:example": [{"apiToken": {"value": "hunter2", "other": "hunter2"}}]},
        {"Operations": [{"op": "replace", "path": "password", "value": "hunter2"}]},
        {"Operations": [{"op": "replace", "Path": "urn:x:User:clientSecret", "Value": ["hunter2"]}]},
        {"userName": "n", "private_key": ["hunter2"]},
    ],
)
def test_a_secret_is_masked_wherever_it_stands(sent: dict[str, object]) -> None:
    kept = kept_body(json.dumps({"userName": "nadia", **sent}).encode())
    assert "hunter2" not in kept and "[not kept]" in kept
    assert json.loads(kept)["userName"]


def test_a_name_written_with_escapes_hides_no_secret() -> None:
    assert "hunter2" not in kept_body(rb'{"p\u0061ssword": "hunter2"}')
    assert "hunter2" not in kept_body(rb'{"p\u0061ssword": "hunter2"')


def test_what_is_no_json_is_kept_up_to_its_first_secret() -> None:
    kept = kept_body(b'{"userName": "nadia", "password": "hunter2", ')
    assert kept.startswith('{"userName": "nadia"') and "hunter2" not in kept


def test_a_token_of_ours_is_kept_nowhere() -> None:
    assert PLAINTEXT not in kept_body(json.dumps({"nickName": PLAINTEXT}).encode())
    assert kept_query(f"filter=userName eq {PLAINTEXT}") == "?filter=userName eq [not kept]"
    assert kept_query("filter=password eq 1") == ""


def test_a_long_body_is_cut_and_says_how_long_it_was() -> None:
    kept = kept_body(b'"' + b"x" * 20_000 + b'"')
    assert kept.endswith("… (20,002 bytes in all)") and len(kept) < KEPT_BYTES + 40


def test_a_secret_at_the_end_of_a_very_long_body_is_cut_away() -> None:
    body = b'{"members": "' + b"x" * 5000 + b'", "password": "hunter2' + b"y" * PARSED_BYTES + b'"}'
    assert "hunter2" not in kept_body(body)


def test_what_no_database_can_hold_is_replaced() -> None:
    assert kept_body(b"a\0b\xff") == "a\N{REPLACEMENT CHARACTER}b\N{REPLACEMENT CHARACTER}"
    kept_body(rb'{"password": "x", "nickName": "\ud800"}').encode()


@pytest.mark.parametrize(
    "operation",
    [
        {"op": "replace", "path": ["password"], "value": "hunter2"},
        {"op": "replace", "path": 'name[password eq "hunter2"]', "value": 1},
    ],
)
def test_a_path_that_is_none_hides_its_secret_as_well(operation: dict[str, object]) -> None:
    assert "hunter2" not in (kept_body(json.dumps({"Operations": [operation]}).encode()) or "")
