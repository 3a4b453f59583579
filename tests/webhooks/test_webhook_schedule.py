"""When a failed delivery is tried again."""

import pytest

from webhooks.schedule import HOUR, MINUTE, next_attempt_at, retry_after_ms

NOW = 1_700_000_000_000


def at_once() -> float:
    return 0.0


def test_retries_come_after_1_5_and_30_minutes_and_1_6_12_and_24_hours_and_then_no_more() -> None:
    waits = []
    for failed in range(1, 8):
        again = next_attempt_at(failed, NOW, at_once)
        assert again is not None
        waits.append(again - NOW)
    assert waits == [MINUTE, 5 * MINUTE, 30 * MINUTE, HOUR, 6 * HOUR, 12 * HOUR, 24 * HOUR]
    assert next_attempt_at(8, NOW, at_once) is None


@pytest.mark.parametrize(("chance", "wait"), [(0.0, 60_000), (0.5, 63_000), (1.0, 66_000)])
def test_jitter_lengthens_a_wait_by_up_to_a_tenth(chance: float, wait: int) -> None:
    assert next_attempt_at(1, NOW, lambda: chance) == NOW + wait


@pytest.mark.parametrize(("asked", "wait"), [(None, MINUTE), (0, MINUTE), (30_000, MINUTE), (10 * MINUTE, 10 * MINUTE)])
def test_a_receiver_can_ask_for_more_time_but_not_for_less(asked: int | None, wait: int) -> None:
    assert next_attempt_at(1, NOW, at_once, asked) == NOW + wait


@pytest.mark.parametrize(
    ("header", "wait"),
    [
        (None, None),
        ("", None),
        ("soon", None),
        ("-5", None),
        ("1.5", None),
        ("١٢", None),
        ("120", 120_000),
        (" 120 ", 120_000),
        ("0", 0),
        ("86401", 24 * HOUR),
        ("9" * 400, 24 * HOUR),
        ("Tue, 14 Nov 2023 22:15:20 GMT", 2 * MINUTE),
        ("Tue, 14 Nov 2023 22:15:20", 2 * MINUTE),
        ("Tue, 14 Nov 2023 22:13:19 GMT", 0),
        ("Tue, 14 Nov 2034 22:13:20 GMT", 24 * HOUR),
        ("Tue, 14 Nov 2023 22:15:20 +" + "9" * 20, None),
        ("Tue, 14 Nov " + "9" * 20 + " 22:15:20 GMT", None),
        ("Tue, 31 Feb 2023 22:15:20 GMT", None),
    ],
)
def test_retry_after_is_read_as_seconds_or_as_a_date_and_at_most_a_day(header: str | None, wait: int | None) -> None:
    assert retry_after_ms(header, NOW) == wait
