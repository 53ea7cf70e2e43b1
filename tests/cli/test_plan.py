"""`dsrun plan` and `dsrun explain`: counts, reasons, the last run, selections; nothing touched."""

import hashlib
import os
import re
import shutil
import socket
import sqlite3
import subprocess
import sys
from contextlib import closing

import orjson
import pytest

from dsrun.common.resources import read_schema

POSTERS = """
params: {{tone: soft}}
steps:
  posters:
    operation: wanx-v1
    matrix:
      style: ["<anime>", "<sketch>"]
      seed: {{range: [{first}, {last}]}}
    input: {{prompt: "a lantern, {{{{ params.tone }}}}", negative_prompt: {{file: n.j2}}}}
    parameters: {{style: "{{{{ style }}}}", seed: "{{{{ seed }}}}"}}
"""


@pytest.fixture
def posters(work):
    """Write the pipeline of 2 styles and some seeds, and its prompt file."""

    def write(first=1, last=3, negative="text", **execution):
        (work.folder / "n.j2").write_text(negative)
        return work.pipeline(POSTERS.format(first=first, last=last), **execution)

    return write


def tree(folder):
    return {p: (p.lstat().st_size, p.lstat().st_mtime_ns) for p in sorted(folder.rglob("*"))}


def reasons(work, *arguments):
    plan = work.dsrun("plan", "demo.yaml", "--json", "--full", *arguments).answer
    return [job["reason"] for job in plan["job_list"]]


class TestPlan:
    def test_each_step_says_what_it_costs_at_which_price(self, work, posters):
        plan = work.dsrun("plan", posters(), "--json").answer
        assert plan["steps"]["posters"] == {
            "operation": "wanx-v1", "jobs": 6, "done": 0, "cached": 0, "to_send": 6,
            "ready": 6, "waiting": 0, "builds_on": [], "partners": [], "units": 6,
            "cost": {"amount": pytest.approx(0.96), "currency": "CNY"}, "cost_is": "exact",
            "price": {"amount": 0.16, "currency": "CNY", "unit": "image", "as_of": "2026-06"},
        }  # fmt: skip
        assert plan["difference"] is None

    def test_says_what_bounds_the_time(self, work, posters):
        plan = work.dsrun("plan", posters(rate=None), "--json").answer
        assert (plan["shortest_time_s"], plan["bound_by"]) == (2, "wanx-v1: 2 requests a second")
        assert "6 times as long as one" in plan["advice"][0]
        assert "(wanx-v1: 2 requests a second)" in work.dsrun("plan", "demo.yaml").out

    def test_a_max_cost_below_the_cost_is_said(self, work, posters, emulator):
        outcome = work.dsrun("plan", posters(max_cost="0.5 CNY"))
        assert "max_cost is 0.5 CNY, but what is left to send costs 0.96 CNY" in outcome.err
        outcome = work.dsrun("run", posters(), "-n", "--max-cost", "0.9 CNY")
        assert "max_cost is 0.9 CNY" in outcome.err
        assert "max_cost is" not in work.dsrun("plan", posters(max_cost="0.96 CNY")).err
        work.dsrun("demo.yaml", "--limit", "2")
        assert "max_cost is" not in work.dsrun("plan", "demo.yaml").err
        outcome = work.dsrun("plan", posters(max_cost="0.8 CNY"))
        assert "and 0.32 CNY are spent or under way here" in outcome.err

    def test_the_difference_to_the_last_run_and_the_reason_of_each_job(
        self, work, posters, emulator
    ):
        assert work.dsrun(posters(1, 2)).code == 0
        last = work.run_dir().name
        assert work.dsrun("plan", "demo.yaml", "--json").answer["difference"] == {
            "run": last, "added": 0, "removed": 0, "changed": 0, "same": 4,
            "files": [], "params": [],
        }  # fmt: skip
        assert f"no difference to the last run, {last}" in work.dsrun("plan", "demo.yaml").out
        posters(1, 3)
        assert work.dsrun("plan", "demo.yaml", "--json").answer["difference"] == {
            "run": last, "added": 2, "removed": 0, "changed": 0, "same": 4,
            "files": [], "params": [],
        }  # fmt: skip
        same = f"same as in run {last}"
        assert reasons(work, "--no-cache") == [same, same, "new", same, same, "new"]
        assert reasons(work) == ["cached", "cached", "new", "cached", "cached", "new"]

    def test_an_edited_prompt_file_is_the_reason(self, work, posters, emulator):
        work.dsrun(posters(1, 1))
        posters(1, 1, negative="text, frame")
        assert reasons(work) == ["prompt file n.j2 edited"] * 2
        assert "2 changed: n.j2 edited" in work.dsrun("plan", "demo.yaml").out

    def test_a_param_of_the_command_line_is_the_reason(self, work, posters, emulator):
        work.dsrun(posters(1, 1))
        words = 'prompt changed (params.tone "soft" -> "hard")'
        assert reasons(work, "--set", "tone=hard") == [words] * 2

    def test_another_seed_is_the_reason(self, work, posters, emulator):
        work.dsrun(posters(7, 7))
        posters(8, 8)
        assert reasons(work) == ["seed 7 -> 8"] * 2

    def test_what_is_left_out_is_counted_apart(self, work, posters, emulator):
        work.dsrun(posters(1, 2))
        posters(11, 13)
        whole = work.dsrun("plan", "demo.yaml").out
        assert ": 2 added, 0 removed, 4 changed" in whole
        part = work.dsrun("plan", "demo.yaml", "--limit", "1").out
        assert ": 0 added (2 more left out), 0 removed, 1 changed (3 more left out)" in part
        assert "1 to send" in part

    def test_removed_rows_are_counted(self, work, posters, emulator):
        work.dsrun(posters(1, 3))
        posters(1, 1)
        difference = work.dsrun("plan", "demo.yaml", "--json").answer["difference"]
        assert (difference["removed"], difference["same"]) == (4, 2)

    def test_an_emulated_run_is_not_the_last_of_a_real_one(self, work, posters):
        work.dsrun(posters(7, 7), "--emulate")
        posters(8, 8)
        assert reasons(work) == ["new"] * 2
        assert reasons(work, "--emulate") == ["seed 7 -> 8"] * 2

    def test_failed_jobs_are_sent_again_only_when_asked(self, work, posters, serve):
        serve("failed-task")
        assert work.dsrun(posters(1, 1)).code == 1
        plan = work.dsrun("plan", "demo.yaml", "--json").answer
        assert (plan["to_send"], plan["other"]) == (0, {"failed": 2})
        assert all(re.match(r"failed before: \w+.*; --retry-failed", r) for r in reasons(work))
        assert "2 to send" in work.dsrun("run", "demo.yaml", "-n", "--retry-failed").out
        assert "; --retry" not in work.dsrun("run", "demo.yaml", "-n", "--retry-failed").out

    def test_a_retry_counts_the_pictures_that_a_partial_job_lacks(self, work, serve):
        serve("partial-task")
        assert work.dsrun(work.posters(3, pictures=4)).code == 1
        missing = 12 - len(work.files())
        assert work.dsrun("plan", "demo.yaml", "--json").answer["to_send"] == 0
        retried = work.dsrun("run", "demo.yaml", "-n", "--retry-failed").out
        assert "3 to send" in retried
        assert f"{missing} images at" in retried

    def test_a_file_that_is_gone_is_not_done(self, work, posters, emulator):
        work.dsrun(posters(1, 1))
        gone = min((work.run_dir() / "artifacts").rglob("*.png"))
        gone.unlink()
        plan = work.dsrun("plan", "demo.yaml", "--json").answer
        assert (plan["done"], plan["to_send"], plan["files_missing"]) == (1, 0, 1)
        assert reasons(work) == [f"file missing: artifacts/posters/{gone.name}", "done"]

    def test_a_last_run_that_cannot_be_read_is_a_warning(self, work, posters, emulator):
        work.dsrun(posters(1, 1))
        (work.run_dir() / "ledger.sqlite3").write_bytes(b"damaged" * 1000)
        posters(1, 2)
        outcome = work.dsrun("plan", "demo.yaml", "--json")
        assert outcome.code == 0
        assert "the last run cannot be compared" in outcome.err
        assert (outcome.answer["cached"], outcome.answer["to_send"]) == (2, 2)

    def test_a_missing_lock_file_leaves_the_comparison_of_jobs(self, work, posters, emulator):
        work.dsrun(posters(1, 1))
        (work.run_dir() / "manifest.lock.json").unlink()
        posters(1, 1, negative="frame")
        assert reasons(work) == ['negative_prompt "text" -> "frame"'] * 2

    def test_opens_no_socket_and_plans_a_thousand_jobs(self, work, monkeypatch):
        def refuse(*_arguments, **_options):
            raise AssertionError("a socket was opened")

        monkeypatch.setattr(socket, "socket", refuse)
        assert work.dsrun("plan", work.posters(1000), "--json").answer["jobs"] == 1000


class TestAfterAnEdit:
    def rows(self, outcome):
        """The step and index of each job that is shown, in order."""
        return [words[0] for words in re.finditer(r"(?m)^posters \d+(?=  )", outcome.out)]

    def test_what_will_be_sent_is_listed_before_what_is_cached(self, work, emulator):
        assert work.dsrun(work.posters(16)).code == 0
        work.posters(24)
        shown = self.rows(work.dsrun("plan", "demo.yaml"))
        assert shown == [f"posters {number}" for number in range(16, 24)]
        everything = self.rows(work.dsrun("plan", "demo.yaml", "--full"))
        assert everything == [f"posters {number}" for number in (*range(16, 24), *range(16))]

    def test_a_selection_keeps_the_order(self, work, emulator):
        work.dsrun(work.posters(3))
        work.posters(6)
        outcome = work.dsrun("plan", "demo.yaml", "--only", "number in [1, 4, 5]")
        assert self.rows(outcome) == ["posters 4", "posters 5", "posters 1"]

    def test_more_than_a_person_reads_is_counted(self, work, emulator):
        work.dsrun(work.posters(2))
        outcome = work.dsrun("plan", work.posters(30))
        assert len(self.rows(outcome)) == 20
        assert "... and 10 more, 8 of them to send; --full shows all" in outcome.out

    def test_a_prompt_is_shown_as_it_was_and_as_it_is_with_its_place(self, work, emulator):
        work.dsrun(work.posters(24))
        work.posters(24, subject="paper moon")
        outcome = work.dsrun("plan", "demo.yaml")
        assert '~ input.prompt: "a lantern 7" -> "a paper moon 7"  (demo.yaml:8)' in outcome.out
        assert "24 changed" in outcome.out
        assert (
            '  ~ steps.posters.input.prompt: "a lantern {{ number }}" -> '
            '"a paper moon {{ number }}"  (demo.yaml:8)'
        ) in outcome.out

    def test_a_program_gets_the_same(self, work, emulator):
        work.dsrun(work.posters(1, seed="3"))
        work.posters(1, seed="3", subject="moon")
        plan = work.dsrun("plan", "demo.yaml", "--json", "--full").answer
        assert plan["job_list"][0]["changes"] == [
            {
                "field": "input.prompt", "change": "changed", "old": "a lantern 0",
                "new": "a moon 0", "sources": ["demo.yaml:8"],
            }
        ]  # fmt: skip
        assert [edit["field"] for edit in plan["edits"]] == ["steps.posters.input.prompt"]
        assert work.dsrun("plan", "demo.yaml", "--emulate", "--json").answer["edits"] == []

    def test_long_texts_stand_below_each_other(self, work, emulator):
        long = "very " * 75
        work.dsrun(work.posters(1, subject=f"{long}old {long}"))
        work.posters(1, subject=f"{long}new {long}")
        lines = work.dsrun("plan", "demo.yaml").out.splitlines()
        at = lines.index("    ~ input.prompt:  (demo.yaml:8)")
        assert re.fullmatch(r' +- "\.\.\.[very ]+ old [very ]+\.\.\."', lines[at + 1])
        assert re.fullmatch(r' +\+ "\.\.\.[very ]+ new [very ]+\.\.\."', lines[at + 2])
        whole = work.dsrun("plan", "demo.yaml", "--full").out
        assert f'+ "a {long}new {long} 0"' in whole

    def test_what_is_set_on_the_command_line_is_named_so(self, work, posters, emulator):
        work.dsrun(posters(1, 1))
        outcome = work.dsrun("plan", "demo.yaml", "--set", "tone=hard")
        assert '~ input.prompt: "a lantern, soft" -> "a lantern, hard"  (--set)' in outcome.out

    def test_an_emulated_run_is_compared_with_the_last_emulated_one(self, work, posters, emulator):
        work.dsrun(posters(7, 7), "--emulate")
        work.dsrun("demo.yaml")
        posters(8, 8)
        assert reasons(work, "--emulate") == ["seed 7 -> 8"] * 2
        assert reasons(work) == ["seed 7 -> 8"] * 2


class TestTime:
    def date_tasks(self, work, *, seconds):
        """Let the tasks of the last run have ended so many seconds apart."""
        with closing(sqlite3.connect(work.run_dir() / "ledger.sqlite3")) as db:
            (start,) = db.execute("SELECT max(started_at) FROM run").fetchone()
            db.execute(
                "UPDATE job SET submitted_at = ?, ended_at = strftime('%Y-%m-%dT%H:%M:%fZ', ?, "
                "((position + 1) * ?) || ' seconds')",
                (start, start, seconds),
            )
            db.commit()

    def test_is_that_of_the_tasks_of_earlier_runs_one_at_a_time(self, work, emulator):
        work.dsrun(work.posters(4))
        self.date_tasks(work, seconds=12)
        plan = work.dsrun("plan", work.posters(2004, rate="15/s"), "--json").answer
        assert plan["estimated_time_s"] == pytest.approx(2000 * 12)
        assert plan["shortest_time_s"] < 200
        assert plan["estimated_by"] == (
            "wanx-v1: 1 task at a time, each about 12 s, the mean of 4 in earlier runs"
        )
        assert "\ntime: about 6 h 40 min (wanx-v1: 1 task" in work.dsrun("plan", "demo.yaml").out

    def test_another_pipeline_tells_it_too_but_no_emulated_run(self, work, emulator):
        work.dsrun(work.posters(4, name="other"), "--emulate")
        plan = work.dsrun("plan", work.posters(4), "--json").answer
        assert plan["estimated_time_s"] is None
        assert "time: not known (wanx-v1: 1 task at a time, and no earlier run tells how long" in (
            work.dsrun("plan", "demo.yaml").out
        )
        work.dsrun(work.posters(3, name="other"))
        assert work.dsrun("plan", work.posters(9), "--json").answer["estimated_time_s"] > 0

    def test_a_task_whose_end_only_the_next_run_saw_tells_nothing(self, work, emulator):
        work.dsrun(work.posters(3))
        self.date_tasks(work, seconds=12)
        with closing(sqlite3.connect(work.run_dir() / "ledger.sqlite3")) as db:
            db.execute("UPDATE job SET ended_at = '2099-01-01T00:00:05.000Z' WHERE position = 2")
            db.execute(
                "INSERT INTO run (started_at, dsrun_version, endpoint, host, pid) "
                "SELECT '2099-01-01T00:00:00.000Z', dsrun_version, endpoint, host, pid FROM run"
            )
            db.commit()
        plan = work.dsrun("plan", work.posters(5), "--json").answer
        assert plan["estimated_time_s"] == pytest.approx(24)

    def test_a_ledger_that_cannot_be_read_is_passed_over(self, work, emulator):
        work.dsrun(work.posters(3, name="other"))
        work.dsrun(work.posters(3, name="spoilt", subject="moon"))
        (work.run_dir("spoilt") / "ledger.sqlite3").write_bytes(b"damaged" * 1000)
        outcome = work.dsrun("plan", work.posters(9, subject="river"), "--json")
        assert outcome.code == 0
        assert outcome.answer["estimated_by"].endswith("the mean of 3 in earlier runs")

    def test_nothing_to_send_takes_no_time(self, work, emulator):
        work.dsrun(work.posters(2))
        plan = work.dsrun("plan", "demo.yaml", "--json").answer
        assert (plan["estimated_time_s"], plan["estimated_by"]) == (0, "")
        assert "\ntime:" not in work.dsrun("plan", "demo.yaml").out


@pytest.mark.parametrize(("jobs", "is_told"), [(1, False), (4, True)])
def test_the_time_by_the_rate_limits_is_told_where_there_is_any(work, jobs, is_told):
    told = work.dsrun("plan", work.posters(jobs, rate="1/s")).out.splitlines()[-1]
    assert ("; at least " in told, "by the rate limits (" in told) == (is_told, is_told)


class TestWhatIsSentAgain:
    def test_retry_failed_plans_the_failed_jobs(self, work, serve, posters):
        serve("failed-task")
        work.dsrun(posters(1, 2))
        assert work.dsrun("plan", "demo.yaml", "--json").answer["to_send"] == 0
        again = work.dsrun("plan", "demo.yaml", "--retry-failed", "--json").answer
        assert again["to_send"] == again["jobs"] > 0

    def test_resubmit_unknown_plans_the_unknown_ones(self, work, serve, posters):
        serve("lost-answer", "no-list")
        work.dsrun(posters(1, 2))
        assert work.dsrun("plan", "demo.yaml", "--json").answer["to_send"] == 0
        again = work.dsrun("plan", "demo.yaml", "--resubmit-unknown", "--json").answer
        assert again["to_send"] == again["jobs"] > 0

    def test_max_cost_is_that_of_the_run(self, work, posters):
        outcome = work.dsrun("plan", posters(1, 2), "--max-cost", "0.1 CNY")
        assert "max_cost is 0.1 CNY" in outcome.err


class TestTouchesNothing:
    @pytest.mark.parametrize("command", ["plan", "status", "verify", "explain"])
    def test_of_a_run_that_has_ended(self, work, posters, emulator, command):
        work.dsrun(posters(1, 1))
        run_dir = work.run_dir()
        before = tree(work.folder)
        arguments = {
            "plan": ["demo.yaml"], "status": [run_dir], "verify": [run_dir],
            "explain": ["posters/0", run_dir],
        }[command]  # fmt: skip
        assert work.dsrun(command, *arguments).code == 0
        assert tree(work.folder) == before

    def test_of_a_run_that_was_killed(self, work, serve, standing_clock, posters):
        service = serve(clock=standing_clock)
        run = work.spawn(posters(1, 2))
        work.until(lambda: service.tasks_asked_for() == 4, what="all tasks are on disk")
        live = work.dsrun("plan", "demo.yaml", "--json").answer
        assert live["other"] == {"submitted": 4}
        assert work.dsrun("status", "demo.yaml", "--json").answer["running"] is True
        assert "killed" not in work.dsrun("status", "demo.yaml").out
        run.kill()
        before = tree(work.folder / "outputs")
        killed = work.dsrun("status", "demo.yaml", "--json").answer
        assert (killed["jobs"]["submitted"], killed["running"]) == (4, False)
        assert "and was killed" in work.dsrun("status", "demo.yaml").out
        assert work.dsrun("plan", "demo.yaml", "--json").answer["other"] == {"submitted": 4}
        assert tree(work.folder / "outputs") == before

    @pytest.mark.skipif(os.getuid() != 0, reason="only root can become somebody without rights")
    def test_a_reader_without_the_right_to_write(self, work, posters, emulator):
        work.dsrun(posters(1, 1))
        run_dir = work.run_dir()
        for folder in run_dir.parents:
            if not folder.stat().st_mode & 0o001:
                folder.chmod(folder.stat().st_mode | 0o001)
        script = (
            "import os, sys\nfrom dsrun.cli.main import main\nmain(['--version'])\n"
            "import dsrun.cli.status, dsrun.cli.verify\n"
            "os.setgid(65534); os.setuid(65534)\n"
            "sys.exit(main(['status', sys.argv[1]]) or main(['verify', sys.argv[1]]))"
        )
        command = [sys.executable, "-c", script, str(run_dir)]
        outcome = subprocess.run(command, capture_output=True, text=True, check=False)
        assert (outcome.returncode, outcome.stderr) == (0, "")
        assert "2 succeeded" in outcome.stdout
        assert "0 damaged" in outcome.stdout

    @pytest.mark.skipif(os.getuid() != 0, reason="only root can become somebody without rights")
    def test_a_reader_who_may_not_even_look_is_told_so(self, work):
        (work.folder / "closed").mkdir(mode=0o700)
        script = (
            "import os, sys\nfrom dsrun.cli.main import main\nmain(['--version'])\n"
            "import dsrun.cli.status\nos.setgid(65534); os.setuid(65534)\n"
            "sys.exit(main(['status', sys.argv[1]]))"
        )
        closed = str(work.folder / "closed" / "run")
        command = [sys.executable, "-c", script, closed]
        outcome = subprocess.run(command, capture_output=True, text=True, check=False)
        assert (outcome.returncode, outcome.stderr) == (
            3, f"{closed} cannot be read: Permission denied\n",
        )  # fmt: skip


class TestSelection:
    def test_only_what_is_selected_runs_and_counts(self, work, posters, emulator):
        outcome = work.dsrun(posters(), "--only", "style == '<anime>' and seed > 1")
        assert outcome.code == 0
        assert "2 jobs: 2 succeeded" in outcome.err
        assert {r["index"] for r in work.results() if r["status"] == "succeeded"} == {1, 2}
        assert emulator.paid() == 2
        assert work.dsrun("demo.yaml", "--sample", "3").code == 0
        assert 3 <= emulator.paid() <= 5
        assert work.dsrun("demo.yaml").code == 0
        assert emulator.paid() == 6

    def test_plan_and_run_pick_the_same(self, work, posters, emulator):
        plan = work.dsrun("plan", posters(), "--json", "--full", "--sample", "2").answer
        work.dsrun("demo.yaml", "--sample", "2")
        done = {r["job_id"] for r in work.results() if r["status"] == "succeeded"}
        assert done == {job["job_id"] for job in plan["job_list"]}

    def test_it_changes_no_digest(self, work, posters):
        digests = {
            work.dsrun("plan", posters(), "--json", *words).answer["digest"]
            for words in ([], ["--only", "seed == 1"], ["--sample", "1"], ["--limit", "1"])
        }
        assert len(digests) == 1

    def test_what_cannot_be_selected_exits_2_and_leaves_nothing(self, work, posters, emulator):
        for only in ("stile == 1", "seed > 'a'", "seed > 99"):
            outcome = work.dsrun(posters(), "--only", only)
            assert (outcome.code, outcome.out) == (2, "")
            assert "--only" in outcome.err
        assert not (work.folder / "outputs").exists()
        assert emulator.requests() == []

    def test_failed_jobs_outside_of_it_are_left(self, work, posters, serve):
        serve("failed-task")
        work.dsrun(posters(1, 1))
        work.dsrun("demo.yaml", "--retry-failed", "--only", "style == '<anime>'")
        assert work.statuses() == {"failed": 2}
        [other] = work.query("SELECT attempts FROM job WHERE idx = 1")
        assert other["attempts"] == 1
        [again] = work.query("SELECT attempts FROM job WHERE idx = 0")
        assert again["attempts"] == 2

    def test_the_command_that_goes_on_repeats_it(self, work, posters, emulator):
        words = ["--only", "seed > 1", "--sample", "3", "--limit", "2", "--step", "posters"]
        outcome = work.dsrun(posters(max_cost="0.16 CNY"), *words)
        assert outcome.code == 3
        assert "--step=posters '--only=seed > 1' --sample=3 --limit=2`" in outcome.err

    def test_the_environment_can_say_it(self, work, posters, monkeypatch):
        monkeypatch.setenv("DSRUN_ONLY", "seed == 1")
        monkeypatch.setenv("DSRUN_SAMPLE", "1")
        assert work.dsrun("plan", posters(), "--json").answer["jobs"] == 1


class TestExplain:
    def test_the_id_is_the_hash_of_what_is_shown(self, work, posters):
        facts = work.dsrun("explain", "posters/4", posters(), "--json").answer
        assert hashlib.sha256(facts["hashed"].encode()).hexdigest() == facts["job_id"]
        assert (facts["matrix"], facts["replica"]) == ({"style": "<sketch>", "seed": 2}, 0)
        assert facts["ledger"] is None
        assert facts["files"].keys() == {"n.j2"}
        by_place = {item["where"]: item for item in facts["templates"]}
        assert by_place["input.prompt"]["source"] == "a lantern, {{ params.tone }}"
        assert by_place["input.prompt"]["value"] == "a lantern, soft"
        assert by_place["input.negative_prompt"]["file"] == "n.j2"
        text = (work.folder / "demo.yaml").read_text().splitlines()
        line = by_place["parameters.seed"]["line"]
        assert '"{{ seed }}"' in text[line - 1][by_place["parameters.seed"]["column"] - 1 :]
        assert facts["added"] == [{"where": "parameters.n", "value": 1, "why": "always sent"}]

    def test_a_text_of_a_list_has_its_value(self, work):
        schema = orjson.loads(read_schema("operations/wanx-v1.json"))
        schema["$id"] = schema["properties"]["model"]["const"] = "mine"
        tags = {"type": "array", "items": {"type": "string"}}
        schema["properties"]["input"]["properties"]["tags"] = tags
        (work.folder / "operations").mkdir()
        (work.folder / "operations/mine.json").write_bytes(orjson.dumps(schema))
        (work.folder / "demo.yaml").write_text(
            "version: 1\nname: demo\nsteps:\n  s:\n    operation: mine\n"
            '    matrix: {a: [x, y]}\n    input: {prompt: pot, tags: [plain, "{{ a }}!"]}\n'
        )
        facts = work.dsrun("explain", "s/1", "demo.yaml", "--json").answer
        values = {item["where"]: item["value"] for item in facts["templates"]}
        assert values == {"input.prompt": "pot", "input.tags[0]": "plain", "input.tags[1]": "y!"}

    def test_a_derived_seed_is_named(self, work):
        facts = work.dsrun("explain", "posters/0", work.posters(1), "--json").answer
        assert {item["where"]: item["why"] for item in facts["added"]} == {
            "parameters.seed": "derived from the job"
        }

    @pytest.mark.parametrize("ran", [False, True])
    def test_the_first_digits_of_an_id_will_do(self, work, posters, emulator, ran):
        pipeline = posters()
        if ran:
            work.dsrun(pipeline, "--limit", "1")
        job_id = work.dsrun("explain", "posters/3", pipeline, "--json").answer["job_id"]
        outcome = work.dsrun("explain", job_id[:12], pipeline)
        assert outcome.out.startswith(f"job    {job_id}\n")
        assert "posters/3" in outcome.out

    def test_where_it_stands_with_its_attempts(self, work, posters, emulator):
        work.dsrun(posters(1, 1))
        outcome = work.dsrun("explain", "posters/0", "demo.yaml")
        assert ": succeeded" in outcome.out
        assert re.search(r"create accepted  task_id \S+ request_id \S+", outcome.out)
        assert re.search(r"artifacts/posters/00000-\w+-0.png", outcome.out)
        facts = work.dsrun("explain", "posters/0", "demo.yaml", "--json").answer["ledger"]
        assert [(a["phase"], a["outcome"]) for a in facts["attempts"]] == [
            ("create", "accepted"),
            ("end", "succeeded"),
        ]

    def test_of_a_run_directory_whose_files_have_changed(self, work, posters, emulator):
        work.dsrun(posters(1, 1))
        same = work.dsrun("explain", "posters/0", work.run_dir(), "--json")
        assert same.answer["templates"]
        posters(1, 1, negative="other")
        kept = work.dsrun("explain", "posters/0", work.run_dir(), "--json")
        assert kept.answer["templates"] == same.answer["templates"]
        shutil.rmtree(work.run_dir() / "inputs")
        outcome = work.dsrun("explain", "posters/0", work.folder / "outputs/demo", "--json")
        assert "changed since: n.j2" in outcome.err
        assert outcome.answer["templates"] == []
        assert outcome.answer["request"] == same.answer["request"]
        assert outcome.answer["job_id"] == same.answer["job_id"]

    def test_a_twin_is_the_job_of_its_first_row(self, work, emulator):
        steps = """
steps:
  posters:
    operation: wanx-v1
    matrix: {copy: [front, back]}
    input: {prompt: a lantern}
    filename: "{{ copy }}"
"""
        work.dsrun(work.pipeline(steps))
        facts = work.dsrun("explain", "posters/1", work.run_dir(), "--json").answer
        assert facts["ledger"]["twins"] == ["posters/1"]

    @pytest.mark.parametrize(
        ("job", "words"),
        [
            ("posters/6", "posters/6: demo.yaml has no such job"),
            ("banners/0", "has no such job"),
            ("", "allowed: a job id"),
            ("what", "allowed: a job id, the first digits of one, or STEP/INDEX such as posters/0"),
            ("0" * 20, "no job begins so; `dsrun plan demo.yaml --full` lists all jobs"),
        ],
    )
    def test_what_names_no_job_is_told(self, work, posters, job, words):
        posters()
        outcome = work.dsrun("explain", job, "demo.yaml")
        assert (outcome.code, outcome.out) == (2, "")
        assert words in outcome.err

    def test_digits_of_several_jobs_are_told_with_their_ids(self, work):
        work.posters(40)
        outcome = work.dsrun("explain", "a", "demo.yaml")
        assert outcome.code == 2
        assert "several jobs begin so: a" in outcome.err


class TestEnvFile:
    def test_gives_the_key_and_options(self, work, serve, monkeypatch, key):
        serve()
        monkeypatch.delenv("DASHSCOPE_API_KEY")
        work.posters(3)
        (work.folder / "my.env").write_text(f"DASHSCOPE_API_KEY={key}\nDSRUN_LIMIT=1\n")
        run = work.spawn("demo.yaml", "--env-file", "my.env").end()
        assert run.code == 0, run.err
        assert "1 job: 1 succeeded" in run.err

    def test_one_that_is_not_there_exits_2(self, work):
        outcome = work.dsrun("plan", work.posters(1), "--env-file", "none.env")
        assert outcome.code == 2
        assert "--env-file none.env: cannot be read" in outcome.err
