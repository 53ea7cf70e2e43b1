"""Dated batches, what was missed, what is removed, and a key file: a year of nights."""

import shutil
import sqlite3
from contextlib import closing
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

DATED = """
{more}
steps:
  posters:
    operation: wanx-v1
    input: {{prompt: "a lantern of {{{{ run.date }}}}"}}
"""
ZONE = "Asia/Shanghai"


def dated(work, more=""):
    return work.pipeline(DATED.format(more=more))


def day(back):
    """The date so many days ago, where the schedule is."""
    return (datetime.now(ZoneInfo("UTC")) - timedelta(days=back)).date().isoformat()


def prompts(service):
    return sorted(body.split('"prompt":"')[1].split('"')[0] for body in service.creates())


def run_dirs(work):
    found = (work.folder / "outputs/demo").iterdir()
    return {path for path in found if path.is_dir() and not path.is_symlink()}


def execute(ledger, sql):
    with closing(sqlite3.connect(ledger / "ledger.sqlite3")) as db, db:
        db.execute(sql)


def test_a_day_has_a_directory_of_its_own_and_is_paid_once(work, emulator):
    dated(work)
    first = work.dsrun("demo.yaml", "--date", "2026-11-01")
    assert work.dsrun("demo.yaml", "--date", "2026-11-01").out == first.out
    second = work.dsrun("demo.yaml", "--date", "2026-11-02")
    assert second.out != first.out
    assert str(work.run_dir()).endswith(second.out.strip())
    assert prompts(emulator) == ["a lantern of 2026-11-01", "a lantern of 2026-11-02"]


def test_plan_knows_the_day_too(work, emulator):
    dated(work)
    work.dsrun("demo.yaml", "--date", "2026-11-01")
    assert work.dsrun("plan", "demo.yaml", "--date", "2026-11-01", "--json").answer["done"] == 1
    assert work.dsrun("plan", "demo.yaml", "--date", "2026-11-02", "--json").answer["to_send"] == 1


def test_a_date_that_changes_nothing_is_a_warning(work, emulator):
    outcome = work.dsrun(work.posters(1), "--date", "2026-11-01")
    assert outcome.code == 0
    assert "warning: --date changes nothing" in outcome.err


@pytest.mark.parametrize("zone", ["Pacific/Kiritimati", "Pacific/Pago_Pago"])
def test_the_date_is_that_of_the_schedules_zone(work, emulator, zone):
    """One of these two zones, 25 hours apart, has another date than this machine at any time."""
    before = datetime.now(ZoneInfo(zone)).date()
    work.dsrun(dated(work, f'schedule: {{cron: "@daily", timezone: {zone}}}'))
    after = datetime.now(ZoneInfo(zone)).date()
    assert prompts(emulator)[0] in {f"a lantern of {before}", f"a lantern of {after}"}


def test_catching_up_runs_the_days_since_the_last_success_and_today(work, emulator):
    dated(work, 'schedule: {cron: "@daily", timezone: UTC}')
    work.dsrun("demo.yaml", "--date", day(4))
    outcome = work.dsrun("demo.yaml", "--catch-up", "30")
    assert outcome.code == 0
    assert [line for line in outcome.err.splitlines() if "catching" in line] == [
        f"catching up {day(back)}" for back in (3, 2, 1)
    ]
    assert prompts(emulator) == [f"a lantern of {day(back)}" for back in (4, 3, 2, 1, 0)]
    assert "catching up" not in work.dsrun("demo.yaml", "--catch-up", "30").err


def test_catching_up_is_bounded(work, emulator):
    dated(work, 'schedule: {cron: "@daily", timezone: UTC}')
    work.dsrun("demo.yaml", "--date", day(9))
    work.dsrun("demo.yaml", "--catch-up", "2")
    assert prompts(emulator) == [f"a lantern of {day(back)}" for back in (9, 2, 1, 0)]


def test_an_edit_is_no_reason_to_pay_for_past_days_again(work, emulator):
    dated(work, 'schedule: {cron: "@daily", timezone: UTC}')
    work.dsrun("demo.yaml", "--date", day(2))
    file = work.folder / "demo.yaml"
    file.write_text(file.read_text().replace("a lantern", "a moon"))
    assert work.dsrun("demo.yaml", "--catch-up", "30").code == 0
    expected = [f"a lantern of {day(2)}", f"a moon of {day(1)}", f"a moon of {day(0)}"]
    assert prompts(emulator) == expected


def test_a_day_of_which_a_part_succeeded_is_not_done(work, emulator):
    steps = DATED.format(more='schedule: {cron: "@daily", timezone: UTC}') + "    repeat: 2\n"
    file = work.pipeline(steps)
    work.dsrun(file, "--date", day(3))
    work.dsrun(file, "--date", day(1), "--limit", "1")
    assert work.dsrun(file, "--catch-up", "30").err.count("catching up") == 2
    assert emulator.paid() == 2 * len([3, 2, 1, 0])


def test_an_emulated_day_is_not_done(work, emulator):
    dated(work, 'schedule: {cron: "@daily", timezone: UTC}')
    work.dsrun("demo.yaml", "--date", day(3))
    work.dsrun("demo.yaml", "--date", day(1), "--emulate")
    assert work.dsrun("demo.yaml", "--catch-up", "30").err.count("catching up") == 2


def test_a_first_run_has_nothing_to_catch_up(work, emulator):
    dated(work, 'schedule: {cron: "@daily", timezone: UTC}')
    work.dsrun("demo.yaml", "--catch-up", "30")
    assert prompts(emulator) == [f"a lantern of {day(0)}"]


def test_what_stops_a_run_stops_catching_up(work, emulator):
    dated(work, 'schedule: {cron: "@daily", timezone: UTC}')
    work.dsrun("demo.yaml", "--date", day(3))
    outcome = work.dsrun("demo.yaml", "--catch-up", "9", "--max-cost", "0.01 CNY")
    assert outcome.code == 3
    assert len(prompts(emulator)) == 1
    assert outcome.err.count("catching up") == 1


@pytest.mark.parametrize(
    ("prompt", "words"),
    [
        ("a lantern", "every day is the same run"),
        ("{{ run.date }} {{ run.id }}", "run.id is another at every start"),
    ],
)
def test_catching_up_needs_days_that_can_be_told_apart(work, prompt, words):
    work.pipeline(f"steps: {{p: {{operation: wanx-v1, input: {{prompt: '{prompt}'}}}}}}")
    outcome = work.dsrun("demo.yaml", "--catch-up", "3", "--emulate")
    assert outcome.code == 2
    assert words in outcome.err


def test_a_file_that_is_missing_is_told_also_where_days_are_caught_up(work, emulator):
    notice = "notify: {command: [sh, -c, 'cat > told']}"
    steps = DATED.format(more=notice) + "    matrix: {product: {file: products.csv}}\n"
    outcome = work.dsrun(work.pipeline(steps), "--catch-up", "3", "--allow-notify")
    assert outcome.code == 2
    assert "products.csv: cannot be read" in outcome.err
    assert "products.csv: cannot be read" in (work.folder / "told").read_text()


def test_one_day_and_all_missed_days_exclude_each_other(work):
    outcome = work.dsrun(dated(work), "--catch-up", "3", "--date", "2026-11-01", "--emulate")
    assert outcome.code == 2


def test_keep_removes_the_oldest_runs_after_success(work, emulator):
    dated(work, "keep: 2")
    made = []
    for number in range(1, 5):
        work.dsrun("demo.yaml", "--date", f"2026-11-0{number}")
        made.append(work.run_dir())
    assert run_dirs(work) == set(made[-2:])
    work.dsrun("demo.yaml", "--date", "2026-11-01")
    assert len(prompts(emulator)) == 4  # what was removed comes back from the cache


@pytest.mark.parametrize("wrong", ["2099-01-01", "9999-12-31"])
def test_keep_leaves_a_run_of_a_clock_that_was_ahead_and_counts_it_not(work, emulator, wrong):
    dated(work, "keep: 2")
    work.dsrun("demo.yaml", "--date", "2026-11-01")
    ahead = work.run_dir()
    execute(ahead, f"UPDATE run SET started_at = '{wrong}T00:00:00.000Z'")
    made = []
    for number in (2, 3, 4):
        work.dsrun("demo.yaml", "--date", f"2026-11-0{number}")
        made.append(work.run_dir())
    assert run_dirs(work) == {ahead, *made[-2:]}


def test_what_keep_has_removed_is_still_in_history_and_cost(work, emulator):
    dated(work, "keep: 2")
    for day in (1, 2, 3, 4, 1):  # the first comes back, from the cache, when it had been removed
        work.dsrun("demo.yaml", "--date", f"2026-11-0{day}")
    assert len(run_dirs(work)) == 2
    [month] = work.dsrun("cost", "--json").answer
    assert (month["jobs"], month["cost"]["amount"]) == (4, pytest.approx(0.64))
    runs = work.dsrun("history", "demo", "--json").answer
    assert [run["outcome"] for run in runs] == ["succeeded"] * 5
    assert [run["jobs"]["succeeded"] for run in runs] == [1, 1, 1, 1, 1]
    assert [run["cost"]["amount"] for run in runs] == [0.16] * 4 + [0]


def test_a_run_that_was_noted_and_not_removed_counts_once(work, emulator):
    dated(work, "keep: 1")
    work.dsrun("demo.yaml", "--date", "2026-11-01")
    saved = shutil.copytree(work.run_dir(), work.folder / "saved")
    old = work.run_dir()
    work.dsrun("demo.yaml", "--date", "2026-11-02")
    saved.rename(old)  # as after a kill between the note and the removal
    assert work.dsrun("cost", "--json").answer[0]["jobs"] == 2


def test_a_note_of_removed_runs_that_was_cut_off_spoils_no_other(work, emulator):
    dated(work, "keep: 1")
    work.dsrun("demo.yaml", "--date", "2026-11-01")
    notes = work.folder / "outputs/demo/.removed.jsonl"
    notes.write_text('{"directory": "half a li')
    for day in (2, 3):
        work.dsrun("demo.yaml", "--date", f"2026-11-0{day}")
    outcome = work.dsrun("cost", "--json")
    assert (outcome.code, outcome.answer[0]["jobs"]) == (0, 3)
    assert "demo: 1 note of removed runs cannot be read" in outcome.err


@pytest.mark.parametrize("status", ["pending", "submitting", "submitted", "unknown"])
def test_keep_never_removes_a_job_that_has_not_ended(work, emulator, status):
    dated(work, "keep: 1")
    work.dsrun("demo.yaml", "--date", "2026-11-01")
    old = work.run_dir()
    execute(old, f"UPDATE job SET status = '{status}'")
    outcome = work.dsrun("demo.yaml", "--date", "2026-11-02")
    assert outcome.code == 0
    assert f"{old.name} is kept: it has jobs that have not ended" in outcome.err
    assert run_dirs(work) == {old, work.run_dir()}


def test_keep_never_removes_what_is_no_run_directory(work, emulator, tmp_path):
    dated(work, "keep: 1")
    work.dsrun("demo.yaml", "--date", "2026-11-01")
    old, home = work.run_dir(), work.run_dir().parent
    copy = shutil.copytree(old, home / "my-favourites")
    strange = home / "0123456789ab"
    strange.mkdir()
    (strange / "notes.txt").write_text("mine")
    elsewhere = shutil.copytree(old, tmp_path / "elsewhere")
    link = home / "ba9876543210"
    link.symlink_to(elsewhere)
    (home / "cron.log").write_text("a line\n")
    work.dsrun("demo.yaml", "--date", "2026-11-02")
    assert not old.exists()
    assert run_dirs(work) == {copy, strange, work.run_dir()}
    assert (elsewhere / "ledger.sqlite3").exists()
    assert link.is_symlink()
    assert (home / "cron.log").exists()


def test_keep_counts_emulated_runs_apart(work, emulator):
    dated(work, "keep: 1")
    work.dsrun("demo.yaml", "--date", "2026-11-01")
    real = work.run_dir()
    for number in (2, 3):
        work.dsrun("demo.yaml", "--date", f"2026-11-0{number}", "--emulate")
    assert real.exists()
    assert len(run_dirs(work)) == 2


@pytest.mark.parametrize("arguments", [["--limit", "1"], ["--max-cost", "0.01 CNY"]])
def test_keep_waits_for_the_success_of_a_whole_run(work, emulator, arguments):
    dated(work, "keep: 1")
    work.dsrun("demo.yaml", "--date", "2026-11-01")
    work.dsrun("demo.yaml", "--date", "2026-11-02", *arguments)
    assert len(run_dirs(work)) == 2


def test_what_a_killed_removal_left_goes_with_the_next(work, emulator):
    dated(work, "keep: 1")
    work.dsrun("demo.yaml", "--date", "2026-11-01")
    half = work.run_dir().rename(work.run_dir().with_name(".removing-0123456789ab"))
    (half / "ledger.sqlite3").unlink()
    work.dsrun("demo.yaml", "--date", "2026-11-02")
    assert not half.exists()


def test_jitter_waits_before_the_run(work):
    outcome = work.dsrun(dated(work), "--jitter", "10ms", "--emulate")
    assert outcome.code == 0
    assert "waiting 0 s (--jitter)" in outcome.err


def test_a_jitter_that_is_no_time_is_refused(work):
    outcome = work.dsrun(dated(work), "--jitter", "soon", "--emulate")
    assert outcome.code == 2
    assert "--jitter: 'soon' is no duration" in outcome.err


def test_a_key_file_that_everybody_can_read_is_a_warning(work, emulator, monkeypatch, key):
    file = work.folder / "key"
    file.write_text(key)
    file.chmod(0o644)
    monkeypatch.delenv("DASHSCOPE_API_KEY")
    monkeypatch.setenv("DASHSCOPE_API_KEY_FILE_PATH", str(file))
    outcome = work.dsrun(work.posters(1))
    assert outcome.code == 0
    assert f"warning: every user of this machine can read {file}; `chmod 600 {file}`" in outcome.err
    file.chmod(0o600)
    assert "chmod" not in work.dsrun(work.posters(1)).err


def test_so_is_an_env_file_that_holds_the_key(work, emulator, monkeypatch, key):
    monkeypatch.setenv("DASHSCOPE_WORKSPACE", "ws-1")  # the file sets nothing that stays
    file = work.folder / "night.env"
    file.write_text("DASHSCOPE_WORKSPACE=ws-1\n")
    file.chmod(0o644)
    assert "chmod" not in work.dsrun(work.posters(1), "--env-file", file).err
    monkeypatch.delenv("DASHSCOPE_API_KEY")
    file.write_text(f"DASHSCOPE_API_KEY={key}\n")
    outcome = work.dsrun(work.posters(1), "--env-file", file)
    assert outcome.code == 0
    assert f"warning: every user of this machine can read {file}" in outcome.err
    file.chmod(0o600)
    assert "chmod" not in work.dsrun(work.posters(1), "--env-file", file).err
