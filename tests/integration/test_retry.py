"""Failed tasks are tried again where the manifest asks for it; each try is counted and paid for."""

import json
from pathlib import Path

import pytest

CHILD = Path(__file__).parents[1] / "torture/child.py"
ONCE = {"failed_tasks": 1}
TWICE = {"failed_tasks": 2}


def attempts(work):
    """What happened to tasks, in its order."""
    rows = work.query("SELECT phase, outcome FROM attempt WHERE phase = 'end' ORDER BY attempt_id")
    return [row["outcome"] for row in rows]


class TestTries:
    def test_by_default_none_is(self, work, serve):
        service = serve("failed-task")
        assert work.dsrun(work.posters(1)).code == 1
        assert service.paid() == 1

    def test_a_failed_task_is_tried_again_so_often_and_then_fails_its_job(self, work, serve):
        service = serve("failed-task")
        outcome = work.dsrun(work.posters(1, retry=TWICE))
        assert outcome.code == 1
        assert service.paid() == 3
        assert attempts(work) == ["retried", "retried", "failed"]
        [line] = work.results()
        assert (line["status"], line["attempts"]) == ("failed", 3)
        assert line["error"]["code"] == "InternalError.Timeout"
        assert "tried again after failed tasks: 2 x InternalError.Timeout" in outcome.err

    def test_one_that_succeeds_then_is_as_if_nothing_had_been(self, work, serve):
        service = serve("failed-task")
        service.strike_only(2)
        outcome = work.dsrun(work.posters(2, retry=TWICE))
        assert outcome.code == 0
        assert service.paid() == 4
        assert work.statuses() == {"succeeded": 2}
        assert all(line["error"] is None for line in work.results())

    def test_status_tells_of_them(self, work, serve):
        serve("failed-task").strike_only(1)
        work.dsrun(work.posters(2, retry=TWICE))
        outcome = work.dsrun("status", work.run_dir())
        assert "tried again after failed tasks: 1 x InternalError.Timeout" in outcome.out
        told = json.loads(work.dsrun("status", work.run_dir(), "--json").out)
        assert told["retried"] == {"InternalError.Timeout": 1}

    def test_only_the_last_try_counts_as_a_failure_of_the_run(self, work, serve):
        service = serve("failed-task")
        assert work.dsrun(work.posters(1, retry=TWICE, max_failures=1)).code == 1
        assert service.paid() == 3

    def test_each_try_has_its_price_set_aside_first(self, work, serve):
        service = serve("failed-task")
        assert work.dsrun(work.posters(1, retry=TWICE, max_cost="0.16 CNY")).code == 1
        assert service.paid() == 3  # a failed task costs nothing, so its money is free again

    def test_retry_failed_gives_a_job_all_its_tries_again(self, work, serve):
        service = serve("failed-task")
        work.dsrun(work.posters(1, retry=ONCE))
        assert service.paid() == 2
        work.dsrun("demo.yaml", "--retry-failed")
        assert service.paid() == 4
        assert attempts(work) == ["retried", "failed", "retried", "failed"]


class TestCodes:
    @pytest.mark.parametrize(
        ("codes", "tries"),
        [
            (["InternalError.*"], 3),
            (["internalerror.timeout"], 3),
            (["SystemError", "*.Timeout"], 3),
            (["SystemError"], 1),
            (["InternalError"], 1),
        ],
    )
    def test_the_codes_are_globs(self, work, serve, codes, tries):
        service = serve("failed-task")
        work.dsrun(work.posters(1, retry=TWICE | {"codes": codes}))
        assert service.paid() == tries

    def test_without_codes_a_refused_content_is_not_tried_again(self, work, serve):
        service = serve("moderation")
        work.dsrun(work.posters(1, retry=TWICE))
        assert service.count("POST") == 1

    def test_an_empty_list_of_codes_is_told_with_its_place(self, work, emulator):
        outcome = work.dsrun("validate", work.posters(1, retry=TWICE | {"codes": []}))
        assert outcome.code == 2
        assert "execution.retry.codes" in outcome.err


class TestKilled:
    @pytest.mark.parametrize("moment", ["before", "after"])
    @pytest.mark.parametrize("number", ["1", "2"])
    def test_a_run_that_goes_on_does_not_begin_to_count_anew(self, work, serve, moment, number):
        service = serve("failed-task")
        pipeline = work.posters(1, retry=TWICE)
        work.spawn_script(CHILD, f"{moment} Ledger.record_retry", number, "run", pipeline).end()
        assert work.dsrun(pipeline).code == 1
        assert service.paid() == 3
        assert attempts(work) == ["retried", "retried", "failed"]

    @pytest.mark.parametrize("point", ["record_intent", "record_task"])
    @pytest.mark.parametrize("moment", ["before", "after"])
    def test_no_second_create_is_sent_while_the_first_may_live(self, work, serve, point, moment):
        """Killed around the second create, after a task that failed."""
        service = serve("failed-task")
        service.strike_only(1)
        pipeline = work.posters(1, retry=TWICE)
        work.spawn_script(CHILD, f"{moment} Ledger.{point}", "2", "run", pipeline).end()
        code = work.dsrun(pipeline).code
        if (point, moment) == ("record_intent", "after"):
            assert (code, service.paid()) == (1, 1)  # nobody can tell, so the user decides
            assert work.statuses() == {"unknown": 1}
        else:
            assert (code, service.paid()) == (0, 2)


def test_killed_again_and_again_no_job_gets_more_tries_than_it_may(work, serve):
    """Killed each time one more create is paid; half of all tasks fail."""
    service = serve("failed-task=0.5", seed=4)
    pipeline = work.posters(5, retry=TWICE)
    for least in range(1, 9):
        child = work.spawn("run", pipeline)
        work.until(
            lambda least=least, child=child: service.paid() >= least or not child.is_running,
            what="one more picture is paid, or the run has ended",
        )
        child.kill()
    assert work.dsrun(pipeline).code in (0, 1)
    assert max(service.creates().values()) <= 3
    rows = work.query(
        "SELECT status, sum(outcome = 'retried') AS tries, "
        "count(DISTINCT attempt.task_id) AS tasks FROM job JOIN attempt USING (job_id) "
        "GROUP BY job_id"
    )
    assert len(rows) == 5
    for row in rows:
        assert row["status"] in ("succeeded", "failed", "unknown")
        assert row["tries"] <= 2
    known = sum(row["tasks"] for row in rows)
    in_doubt = sum(row["status"] == "unknown" for row in rows)
    assert known <= service.paid() <= known + in_doubt


def test_a_task_of_another_run_directory_is_that_runs_to_try_again(work, serve):
    """Both know the task; were both to try again, the picture would be paid twice."""
    service = serve("failed-task", "garbage-json")
    pipeline = work.posters(1, retry=ONCE, timeout="500ms")
    work.dsrun(pipeline)
    first = work.run_dir()
    assert work.statuses() == {"submitted": 1}
    service.heal()
    other = pipeline.with_name("other.yaml")
    other.write_text(pipeline.read_text().replace("-{{ index }}", "x{{ index }}"))
    assert work.dsrun(other).code == 1
    assert (service.paid(), work.statuses()) == (1, {"failed": 1})
    assert work.run_dir() != first
    assert work.dsrun(pipeline).code == 0
    assert service.paid() == 2


def test_children_wait_for_the_last_try(work, serve):
    service = serve("failed-task", picture_scale=0.5)
    service.strike_only(1)
    steps = """
steps:
  stills:
    operation: wanx-v1
    input: {prompt: a lantern}
  edits:
    operation: wan2.5-i2i-preview
    matrix: {still: {step: stills}}
    input: {prompt: by night, images: ["{{ still.artifact }}"]}
"""
    outcome = work.dsrun(work.pipeline(steps, retry=TWICE))
    assert outcome.code == 0, outcome.err
    assert work.statuses() == {"succeeded": 2}
    assert service.paid() == 3


def test_the_plan_says_what_all_tries_may_cost_at_most(work, emulator):
    pipeline = work.posters(2, retry=TWICE)
    assert (
        "retry: a task that fails at the service is tried again up to 2 times; were each of them "
        "billed, the run would cost ≤ 0.96 CNY"
    ) in work.dsrun("plan", pipeline).out
    told = json.loads(work.dsrun("plan", pipeline, "--json").out)["retry"]
    assert told == {
        "failed_tasks": 2,
        "codes": None,
        "cost_at_most": [{"amount": 0.96, "currency": "CNY"}],
    }
