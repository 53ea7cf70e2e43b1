"""`dsrun status` says where a run stands."""

import pytest

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
