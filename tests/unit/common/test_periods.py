"""The days, weeks and months for which a budget holds."""

from datetime import UTC, datetime

import pytest

from dsrun.common.periods import period_at


@pytest.mark.parametrize(
    ("per", "at", "since", "until"),
    [
        ("day", "2026-11-27T17:00Z", "2026-11-28T00:00+08:00", "2026-11-29T00:00+08:00"),
        ("day", "2026-11-27T15:59Z", "2026-11-27T00:00+08:00", "2026-11-28T00:00+08:00"),
        ("week", "2026-11-29T12:00Z", "2026-11-23T00:00+08:00", "2026-11-30T00:00+08:00"),
        ("week", "2026-11-29T16:00Z", "2026-11-30T00:00+08:00", "2026-12-07T00:00+08:00"),
        ("month", "2026-11-30T15:59Z", "2026-11-01T00:00+08:00", "2026-12-01T00:00+08:00"),
        ("month", "2026-12-31T15:59Z", "2026-12-01T00:00+08:00", "2027-01-01T00:00+08:00"),
        ("month", "2028-02-29T00:00Z", "2028-02-01T00:00+08:00", "2028-03-01T00:00+08:00"),
    ],
)
def test_a_period_begins_at_a_midnight_of_its_zone(per, at, since, until):
    found = period_at(datetime.fromisoformat(at), per, timezone="Asia/Shanghai")
    assert found == (datetime.fromisoformat(since), datetime.fromisoformat(until))


def test_a_day_on_which_clocks_are_set_has_its_own_length():
    noon = datetime(2026, 3, 29, 12, tzinfo=UTC)
    since, until = period_at(noon, "day", timezone="Europe/Berlin")
    length = until.astimezone(UTC) - since.astimezone(UTC)
    assert length.total_seconds() == 23 * 3600


def test_the_whole_time_has_no_bounds():
    assert period_at(datetime.now(UTC), "total", timezone=None) == (None, None)


def test_without_a_zone_it_is_the_machines_own():
    now = datetime.now(UTC)
    since, until = period_at(now, "day", timezone=None)
    assert since <= now < until
    assert (since.hour, since.minute) == (0, 0)
    assert since.utcoffset() == now.astimezone().utcoffset() or since.date() != until.date()
