"""Crontab lines, and what becomes of a crontab that has others."""

from datetime import date
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from dsrun.cli.crontab import Scheduled, agrees_with_machine, crontab_lines, merged
from dsrun.common.errors import SetupError, UsageError
from dsrun.manifest.schedule import Schedule

A, B = Path("/srv/a.yaml"), Path("/srv/b.yaml")


def scheduled(**given):
    usual = {
        "name": "posters",
        "pipeline": Path("/srv/posters.yaml"),
        "schedule": Schedule(cron="30 2 * * 1-5"),
        "program": ("/opt/dsrun",),
        "arguments": ("run", "/srv/posters.yaml"),
        "environment": {},
        "out": Path("/srv/outputs"),
        "key_file": None,
    }
    return Scheduled(**(usual | given))


def block(path, line="0 0 * * * true"):
    return f"# BEGIN dsrun {path}\n{line}\n# END dsrun {path}\n"


def test_a_line_stands_between_markers_with_folder_program_and_log():
    assert crontab_lines(scheduled()) == (
        "# BEGIN dsrun /srv/posters.yaml\n"
        "30 2 * * 1-5 mkdir -p /srv/outputs/posters && cd /srv && "
        "/opt/dsrun run /srv/posters.yaml >> /srv/outputs/posters/cron.log 2>&1\n"
        "# END dsrun /srv/posters.yaml\n"
    )


def test_words_are_quoted_for_the_shell_and_percent_signs_for_cron():
    line = crontab_lines(
        scheduled(
            arguments=("--set", "tone=50% noon sun"), environment={"DASHSCOPE_WORKSPACE": "a b"}
        )
    )
    assert r"DASHSCOPE_WORKSPACE='a b' /opt/dsrun --set 'tone=50\% noon sun'" in line


def test_jitter_is_left_to_dsrun():
    schedule = Schedule(cron="0 3 * * *", jitter_s=90.0)
    assert "--jitter=90s >>" in crontab_lines(scheduled(schedule=schedule))


@pytest.mark.parametrize("word", ["x" * 1000, "two\nlines", "\u202e", "\x9b"])
def test_what_cron_cannot_hold_is_refused(word):
    with pytest.raises(UsageError, match="cron takes 998 printable ones"):
        crontab_lines(scheduled(arguments=(word,)))


def test_new_lines_come_last_and_all_others_stay():
    mine = "MAILTO=me\n5 4 * * * backup"
    assert merged(mine, {A: block(A)}) == f"{mine}\n{block(A)}"


def test_installing_again_changes_nothing():
    once = merged("5 4 * * * backup\n", {A: block(A), B: block(B)})
    assert merged(once, {A: block(A), B: block(B)}) == once


def test_a_changed_line_is_replaced_where_it_stands():
    table = f"first\n{block(A)}last\n{block(B)}"
    changed = block(A, "9 9 * * * true")
    assert merged(table, {A: changed}) == f"first\n{changed}last\n{block(B)}"


def test_removing_leaves_what_was_there_before():
    assert merged(f"first\n{block(A)}last\n", {A: "", B: ""}) == "first\nlast\n"


@pytest.mark.parametrize(
    "table",
    [
        f"# BEGIN dsrun {A}\n0 0 * * * true\n",
        f"0 0 * * * true\n# END dsrun {A}\n",
        f"# END dsrun {A}\n# BEGIN dsrun {A}\n",
        block(A) + block(A),
    ],
)
def test_markers_that_are_no_pair_are_left_to_the_user(table):
    with pytest.raises(SetupError, match="crontab -e"):
        merged(table, {A: block(A)})


def test_zones_agree_when_they_show_the_same_time_all_year():
    since = date(2026, 11, 22)
    berlin = ZoneInfo("Europe/Berlin")
    assert agrees_with_machine(ZoneInfo("Europe/Paris"), berlin, since=since)
    assert agrees_with_machine(ZoneInfo("UTC"), ZoneInfo("Etc/UTC"), since=since)
    assert not agrees_with_machine(ZoneInfo("Africa/Lagos"), berlin, since=since)  # no summer time
