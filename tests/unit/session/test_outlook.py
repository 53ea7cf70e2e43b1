"""What a plan comes to: sums, money and the time that its limits ask for."""

from decimal import Decimal

import pytest

from dsrun.common.models import JobStatus
from dsrun.common.units import Money
from dsrun.ledger.durations import TaskTime
from dsrun.session.estimate import likely_time, shortest_time, slow_services
from dsrun.session.outlook import Outlook
from tests.pipelines import one_step, plan_of

STEP = "    input: {prompt: a lantern}\n"
TWO = """version: 1
name: test
steps:
  s:
    operation: wanx-v1
    input: {prompt: a lantern}
  voices:
    operation: qwen-voice-design
    input:
      target_model: qwen3-tts-vd-2026-01-26
      voice_prompt: A calm voice
      preview_text: Good evening.
"""


def outlook_of(plan, statuses, **more):
    outlook = Outlook(plan)
    for status, count in statuses.items():
        for _ in range(count):
            name = plan.manifest.steps[0].calls.operations[0]
            outlook.of("s", name).add(status, units=2, **more)
    return outlook


def test_only_what_is_sent_costs(tmp_path):
    plan = plan_of(tmp_path, one_step(STEP))
    outlook = outlook_of(plan, {JobStatus.PENDING: 3, JobStatus.SUCCEEDED: 2, JobStatus.FAILED: 1})
    names = ("jobs", "done", "cached", "to_send")
    assert [outlook.total(name) for name in names] == [6, 2, 0, 3]
    assert outlook.other == {JobStatus.FAILED: 1}
    assert outlook.costs == [Money(amount=Decimal("0.96"), currency="CNY")]


def test_what_is_cached_is_not_sent(tmp_path):
    plan = plan_of(tmp_path, one_step(STEP))
    outlook = outlook_of(plan, {JobStatus.PENDING: 3, JobStatus.SUCCEEDED: 1}, is_cached=True)
    assert (outlook.total("cached"), outlook.total("to_send"), outlook.costs) == (3, 0, [])
    assert outlook.total("done") == 1


def test_operations_run_side_by_side_and_the_slowest_bounds(tmp_path):
    plan = plan_of(tmp_path, TWO)
    outlook = outlook_of(plan, {JobStatus.PENDING: 21})
    for _ in range(21):
        outlook.of("voices", "qwen-voice-design").add(JobStatus.PENDING, units=1)
    assert shortest_time(plan, outlook) == (9.5, "wanx-v1: 2 requests a second")
    assert [cost.amount for cost in outlook.costs] == [Decimal("10.92")]


def test_the_questions_about_tasks_bound_a_fast_rate(tmp_path):
    text = one_step(STEP) + "execution: {rate: 1000/s, polling: {rate: 60/min}}\n"
    plan = plan_of(tmp_path, text)
    outlook = outlook_of(plan, {JobStatus.PENDING: 120})
    assert shortest_time(plan, outlook) == (60.0, "60 questions about tasks a minute")


def test_nothing_to_send_takes_no_time(tmp_path):
    plan = plan_of(tmp_path, one_step(STEP))
    assert shortest_time(plan, Outlook(plan)).seconds == 0


def test_tasks_that_wait_for_each_other_are_advice(tmp_path):
    plan = plan_of(tmp_path, one_step(STEP))
    assert list(slow_services(plan, outlook_of(plan, {JobStatus.PENDING: 1}))) == []
    (words,) = slow_services(plan, outlook_of(plan, {JobStatus.PENDING: 4}))
    assert words == "wanx-v1 runs 1 task at a time, so these 4 tasks take 4 times as long as one"


def test_a_last_few_tasks_take_their_own_time(tmp_path):
    plan = plan_of(tmp_path, one_step(STEP).replace("wanx-v1", "wan2.2-t2i-flash"))
    (words,) = slow_services(plan, outlook_of(plan, {JobStatus.PENDING: 3}))
    assert words.endswith("runs 2 tasks at a time, so these 3 tasks take 2 times as long as one")


@pytest.mark.parametrize(
    ("jobs", "execution", "seconds"),
    [
        ({JobStatus.PENDING: 20_000}, "{rate: 1000/s}", 240_000.0),
        ({JobStatus.PENDING: 1}, "{}", 12.0),
        ({JobStatus.PENDING: 3, JobStatus.SUBMITTED: 2}, "{}", 60.0),
        ({JobStatus.SUBMITTED: 2, JobStatus.SUCCEEDED: 9}, "{}", 24.0),
        ({JobStatus.PENDING: 11}, "{rate: 1/min}", 612.0),
        ({JobStatus.SUCCEEDED: 9, JobStatus.FAILED: 3}, "{}", 0.0),
    ],
    ids=["a long queue", "one", "with some under way", "only those", "a slow rate", "nothing"],
)
def test_a_likely_time_counts_the_tasks_that_run_at_a_time(tmp_path, jobs, execution, seconds):
    plan = plan_of(tmp_path, f"{one_step(STEP)}execution: {execution}\n")
    times = {"wanx-v1": TaskTime(12.0, 40)}
    assert likely_time(plan, outlook_of(plan, jobs), times).seconds == seconds


def test_a_likely_time_is_that_of_the_slowest_operation(tmp_path):
    plan = plan_of(tmp_path, TWO)
    outlook = outlook_of(plan, {JobStatus.PENDING: 2})
    outlook.of("voices", "qwen-voice-design").add(JobStatus.PENDING, units=1)
    times = {"wanx-v1": TaskTime(12.0, 40), "qwen-voice-design": TaskTime(30.0, 1)}
    assert likely_time(plan, outlook, times) == (
        30.0,
        "qwen-voice-design: 1 request at a time, each about 30 s, the mean of 1 in earlier runs",
    )
    assert likely_time(plan, outlook, {"wanx-v1": TaskTime(12.0, 40)}) == (
        None,
        "qwen-voice-design: 1 request at a time, and no earlier run tells how long one takes",
    )
    assert likely_time(plan, outlook, {}).words == (
        "wanx-v1: 1 task at a time; qwen-voice-design: 1 request at a time, "
        "and no earlier run tells how long one takes"
    )


@pytest.mark.parametrize(("concurrency", "seconds"), [(None, 90.0), (2, 180.0), (1, 360.0)])
def test_as_many_calls_at_once_as_the_window_and_the_concurrency_allow(
    tmp_path, concurrency, seconds
):
    plan = plan_of(tmp_path, TWO + "execution: {submit_window: 4, rate: 100/s}\n")
    outlook = Outlook(plan)
    for _ in range(12):
        outlook.of("voices", "qwen-voice-design").add(JobStatus.PENDING, units=1)
    times = {"qwen-voice-design": TaskTime(30.0, 9)}
    assert likely_time(plan, outlook, times, concurrency=concurrency).seconds == seconds
