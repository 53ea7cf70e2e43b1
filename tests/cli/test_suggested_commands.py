"""Every command that dsrun suggests does what is said of it, pasted into a shell as it stands."""

import json
import os
import re
import signal
import sys
from datetime import date
from pathlib import Path

import pytest

DATED = """
params: {tone: soft}
steps:
  posters:
    operation: wanx-v1
    matrix: {number: {range: [0, 2]}}
    input: {prompt: "{{ params.tone }} {{ number }} on {{ run.%s }}"}
"""
ODD = 'it\'s $HOME `x`\n"two" 灯\u202e ##[x] \\ !'


def commands_in(text):
    """What stands in backticks and begins with dsrun."""
    return re.findall(r"`(dsrun [^`]*)`", text)


def hint(text, words):
    """The command that these words follow."""
    (command,) = re.findall(rf"`(dsrun [^`]*)` {words}", text)
    return command


@pytest.fixture
def paste(work, monkeypatch):
    """Run a command as a shell reads it."""
    folder = Path(sys.executable).parent
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    return lambda command: work.spawn_command(["bash", "-c", command]).end()


def run_dirs(work, out="outputs"):
    found = sorted((work.folder / out).glob("*/*/ledger.sqlite3"))
    return [ledger for ledger in found if not ledger.parent.is_symlink()]


def interrupted(work, serve, clock, *arguments):
    """What a run said that was stopped by Ctrl-C while its three tasks ran."""
    service = serve(clock=clock)
    run = work.spawn(*arguments)
    work.until(lambda: service.tasks_asked_for() == 3, what="all tasks are on disk")
    run.send(signal.SIGINT)
    run.wait_for_words("once more stops at once")
    run.send(signal.SIGINT)
    ended = run.end()
    assert ended.code == 130
    clock.release()
    return service, ended.err


class TestOfAStoppedRun:
    def test_goes_on_with_the_same_day_params_key_and_place(
        self, work, serve, standing_clock, paste, monkeypatch
    ):
        serve(clock=standing_clock)
        (work.folder / "real env").write_text(
            f"DASHSCOPE_API_KEY={os.environ['DASHSCOPE_API_KEY']}"
        )
        (work.folder / "shared words").mkdir()
        path = work.pipeline(DATED % "date", path="-dated.yaml").name
        service, err = interrupted(
            work, serve, standing_clock, "run", "--date", "2026-11-01", "--env-file", "real env",
            "--no-cache", "--set", "tone=it's soft", "--allow-files", "shared words", "-o",
            "my outputs", "-j", "3", "--max-cost", "40 CNY", "--", path,
        )  # fmt: skip
        monkeypatch.delenv("DASHSCOPE_API_KEY")
        command = hint(err, "goes on where this run stopped")
        assert command.startswith("dsrun ./-dated.yaml ")
        assert paste(command).code == 0
        assert (service.paid(), len(run_dirs(work, "my outputs"))) == (3, 1)

    def test_names_the_day_on_which_it_was_begun(self, work, serve, standing_clock, paste):
        path = work.pipeline(DATED % "date")
        service, err = interrupted(work, serve, standing_clock, path.name)
        command = hint(err, "goes on where this run stopped")
        assert command == f"dsrun demo.yaml --date={date.today().isoformat()}"
        assert paste(command).code == 0
        assert (service.paid(), len(run_dirs(work))) == (3, 1)

    @pytest.mark.parametrize("value", ["datetime", "id"])
    def test_is_the_lock_file_where_no_option_brings_the_run_back(
        self, work, serve, standing_clock, paste, value
    ):
        path = work.pipeline(DATED % value)
        service, err = interrupted(work, serve, standing_clock, path.name)
        command = hint(err, "goes on where this run stopped")
        assert command.endswith("/manifest.lock.json")
        assert paste(command).code == 0
        assert (service.paid(), len(run_dirs(work))) == (3, 1)

    def test_survives_the_console_whatever_a_param_holds(self, work, serve, standing_clock, paste):
        path = work.pipeline(DATED % "date")
        service, err = interrupted(work, serve, standing_clock, path.name, "--set", f"tone={ODD}")
        (command,) = re.findall(r"left: `(.*)` goes on", err)
        assert paste(command).code == 0
        assert (service.paid(), len(run_dirs(work))) == (3, 1)

    @pytest.mark.parametrize("name", ["plan", "posters", "two words.yaml", "~.yaml"])
    def test_finds_the_pipeline_whatever_its_name(self, work, serve, standing_clock, paste, name):
        work.pipeline(DATED % "date", path=name)
        service, err = interrupted(work, serve, standing_clock, "run", name)
        assert paste(hint(err, "goes on where this run stopped")).code == 0
        assert service.paid() == 3

    def test_keeps_its_output_directory_where_the_environment_names_another(
        self, work, serve, standing_clock, paste, monkeypatch
    ):
        path = work.pipeline(DATED % "date")
        monkeypatch.setenv("DSRUN_OUT", "elsewhere")
        service, err = interrupted(work, serve, standing_clock, path.name, "-o", "outputs")
        assert paste(hint(err, "goes on where this run stopped")).code == 0
        assert (service.paid(), run_dirs(work, "elsewhere")) == (3, [])

    def test_keeps_max_cost_and_says_to_raise_it(self, work, emulator, paste):
        outcome = work.dsrun(work.posters(3), "--max-cost", "0.2 CNY")
        assert "2 left: raise max_cost; then `dsrun" in outcome.err
        assert paste(hint(outcome.err, "goes on")).code == 3
        assert emulator.paid() == 1

    def test_of_one_that_was_killed_stands_in_its_status(self, work, serve, standing_clock, paste):
        service = serve(clock=standing_clock)
        work.pipeline(DATED % "date")
        run = work.spawn("demo.yaml", "--date", "2026-11-01", "--no-cache")
        work.until(lambda: service.tasks_asked_for() == 3, what="all tasks are on disk")
        run.kill()
        standing_clock.release()
        told = work.dsrun("status", run_dirs(work)[0].parent).out
        assert paste(hint(told, "goes on with it")).code == 0
        assert (service.paid(), len(run_dirs(work))) == (3, 1)


class TestOfARunThatFailed:
    def test_sends_again_what_failed_also_as_the_page_has_it(self, work, serve, paste):
        service = serve("failed-task")
        work.pipeline(DATED % "date")
        outcome = work.dsrun(
            "demo.yaml", "--date", "2026-11-01", "-o", "my outputs", "--step", "posters"
        )
        command = hint(outcome.err, "sends failed and cancelled jobs again")
        (ledger,) = run_dirs(work, "my outputs")
        page = (ledger.parent / "report.html").read_text(encoding="utf-8")
        assert json.dumps(f"`{command}` sends it again.")[1:-1] in page
        service.heal()
        assert paste(command).code == 0
        assert [ledger] == run_dirs(work, "my outputs")

    def test_the_page_of_an_older_run_goes_on_by_its_lock_file(self, work, serve, paste):
        service = serve("failed-task")
        work.dsrun(work.posters(1), "-o", "there")
        run_dir = run_dirs(work, "there")[0].parent
        lockfile = run_dir / "manifest.lock.json"
        content = json.loads(lockfile.read_text())
        del content["command"]
        lockfile.write_text(json.dumps(content))
        work.dsrun("report", run_dir)
        page = (run_dir / "report.html").read_text(encoding="utf-8")
        (command,) = {c for c in commands_in(page) if "--retry-failed" in c}
        service.heal()
        assert paste(command).code == 0
        assert len(run_dirs(work, "there")) == 1

    def test_shows_the_lines_that_were_left_out(self, work, serve, paste):
        serve("lost-answer", "no-list")
        work.pipeline(DATED % "id")
        err = work.dsrun("demo.yaml").err
        command = re.findall(r"more lines: `(dsrun status .*)`", err)[0]
        assert "3 unknown" in paste(command).out
        (again,) = re.findall(r"`(dsrun [^`]* --resubmit-unknown)`", err)
        assert paste(again).code == 1
        assert len(run_dirs(work)) == 1


class TestOfAnotherCommand:
    def test_lists_the_rows_where_a_selection_picks_none(self, work, paste):
        work.pipeline(DATED % "date")
        words = ("--only", "number > 9", "--set", "tone=a b", "--date", "2026-11-01")
        for command in ("plan", "run"):
            outcome = work.dsrun(
                command, "demo.yaml", *words, *(["--emulate"] * (command == "run"))
            )
            shown = paste(hint(outcome.err, "shows their rows"))
            assert (outcome.code, shown.code) == (2, 0)
            assert "a b 2 on 2026-11-01" in shown.out

    @pytest.mark.parametrize("where", ["demo.yaml", "outputs/demo"])
    def test_lists_the_ids_where_no_job_is_meant(self, work, emulator, paste, where):
        work.dsrun(work.posters(2), "-o", "outputs")
        outcome = work.dsrun("explain", "posters/9", where)
        shown = paste(hint(outcome.err, "lists all jobs with their ids"))
        first = work.results()[0]["job_id"]
        assert shown.code == 0
        assert first[:12] in shown.out

    def test_repairs_the_ledger_that_is_damaged(self, work, emulator, paste):
        work.dsrun(work.posters(2), "-o", "my outputs")
        (ledger,) = run_dirs(work, "my outputs")
        with ledger.open("r+b") as file:
            file.seek(5000)
            file.write(b"\xff" * 9000)
        told = work.dsrun("status", ledger.parent).err
        assert hint(told, "tells what can be saved").endswith("'")
        assert paste(hint(told, "saves it")).code == 0

    def test_prints_the_schema_of_an_operation_of_one_s_own(self, work, paste):
        work.folder.joinpath("a b").mkdir()
        shown = work.dsrun("operations", "a b").out
        assert json.loads(paste(hint(shown, "prints every field")).out)["x-dsrun"]

    def test_writes_a_pipeline_where_none_is(self, work, paste):
        assert paste(hint(work.dsrun("demo.yaml").err, "writes a pipeline")).code == 0
        second = work.dsrun("lanterns.yaml")  # a dsrun.yaml is there now
        command = hint(second.err, "writes a pipeline")
        assert (command, paste(command).code) == ("dsrun init lanterns", 0)
        told = work.dsrun("init", "third")
        assert paste(hint(told.err, "tries it")).code == 0
        assert (work.folder / re.search(r"open (\S+)", told.err)[1]).is_file()

    def test_in_a_pipeline_that_was_copied_name_that_file(self, work, paste):
        work.dsrun("init", "--from", "style-sheet", "mine")
        text = (work.folder / "mine.yaml").read_text()
        commands = re.findall(r"^# +(dsrun .*)$", text, re.MULTILINE)
        assert commands
        assert all("mine.yaml" in command for command in commands)
        (emulated,) = (command for command in commands if "--emulate" in command)
        assert paste(f"{emulated} --limit 1").code == 0


def test_a_key_file_of_any_name_can_be_closed(work, monkeypatch, paste):
    file = work.folder / "my key"
    file.write_text("sk-x")
    file.chmod(0o644)
    monkeypatch.setenv("DASHSCOPE_API_KEY_FILE_PATH", str(file))
    monkeypatch.setenv("DASHSCOPE_HTTP_BASE_URL", "http://127.0.0.1:9/api/v1")
    err = work.dsrun(work.posters(1)).err
    paste(re.findall(r"`(chmod .*)` keeps", err)[0])
    assert file.stat().st_mode & 0o777 == 0o600
