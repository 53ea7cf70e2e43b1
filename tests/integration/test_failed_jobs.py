"""A failed job, or a part that did not come, costs no other job, and is made good on request."""

import json

import pytest


class TestFailedJobs:
    def test_a_failed_task_fails_its_job(self, work, serve):
        serve("failed-task")
        outcome = work.dsrun(work.posters(2))
        assert outcome.code == 1
        for line in work.results():
            assert line["status"] == "failed"
            assert line["error"]["code"] == "InternalError.Timeout"
            assert line["cost"]["amount"] == 0
            assert line["artifacts"] == []
        assert "InternalError.Timeout" in outcome.err

    def test_a_refused_prompt_fails_its_job_at_once(self, work, serve):
        service = serve("moderation")
        assert work.dsrun(work.posters(2)).code == 1
        assert service.count("POST") == 2
        for line in work.results():
            assert line["status"] == "failed"
            assert line["error"]["code"] == "DataInspectionFailed"
            assert line["attempts"] == 1
            assert line["task_id"] is None

    def test_others_go_on(self, work, serve):
        service = serve("moderation=0.5", seed=1)
        assert work.dsrun(work.posters(6)).code == 1
        statuses = work.statuses()
        assert statuses["failed"] + statuses["succeeded"] == 6
        assert statuses["succeeded"] == service.paid() == len(work.files()) > 0

    def test_fail_fast_sends_nothing_more(self, work, serve):
        service = serve("moderation")
        assert work.dsrun(work.posters(4), "-x").code == 3
        assert service.count("POST") == 1
        assert work.statuses() == {"failed": 1, "pending": 3}

    def test_max_failures_stops_the_run(self, work, serve):
        service = serve("moderation")
        outcome = work.dsrun(work.posters(5, max_failures=2))
        assert outcome.code == 3
        assert service.count("POST") == 2
        assert "max_failures" in outcome.err

    def test_a_forgotten_task_is_unknown_and_not_paid_again(self, work, serve):
        service = serve("unknown-task")
        assert work.dsrun(work.posters(1)).code == 1
        [line] = work.results()
        assert (line["status"], line["error"]["class"]) == ("unknown", "lost")
        assert work.dsrun("demo.yaml", "--retry-failed").code == 1
        assert service.paid() == 1


class TestPartialTask:
    @pytest.fixture
    def outcome(self, work, serve):
        serve("partial-task")
        return work.dsrun(work.posters(1, pictures=4))

    def test_ends_as_partial_with_exit_1(self, work, outcome):
        assert outcome.code == 1
        [line] = work.results()
        assert line["status"] == "partial"
        assert line["error"]["class"] == "partial"
        assert line["error"]["code"] in ("InternalError.Timeout", "DataInspectionFailed")

    def test_keeps_the_files_that_were_made(self, work, outcome):
        [line] = work.results()
        kept = line["artifacts"]
        assert 0 < len(kept) < 4
        assert {item["path"] for item in kept} == work.files().keys()

    def test_files_keep_the_number_and_seed_of_their_picture(self, work, outcome):
        [line] = work.results()
        first = line["request"]["parameters"]["seed"]
        for item in line["artifacts"]:
            assert item["path"] == f"artifacts/posters/0-{item['index']}.png"
            assert item["seed"] == first + item["index"]

    def test_costs_what_was_made(self, work, outcome):
        [line] = work.results()
        assert line["cost"]["amount"] == pytest.approx(0.16 * len(line["artifacts"]))

    def test_is_not_sent_again(self, work, serve, outcome):
        healthy = serve()
        assert work.dsrun("demo.yaml").code == 1
        assert healthy.count("POST") == 0


class TestMissingPictures:
    """`--retry-failed` asks for the pictures that did not come, and for no other."""

    JOBS = 8

    @pytest.fixture
    def pipeline(self, work):
        return work.posters(self.JOBS, pictures=4, seed="100")

    def test_makes_the_job_whole_as_if_nothing_had_failed(self, work, serve, pipeline):
        serve("partial-task")
        assert work.dsrun(pipeline).code == 1
        kept = work.files()
        missing = [
            (line["request"]["input"]["prompt"], 100 + index)
            for line in work.results()
            for index in {0, 1, 2, 3} - {item["index"] for item in line["artifacts"]}
        ]
        healthy = serve()
        assert work.dsrun(pipeline, "--retry-failed").code == 0
        assert kept.items() <= work.files().items()
        assert len(work.files()) == 4 * self.JOBS
        asked = [
            (body["input"]["prompt"], body["parameters"]["seed"] + index)
            for body in map(json.loads, healthy.creates())
            for index in range(body["parameters"]["n"])
        ]
        assert sorted(asked) == sorted(missing)
        assert work.statuses() == {"succeeded": self.JOBS}
        assert all(line["cost"]["amount"] == pytest.approx(0.64) for line in work.results())
        for line in work.results():
            assert line["request"]["parameters"]["n"] == 4
            assert [item["seed"] for item in line["artifacts"]] == [100, 101, 102, 103]

    def test_keeps_what_it_has_when_it_fails_again(self, work, serve, pipeline):
        serve("partial-task")
        work.dsrun(pipeline)
        kept = work.files()
        serve("failed-task")
        assert work.dsrun(pipeline, "--retry-failed").code == 1
        assert work.statuses() == {"partial": self.JOBS}
        assert work.files() == kept
        serve("moderation")
        assert work.dsrun(pipeline, "--retry-failed").code == 1
        assert {line["error"]["code"] for line in work.results()} == {"DataInspectionFailed"}
        assert work.statuses() == {"partial": self.JOBS}

    def test_goes_on_with_the_part_after_a_stop(self, work, serve, standing_clock, pipeline):
        serve("partial-task")
        work.dsrun(pipeline)
        service = serve(clock=standing_clock)
        child = work.spawn(pipeline, "--retry-failed")
        work.until(lambda: service.tasks_asked_for() == self.JOBS, what="every part asked for")
        child.kill()
        parts = len(service.creates())
        standing_clock.release()
        work.dsrun(pipeline)
        assert len(service.creates()) >= parts
        assert set(service.creates().values()) == {1}
        assert work.dsrun(pipeline, "--retry-failed").code == 0
        assert set(service.creates().values()) == {1}
        assert len(work.files()) == 4 * self.JOBS
