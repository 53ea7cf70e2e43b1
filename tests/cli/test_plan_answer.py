"""What `dsrun plan` answers, as JSON and as text: jobs, cost, time, and what is done."""

import re
import subprocess

import pytest

PLAN_KEYS = {"digest", "jobs", "done", "cached", "to_send", "cost", "shortest_time_s"}
JOB_KEYS = {"job_id", "step", "index", "matrix", "request", "reason"}


class TestPlan:
    def test_json_has_the_keys_of_the_contract(self, work):
        plan = work.dsrun("plan", work.posters(3, pictures=2), "--json").answer
        assert plan.keys() >= PLAN_KEYS
        assert (plan["jobs"], plan["done"], plan["cached"], plan["to_send"]) == (3, 0, 0, 3)
        assert plan["cost"] == {"amount": pytest.approx(0.96), "currency": "CNY"}
        assert "job_list" not in plan

    def test_full_lists_every_job(self, work):
        plan = work.dsrun("plan", work.posters(12), "--json", "--full").answer
        assert plan.keys() >= PLAN_KEYS
        assert [job["index"] for job in plan["job_list"]] == list(range(12))
        assert all(job.keys() >= JOB_KEYS for job in plan["job_list"])
        first = plan["job_list"][0]
        assert first["request"]["input"] == {"prompt": "a lantern 0"}
        assert first["matrix"] == {"number": 0}
        assert re.fullmatch(r"[0-9a-f]{64}", first["job_id"])

    def test_the_shortest_time_follows_from_the_published_rate(self, work):
        plan = work.dsrun("plan", work.posters(21, rate=None), "--json").answer
        assert plan["shortest_time_s"] == pytest.approx(9.5, abs=0.5)

    def test_touches_nothing_and_asks_nobody(self, work, emulator):
        work.posters(3)
        before = sorted(work.folder.parent.rglob("*"))
        assert work.dsrun("plan", "demo.yaml", "--full").code == 0
        assert sorted(work.folder.parent.rglob("*")) == before
        assert emulator.requests() == []

    def test_text_goes_to_stdout_and_shows_the_cost(self, work):
        outcome = work.dsrun("plan", work.posters(8, rate=None))
        assert outcome.code == 0
        assert outcome.err == ""
        assert "1.28 CNY" in outcome.out
        assert "a lantern 0" in outcome.out
        assert "a lantern 7" not in outcome.out
        assert "a lantern 7" in work.dsrun("plan", "demo.yaml", "--full").out

    def test_warnings_go_to_stderr_and_leave_json_alone(self, work):
        steps = """
steps:
  posters:
    operation: wanx-v1
    matrix:
      number: [1, 2]
      exclude: [{number: 3}]
    input: {prompt: "a lantern {{ number }}"}
"""
        outcome = work.dsrun("plan", work.pipeline(steps), "--json")
        assert outcome.code == 0
        assert "warning" in outcome.err
        assert outcome.answer["jobs"] == 2

    def test_knows_what_is_done(self, work, emulator):
        pipeline = work.posters(3)
        work.dsrun(pipeline, "--limit", "1")
        plan = work.dsrun("plan", pipeline, "--json", "--full").answer
        assert (plan["jobs"], plan["done"], plan["to_send"]) == (3, 1, 2)
        assert plan["cost"]["amount"] == pytest.approx(0.32)
        reasons = [job["reason"] for job in plan["job_list"]]
        assert reasons[0] == "done"
        assert reasons[1] == reasons[2] != "done"

    def test_dry_run_is_plan(self, work, emulator):
        pipeline = work.posters(2)
        assert work.dsrun(pipeline, "-n").out == work.dsrun("plan", pipeline).out
        assert work.dsrun(pipeline, "--dry-run").code == 0
        assert emulator.requests() == []
        assert not (work.folder / "outputs").exists()

    def test_limit_and_step_select(self, work):
        pipeline = work.posters_and_voices("calm")
        assert work.dsrun("plan", pipeline, "--json", "--limit", "1").answer["jobs"] == 1
        plan = work.dsrun("plan", pipeline, "--json", "--full", "--step", "voices").answer
        assert (plan["jobs"], plan["cost"]["amount"]) == (1, pytest.approx(0.2))
        assert [job["step"] for job in plan["job_list"]] == ["voices"]

    def test_equal_rows_count_once(self, work):
        steps = """
steps:
  posters:
    operation: wanx-v1
    matrix: {copy: [front, back]}
    input: {prompt: a lantern}
    filename: "{{ copy }}"
"""
        plan = work.dsrun("plan", work.pipeline(steps), "--json").answer
        assert (plan["jobs"], plan["to_send"]) == (1, 1)

    def test_a_reader_that_goes_away_early_is_no_failure(self, work):
        work.posters(3000, rate=None)
        plan = subprocess.Popen(
            [*work.command, "plan", "demo.yaml", "--full"],
            cwd=work.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        plan.stdout.readline()
        plan.stdout.close()
        with plan.stderr:
            words = plan.stderr.read()
        assert (plan.wait(), words) == (0, b"")
