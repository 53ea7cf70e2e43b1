"""`dsrun status` says where a run stands."""

import pytest

from dsrun.ledger.schema import SINCE_LEFT_OUT
from tests.older import downgrade

STATUSES = {
    "waiting",
    "skipped",
    "pending",
    "submitting",
    "submitted",
    "succeeded",
    "partial",
    "failed",
    "cancelled",
    "unknown",
}


class TestLeftOut:
    def test_what_the_last_run_was_not_about_is_left_out_not_pending(self, work, emulator):
        pipeline = work.posters(3)
        work.dsrun(pipeline, "--limit", "2")
        words = work.dsrun("status", pipeline).out
        assert "3 jobs: 2 succeeded, 1 left out of the last run;" in words
        assert "pending" not in words
        status = work.dsrun("status", pipeline, "--json").answer
        assert status["left_out"] == status["by_model"]["wanx-v1"]["left_out"] == 1
        assert "left out of the last run" in work.dsrun("explain", "posters/2", pipeline).out
        facts = work.dsrun("explain", "posters/2", pipeline, "--json").answer["ledger"]
        assert (facts["status"], facts["left_out"]) == ("pending", True)
        assert not work.dsrun("explain", "posters/1", pipeline, "--json").answer["ledger"][
            "left_out"
        ]

    def test_the_next_run_decides_anew(self, work, emulator):
        pipeline = work.posters(3)
        work.dsrun(pipeline, "--limit", "2")
        work.dsrun(pipeline)
        assert "3 jobs: 3 succeeded;" in work.dsrun("status", pipeline).out
        assert work.dsrun("status", pipeline, "--json").answer["left_out"] == 0

    def test_a_run_that_stopped_early_has_left_its_own_jobs_pending(self, work, emulator):
        pipeline = work.posters(3)
        work.dsrun(pipeline, "--limit", "2", "--max-cost", "0.16 CNY")
        words = work.dsrun("status", pipeline).out
        assert "3 jobs: 1 pending, 1 succeeded, 1 left out of the last run;" in words

    def test_models_that_are_compared_say_it_too(self, work, emulator):
        steps = """
steps:
  posters:
    operation: [wanx-v1, wanx2.1-t2i-turbo]
    input: {prompt: a fox}
"""
        outcome = work.dsrun(work.pipeline(steps), "--only", "operation == 'wanx-v1'")
        words = "wanx2.1-t2i-turbo: 1 left out of the last run"
        assert words in outcome.err
        assert words in work.dsrun("status", "demo.yaml").out

    def test_a_ledger_of_an_older_version_has_none(self, work, emulator):
        pipeline = work.posters(3)
        work.dsrun(pipeline, "--limit", "2")
        downgrade(work.run_dir() / "ledger.sqlite3", SINCE_LEFT_OUT - 1)
        assert "1 pending, 2 succeeded;" in work.dsrun("status", pipeline).out
        assert work.dsrun("explain", "posters/2", pipeline).code == 0


class TestStatus:
    def test_json_has_the_keys_of_the_contract(self, work, emulator):
        pipeline = work.posters(3)
        work.dsrun(pipeline, "--limit", "2")
        outcome = work.dsrun("status", pipeline, "--json")
        assert outcome.code == 0
        status = outcome.answer
        assert status["jobs"].keys() == STATUSES
        assert (status["jobs"]["succeeded"], status["jobs"]["pending"]) == (2, 1)
        assert status["running"] is False
        assert status["cost"] == {"amount": pytest.approx(0.32), "currency": "CNY"}

    @pytest.mark.parametrize("command", ["status {}", "status {} --watch", "control {} pause"])
    def test_a_run_of_the_other_kind_is_named_where_it_alone_is_there(self, work, command):
        pipeline = work.posters(1)
        words = command.format(pipeline).split()
        assert "emulate" not in work.dsrun(*words).err
        work.dsrun(pipeline, "--emulate")
        outcome = work.dsrun(*words)
        assert outcome.code == 3
        assert outcome.err.endswith("; only an emulated run is there: add --emulate\n")

    def test_an_emulated_run_has_cost_nothing(self, work):
        pipeline = work.posters(2)
        assert work.dsrun(pipeline, "--emulate").code == 0
        status = work.dsrun("status", pipeline, "--emulate", "--json").answer
        assert status["emulated"] is True
        assert status["cost"] == status["may_be_paid"] == {"amount": 0.0, "currency": "CNY"}
        assert work.dsrun("status", "outputs/demo", "--json").answer["cost"] == status["cost"]
        words = work.dsrun("status", pipeline, "--emulate").out
        assert "emulated, nothing was paid" in words
        page = (work.run_dir() / "report.html").read_text()
        assert "nothing (emulated)" in page
        assert "0.32 CNY" not in page

    def test_text_goes_to_stdout(self, work, serve):
        serve("failed-task")
        work.dsrun(work.posters(2))
        outcome = work.dsrun("status", "demo.yaml")
        assert (outcome.code, outcome.err) == (0, "")
        assert "2 failed" in outcome.out
        assert "InternalError.Timeout" in outcome.out

    @pytest.mark.parametrize(
        "where",
        ["demo.yaml", "outputs/demo", "outputs/demo/latest"],
        ids=["pipeline", "all", "dir"],
    )
    def test_takes_a_pipeline_or_a_directory(self, work, emulator, where):
        work.dsrun(work.posters(2))
        outcome = work.dsrun("status", where)
        assert outcome.code == 0
        assert "2 succeeded" in outcome.out

    def test_of_a_pipeline_that_has_not_been_run_says_so(self, work):
        outcome = work.dsrun("status", work.posters(1))
        assert outcome.code != 0
        assert "not been run" in outcome.err

    def test_of_a_folder_without_a_run_says_so(self, work):
        outcome = work.dsrun("status", work.folder)
        assert outcome.code != 0
        assert "ledger" in outcome.err
