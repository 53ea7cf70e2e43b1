"""Limits of the user's account, by model: checked, laid over the published ones, and told."""

import pytest

from dsrun.common.errors import ManifestError
from dsrun.common.units import Rate
from dsrun.manifest.execution import parse_execution
from dsrun.planning.own_limits import operation_notes
from dsrun.service.catalog import load_catalog
from tests.pipelines import one_step, plan_of

STEP = "    input: {prompt: a lantern}\n"
CATALOG = load_catalog()


def planned(tmp_path, execution):
    return plan_of(tmp_path, one_step(STEP) + f"execution: {execution}\n")


@pytest.mark.parametrize(
    ("limits", "words"),
    [
        ("{wanx-v2: {requests: 4}}", 'limits.wanx-v2: found "wanx-v2" .did you mean wanx-v1'),
        ("{wan-t2i: {requests: 4}}", "a file of several models; allowed: one of its models: wan2"),
        ("{wanx-v1: {request: 4}}", "limits.wanx-v1.request: .*did you mean requests"),
        ("{wanx-v1: {requests: 0}}", "limits.wanx-v1.requests: found 0; allowed: 1 to"),
        ("{wanx-v1: {}}", "limits.wanx-v1: found no item"),
        ("{wanx-v1: {running_tasks: 600}}", "queued_tasks is 500 and running_tasks 600"),
        ("{wanx-v1: {group_running: 6}}", "group_running: wanx-v1 is in no group; take it out"),
        ("{wanx-v1: {tokens: 6}}", "has to have both tokens and tokens_s"),
        ("{qwen-voice-design: {running_tasks: 6}}", "running_tasks: .*which makes no tasks"),
    ],
)
def test_wrong_limits_are_told_with_place_and_words(tmp_path, limits, words):
    with pytest.raises(ManifestError, match=words):
        planned(tmp_path, f"{{limits: {limits}}}").check()


@pytest.mark.parametrize(
    ("execution", "rate", "queued"),
    [
        ({}, Rate(requests=2, per_s=1), 500),
        ({"limits": {"wanx-v1": {"requests": 5}}}, Rate(requests=5, per_s=1), 500),
        ({"limits": {"wanx-v1": {"per_s": 60}}}, Rate(requests=2, per_s=60), 500),
        ({"limits": {"wanx-v1": {"queued_tasks": 9}}}, Rate(requests=2, per_s=1), 9),
        ({"limits": {"wanx2.1-t2i-plus": {"requests": 5}}}, Rate(requests=2, per_s=1), 500),
        ({"rate": "9/min"}, Rate(requests=9, per_s=60), 500),
        ({"rate": "9/min", "limits": {"wanx-v1": {"requests": 5}}}, Rate(requests=5, per_s=1), 500),
        (
            {"rate": "9/min", "limits": {"wanx-v1": {"queued_tasks": 9}}},
            Rate(requests=9, per_s=60), 9,
        ),
    ],
)  # fmt: skip
def test_own_limits_are_laid_over_the_published_ones_and_win_over_rate(execution, rate, queued):
    limits = parse_execution(execution).limits_of(CATALOG["wanx-v1"])
    assert (limits.rate, limits.queued_tasks) == (rate, queued)


def test_they_are_no_part_of_the_digest(tmp_path):
    plain = planned(tmp_path, "{}")
    own = planned(tmp_path, "{limits: {wanx-v1: {requests: 1}}}")
    assert own.digest == plain.digest


@pytest.mark.parametrize(
    ("execution", "place"),
    [
        ("{limits: {wanx-v1: {requests: 3}}}", "execution.limits.wanx-v1.requests"),
        ("{limits: {wanx-v1: {per_s: 0.5}}}", "execution.limits.wanx-v1.per_s"),
        ("{rate: 3/s}", "execution.rate"),
    ],
)
def test_a_rate_above_the_published_one_is_a_warning(tmp_path, execution, place):
    (warning,) = planned(tmp_path, execution).warnings
    assert warning.where == place
    assert "more than the 2 requests in 1 s that are published for wanx-v1" in warning.message


@pytest.mark.parametrize(
    "execution",
    ["{}", "{limits: {wanx-v1: {requests: 1}}}", "{rate: 9/s, limits: {wanx-v1: {requests: 2}}}"],
)
def test_a_rate_that_is_published_is_none(tmp_path, execution):
    assert not planned(tmp_path, execution).warnings


def test_the_plan_notes_what_a_model_s_file_says_and_which_limits_are_one_s_own(tmp_path):
    plan = planned(tmp_path, "{limits: {wanx-v1: {requests: 1}}}")
    note, own = operation_notes(plan.manifest, plan.catalog)
    assert note == f"wanx-v1: {CATALOG['wanx-v1'].note}"
    assert own.startswith("wanx-v1: limits of your account: 1 request a second, ")
    assert "(published: 2 requests a second, " in own
