"""A cheap call that leaves no trace: its lost answer is asked for again, within bounds."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from dsrun.common.resources import iter_operation_files

CHILD = Path(__file__).parents[1] / "torture/child.py"
VOICE = dict(iter_operation_files())["qwen-voice-design"]
STEPS = """
steps:
  lines:
    operation: speech
    matrix: {number: [%s]}
    input:
      target_model: qwen3-tts-vd-2026-01-26
      voice_prompt: A calm voice
      preview_text: "Good evening {{ number }}."
    filename: "{{ number }}"
"""


@pytest.fixture
def speech(work, serve):
    """Serve a cheap operation that lists nothing, under faults; gives service and pipeline."""

    def begin(*faults, price="0.01", times=2, jobs=1, **execution):
        schema = json.loads(VOICE)
        schema["properties"]["model"]["const"] = "speech-1"
        about = schema["x-dsrun"]
        about["price"]["items"][0]["amount"] = price
        about["recovery"] = {"by": "repeat", "times": times}
        text = json.dumps(schema)
        (work.folder / "operations").mkdir(exist_ok=True)
        (work.folder / "operations/speech.json").write_text(text, encoding="utf-8")
        service = serve(*faults, operations=(text,))
        steps = STEPS % ", ".join(map(str, range(jobs)))
        return service, work.pipeline(steps, **execution)

    return begin


def outcomes(work):
    rows = work.query("SELECT outcome FROM attempt WHERE phase = 'create' ORDER BY attempt_id")
    return [row["outcome"] for row in rows]


def status(work):
    return work.dsrun("status", "demo.yaml", "--json").answer


@pytest.mark.parametrize("fault", ["lost-answer", "server-error-after", "server-error", "reset"])
def test_a_lost_answer_is_asked_for_again_at_once(work, speech, fault):
    service, pipeline = speech(fault)
    service.strike_only(1)
    outcome = work.dsrun(pipeline)
    assert outcome.code == 0, outcome
    assert service.count("POST") == 2
    assert outcomes(work) == ["lost", "repeated", "accepted"]
    assert work.statuses() == {"succeeded": 1}
    assert "repeated: 1 create was sent again" in outcome.err
    assert "0.01 CNY at most" in outcome.err


def test_no_more_often_than_the_operation_says(work, speech):
    service, pipeline = speech("lost-answer", times=2)
    assert work.dsrun(pipeline).code == 1
    assert service.paid() == 3
    assert outcomes(work) == ["lost", "repeated", "lost", "repeated", "lost"]
    assert work.statuses() == {"unknown": 1}


@pytest.mark.parametrize("option", [(), ("--retry-failed",)])
def test_a_later_run_has_no_repeats_of_its_own(work, speech, option):
    service, pipeline = speech("lost-answer", times=2)
    work.dsrun(pipeline)
    service.heal()
    assert work.dsrun(pipeline, *option).code == 1
    assert service.paid() == 3
    assert work.dsrun(pipeline, "--resubmit-unknown").code == 0
    assert service.paid() == 4


@pytest.mark.parametrize(("price", "creates"), [("0.01", 2), ("0.20", 1)])
def test_no_task_of_another_step_shows_that_it_was_not_accepted(work, speech, price, creates):
    """The list of tasks says nothing of a call that makes no task, however current it is."""
    service, _ = speech(times=1, price=price)
    pictures = """
  pictures:
    operation: wanx-v1
    matrix: {name: [one, two, three]}
    input: {prompt: "a {{ name }}"}
"""
    pipeline = work.pipeline(STEPS % "0" + pictures)
    assert work.dsrun(pipeline, "--step", "pictures").code == 0
    before = service.paid()
    service.suffer("lost-answer")
    assert work.dsrun(pipeline).code == 1
    assert service.paid() - before == creates
    assert work.statuses() == {"succeeded": 3, "unknown": 1}


def test_nor_than_max_attempts_allow(work, speech):
    service, pipeline = speech("lost-answer", times=5, max_attempts=3)
    assert work.dsrun(pipeline).code == 1
    assert service.paid() == 3
    assert work.statuses() == {"unknown": 1}


@pytest.mark.parametrize(
    ("price", "limit", "creates"),
    [
        ("0.05", None, 2), ("0.06", None, 1), ("0.20", None, 1),
        ("0.20", "0.2 CNY", 2), ("0.01", "0.009 CNY", 1), ("0.01", "0 CNY", 1),
    ],
)  # fmt: skip
def test_what_is_dearer_than_repeat_below_is_never_repeated(work, speech, price, limit, creates):
    service, pipeline = speech("lost-answer", price=price, times=1, repeat_below=limit)
    assert work.dsrun(pipeline).code == 1
    assert service.paid() == creates
    assert work.statuses() == {"unknown": 1}


def test_a_higher_limit_repeats_what_an_earlier_run_left_unknown(work, speech):
    service, pipeline = speech("lost-answer", price="0.20")
    work.dsrun(pipeline)
    service.heal()
    assert work.dsrun(work.pipeline(STEPS % "0", repeat_below="0.20 CNY")).code == 0
    assert service.paid() == 2


def test_an_operation_without_recovery_is_never_repeated(work, speech):
    service, pipeline = speech("lost-answer", price="0.01")
    text = json.loads((work.folder / "operations/speech.json").read_text())
    del text["x-dsrun"]["recovery"]
    (work.folder / "operations/speech.json").write_text(json.dumps(text))
    assert work.dsrun(pipeline).code == 1
    assert service.paid() == 1


class TestBudget:
    """Each create that may be paid counts."""

    def test_a_repeat_that_would_pass_max_cost_is_not_sent(self, work, speech):
        service, pipeline = speech("lost-answer", max_cost="0.015 CNY")
        assert work.dsrun(pipeline).code == 3
        assert service.paid() == 1

    def test_what_was_repeated_stays_counted_in_later_runs(self, work, speech):
        service, pipeline = speech("lost-answer", jobs=4, max_cost="0.04 CNY", concurrency=1)
        service.strike_only(2)
        assert work.dsrun(pipeline).code == 3
        assert service.paid() == 4
        assert work.statuses() == {"succeeded": 2, "pending": 2}
        assert work.dsrun(pipeline).code == 3
        assert service.paid() == 4
        assert work.dsrun(pipeline, "--max-cost", "0.06 CNY").code == 0
        assert service.paid() == 6

    def test_status_and_explain_tell_how_many_and_what_they_may_have_cost(self, work, speech):
        service, pipeline = speech("lost-answer", jobs=3, concurrency=1)
        service.strike_only(2)
        assert work.dsrun(pipeline).code == 0
        answer = status(work)
        assert answer["repeated"]["creates"] == 2
        assert answer["repeated"]["at_most"] == {"amount": 0.02, "currency": "CNY"}
        assert answer["cost"]["amount"] == pytest.approx(0.03)
        assert answer["may_be_paid"]["amount"] == pytest.approx(0.02)
        assert "2 creates were sent again" in work.dsrun("status", pipeline).out
        told = work.dsrun("explain", "lines/0", pipeline).out
        assert told.count("create lost") == told.count("create repeated") == 2
        assert "2 creates may have cost 0.02 CNY more" in told

    def test_explain_counts_what_the_call_was_to_cost(self, work, speech):
        service, pipeline = speech("lost-answer", jobs=1)
        schema = json.loads((work.folder / "operations/speech.json").read_text())
        [item] = schema["x-dsrun"]["price"]["items"]
        item |= {"unit": "10k characters", "amount": "8", "per": 10_000}
        del item["billed"]
        item["units"] = {"chars": ["/input/preview_text"]}
        (work.folder / "operations/speech.json").write_text(json.dumps(schema))
        service.strike_only(1)
        assert work.dsrun(pipeline).code == 0
        told = work.dsrun("explain", "lines/0", pipeline).out
        assert "1 create may have cost 0.012 CNY more" in told

    def test_a_run_without_losses_says_nothing_of_repeats(self, work, speech):
        _, pipeline = speech()
        assert "repeated" not in work.dsrun(pipeline).err
        assert status(work)["repeated"]["creates"] == 0


class TestKill:
    """The intent is on disk; nobody saw the answer."""

    def kill_while_waiting(self, work, service, pipeline):
        child = work.spawn(pipeline)
        work.until(lambda: service.count("POST"), what="a create")
        child.kill()

    def test_the_next_run_repeats_it(self, work, speech):
        service, pipeline = speech("stall")
        self.kill_while_waiting(work, service, pipeline)
        assert work.statuses() == {"submitting": 1}
        service.heal()
        assert work.dsrun(pipeline).code == 0
        assert service.count("POST") == 2
        assert outcomes(work) == ["repeated", "accepted"]
        assert status(work)["repeated"]["creates"] == 1

    def test_as_often_as_the_operation_says_over_all_runs(self, work, speech):
        service, pipeline = speech("stall", times=1)
        self.kill_while_waiting(work, service, pipeline)
        first = service.count("POST")
        child = work.spawn(pipeline)
        work.until(lambda: service.count("POST") > first, what="the repeat")
        child.kill()
        service.heal()
        assert work.dsrun(pipeline).code == 1
        assert service.count("POST") == 2
        assert work.statuses() == {"unknown": 1}

    @pytest.mark.parametrize(
        ("point", "creates", "repeats"),
        [
            ("before Ledger.record_lost 1", 2, 1), ("after Ledger.record_lost 1", 2, 1),
            ("before Ledger.record_repeat 1", 2, 1), ("after Ledger.record_repeat 1", 2, 1),
            ("before ApiClient.create 2", 2, 2), ("after ApiClient.create 2", 3, 2),
            ("before Ledger.record_answer 1", 3, 2), ("after Ledger.record_answer 1", 3, 2),
            ("before Ledger.record_result 1", 2, 1), ("after Ledger.record_result 1", 2, 1),
        ],
    )  # fmt: skip
    def test_at_any_moment_every_create_is_counted(self, work, speech, point, creates, repeats):
        """Counted are at least as many as were sent beyond the one that succeeded."""
        service, pipeline = speech("lost-answer")
        service.strike_only(1)
        place, _, number = point.rpartition(" ")
        work.spawn_script(CHILD, place, number, "run", pipeline).end()
        assert work.dsrun(pipeline).code == 0
        assert service.paid() == creates
        assert status(work)["repeated"]["creates"] == repeats >= creates - 1
        assert work.statuses() == {"succeeded": 1}

    def test_a_repaired_ledger_has_not_forgotten_the_repeats(self, work, speech):
        service, pipeline = speech("lost-answer", times=2)
        work.dsrun(pipeline)
        with closing(sqlite3.connect(work.run_dir() / "ledger.sqlite3")) as db, db:
            db.execute("UPDATE job SET status = 'nonsense'")
        assert work.dsrun("verify", work.run_dir(), "--repair").code == 0
        assert status(work)["repeated"]["creates"] == 2
        service.heal()
        assert work.dsrun(pipeline).code == 1
        assert service.paid() == 3

    def test_not_where_the_call_is_dear(self, work, speech):
        service, pipeline = speech("stall", price="0.20")
        self.kill_while_waiting(work, service, pipeline)
        service.heal()
        assert work.dsrun(pipeline).code == 1
        assert service.count("POST") == 1
        assert work.statuses() == {"unknown": 1}


def test_repeat_below_must_be_in_the_currency_of_the_prices(work, speech):
    _, pipeline = speech(repeat_below="0.01 USD")
    outcome = work.dsrun("validate", pipeline)
    assert outcome.code == 2
    assert "repeat_below" in outcome.err
    assert "CNY" in outcome.err
