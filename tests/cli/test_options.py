"""Flag > environment > manifest > default, for every option of `run`."""

import pytest

from dsrun.cli.main import cli

PARAMS = """
params: {tone: noon sun, count: 2, warm: false, ratio: 0.5, tags: [a, b]}
steps:
  posters:
    operation: wanx-v1
    input:
      prompt: "{{ params.tone }} {{ params.warm }} {{ params.ratio }} {{ params.tags | tojson }}"
    parameters: {n: "{{ params.count }}"}
"""


class TestSet:
    def prompt(self, work, *arguments):
        plan = work.dsrun("plan", work.pipeline(PARAMS), "--json", "--full", *arguments)
        assert plan.code == 0, plan.err
        [job] = plan.answer["job_list"]
        return job["request"]["input"]["prompt"], job["request"]["parameters"]["n"]

    def test_without_it_the_manifest_counts(self, work):
        assert self.prompt(work) == ('noon sun false 0.5 ["a", "b"]', 2)

    def test_values_take_the_type_that_the_manifest_gives(self, work):
        options = ["count=3", "warm=true", "ratio=2", "tags=[c]", "tone=7"]
        arguments = [word for option in options for word in ("--set", option)]
        assert self.prompt(work, *arguments) == ('7 true 2 ["c"]', 3)

    def test_a_value_may_hold_any_sign(self, work):
        assert self.prompt(work, "--set", "tone=a=b: #c, {d}")[0].startswith("a=b: #c, {d} ")

    def test_the_last_one_counts(self, work):
        assert self.prompt(work, "--set", "count=3", "--set", "count=4")[1] == 4

    def test_makes_another_run_directory(self, work, emulator):
        pipeline = work.pipeline(PARAMS)
        work.dsrun(pipeline)
        first = work.run_dir()
        work.dsrun(pipeline, "--set", "tone=noir")
        assert work.run_dir() != first
        status = work.dsrun("status", pipeline, "--set", "tone=noir", "--json").answer
        assert status["directory"].endswith(work.run_dir().name)


class TestEnvironment:
    """Every option of `run` has a variable; flag > environment > manifest > default."""

    def test_every_option_of_run_has_one(self):
        options = [p for p in cli.commands["run"].params if p.param_type_name == "option"]
        without = {p.opts[-1] for p in options if not p.envvar} - {"--help", "-h"}
        assert without == set()
        assert all(p.envvar.startswith("DSRUN_") for p in options if p.envvar)

    def test_out(self, work, emulator, monkeypatch):
        monkeypatch.setenv("DSRUN_OUT", "there")
        work.dsrun(work.posters(1))
        assert (work.folder / "there/demo/latest").exists()
        assert work.dsrun("status", "demo.yaml").code == 0
        work.dsrun("demo.yaml", "-o", "elsewhere")
        assert (work.folder / "elsewhere/demo/latest").exists()

    def test_limit(self, work, emulator, monkeypatch):
        monkeypatch.setenv("DSRUN_LIMIT", "1")
        work.dsrun(work.posters(3))
        assert emulator.paid() == 1
        work.dsrun("demo.yaml", "--limit", "2")
        assert emulator.paid() == 2

    def test_set(self, work, monkeypatch):
        monkeypatch.setenv("DSRUN_SET", "count=3")
        plan = work.dsrun("plan", work.pipeline(PARAMS), "--json", "--full").answer
        assert plan["job_list"][0]["request"]["parameters"]["n"] == 3

    def test_set_takes_a_value_with_spaces(self, work, monkeypatch):
        monkeypatch.setenv("DSRUN_SET", "tone=noon sun and rain")
        outcome = work.dsrun("plan", work.pipeline(PARAMS), "--json", "--full")
        assert outcome.code == 0
        prompt = outcome.answer["job_list"][0]["request"]["input"]["prompt"]
        assert prompt.startswith("noon sun and rain")

    def test_step(self, work, emulator, monkeypatch):
        monkeypatch.setenv("DSRUN_STEP", "voices")
        work.dsrun(work.posters_and_voices("calm"))
        assert emulator.paid() == 1

    def test_emulate(self, work, monkeypatch):
        monkeypatch.setenv("DSRUN_EMULATE", "1")
        assert work.dsrun(work.posters(1)).code == 0
        assert work.run_dir().name.startswith("emulated-")

    def test_max_cost_stands_above_the_manifest_and_below_the_flag(
        self, work, emulator, monkeypatch
    ):
        pipeline = work.posters(4, max_cost="10 CNY")
        monkeypatch.setenv("DSRUN_MAX_COST", "0.16 CNY")
        assert work.dsrun(pipeline).code == 3
        assert emulator.paid() == 1
        assert work.dsrun(pipeline, "--max-cost", "0.32 CNY").code == 3
        assert emulator.paid() == 2

    def test_fail_fast(self, work, serve, monkeypatch):
        serve("moderation")
        monkeypatch.setenv("DSRUN_FAIL_FAST", "true")
        assert work.dsrun(work.posters(4)).code == 3

    def test_retry_failed_and_resubmit_unknown(self, work, serve, monkeypatch):
        serve("moderation")
        work.dsrun(work.posters(1))
        service = serve("lost-answer", "no-list")
        monkeypatch.setenv("DSRUN_RETRY_FAILED", "1")
        assert work.dsrun("demo.yaml").code == 1
        assert work.statuses() == {"unknown": 1}
        service.heal()
        monkeypatch.setenv("DSRUN_RESUBMIT_UNKNOWN", "1")
        assert work.dsrun("demo.yaml").code == 0

    def test_yes(self, work, emulator, monkeypatch):
        monkeypatch.setenv("DSRUN_YES", "1")
        assert work.dsrun(work.posters(3, confirm_above="0.1 CNY")).code == 0

    def test_dry_run(self, work, emulator, monkeypatch):
        monkeypatch.setenv("DSRUN_DRY_RUN", "1")
        assert work.dsrun(work.posters(1)).code == 0
        assert emulator.requests() == []

    @pytest.mark.parametrize(
        ("name", "value"), [("LIMIT", "none"), ("MAX_CONCURRENCY", "0"), ("IF_RUNNING", "perhaps")]
    )
    def test_a_wrong_value_is_told(self, work, emulator, monkeypatch, name, value):
        monkeypatch.setenv(f"DSRUN_{name}", value)
        outcome = work.dsrun(work.posters(1))
        assert outcome.code == 2
        assert value in outcome.err

    def test_an_empty_value_is_none(self, work, emulator, monkeypatch):
        for name in ("LIMIT", "MAX_COST", "SET", "STEP", "EMULATE", "QUIET"):
            monkeypatch.setenv(f"DSRUN_{name}", "")
        assert work.dsrun(work.posters(2)).code == 0
        assert emulator.paid() == 2
