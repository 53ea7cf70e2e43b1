"""A schedule: what every cron understands alike, and its times over daylight saving."""

from datetime import UTC, date, datetime
from itertools import islice
from zoneinfo import ZoneInfo

import pytest

from dsrun.manifest.schedule import NICKNAMES, Schedule, read_schedule, schedule_faults

BERLIN = ZoneInfo("Europe/Berlin")


def times(cron, after, count, zone="Europe/Berlin"):
    schedule = Schedule(cron=cron, timezone=zone)
    after = datetime.fromisoformat(after).replace(tzinfo=ZoneInfo(zone))
    return [
        f"{moment:%m-%d %H:%M %Z}" for moment in islice(schedule.times(after, local=BERLIN), count)
    ]


def fault(section):
    return [(".".join(map(str, at)), words) for at, words in schedule_faults(section)]


def test_a_text_is_the_cron_expression_in_the_machines_zone():
    schedule = read_schedule("0 3  * * *")
    assert schedule == Schedule(cron="0 3 * * *", timezone=None, jitter_s=0.0)
    assert schedule.zone(BERLIN) is BERLIN


def test_a_mapping_gives_zone_and_jitter():
    section = {"cron": "@Daily", "timezone": "Asia/Shanghai", "jitter": "10m"}
    assert fault(section) == []
    assert read_schedule(section) == Schedule(
        cron="0 0 * * *", timezone="Asia/Shanghai", jitter_s=600.0
    )


def test_no_section_is_no_schedule():
    assert read_schedule(None) is None
    assert fault(None) == []


@pytest.mark.parametrize("word", NICKNAMES)
def test_cron_s_words_are_five_fields(word):
    assert fault(word) == []
    assert len(read_schedule(word).cron.split()) == 5


def test_a_time_that_summer_time_skips_comes_right_after_the_gap():
    assert times("30 2 * * *", "2026-03-28T00:00", 3) == [
        "03-28 02:30 CET",
        "03-29 03:00 CEST",
        "03-30 02:30 CEST",
    ]


def test_a_time_that_comes_twice_runs_once():
    assert times("30 2 * * *", "2026-10-24T12:00", 2) == ["10-25 02:30 CEST", "10-26 02:30 CET"]


def test_what_runs_every_hour_runs_in_the_hour_that_comes_twice_too():
    assert times("0 * * * *", "2026-10-25T01:30", 3) == [
        "10-25 02:00 CEST",
        "10-25 02:00 CET",
        "10-25 03:00 CET",
    ]


def test_day_of_month_and_weekday_are_either_or_as_in_cron():
    assert times("0 0 13 * 5", "2026-11-01T12:00", 3) == [
        "11-06 00:00 CET",
        "11-13 00:00 CET",
        "11-20 00:00 CET",
    ]


def test_the_days_before_a_day_are_those_of_the_schedule():
    schedule = Schedule(cron="*/5 3 * * 1-5")
    assert list(islice(schedule.days_before(date(2026, 11, 24)), 3)) == [
        date(2026, 11, 23),
        date(2026, 11, 20),
        date(2026, 11, 19),
    ]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        pytest.param("0 3 * *", "which has 4 fields", id="four fields"),
        pytest.param("0 0 3 * * *", "which has 6 fields", id="seconds"),
        pytest.param("0 24 * * *", "bad hour", id="out of range"),
        pytest.param("@reboot", "@daily, @weekly and the like", id="no time of a clock"),
        pytest.param("0 3 30 2 *", "bad day-of-month", id="never"),
        pytest.param("0 3 L * *", "cron itself does not know L", id="last day"),
        pytest.param("0 3 LW * *", "cron itself does not know L", id="last working day"),
        pytest.param("0 3 * * 5#2", "cron itself does not know L", id="second Friday"),
        pytest.param("5/10 * * * *", "such as 5-59/10", id="open step"),
    ],
)  # fmt: skip
def test_what_cron_would_not_run_is_refused(text, words):
    ((at, told),) = fault(text)
    assert at == "schedule"
    assert words in told


def test_each_fault_of_a_mapping_has_its_own_place():
    found = dict(fault({"cron": "daily", "timezone": "Asia/Shangai", "jitter": "2d"}))
    assert found.keys() == {"schedule.cron", "schedule.timezone", "schedule.jitter"}
    assert "did you mean Asia/Shanghai?" in found["schedule.timezone"]


def test_times_are_after_the_moment_that_is_given():
    moment = datetime(2026, 11, 1, 3, 0, tzinfo=UTC)
    schedule = Schedule(cron="0 3 * * *", timezone="UTC")
    assert next(schedule.times(moment, local=BERLIN)) == datetime(2026, 11, 2, 3, 0, tzinfo=UTC)
