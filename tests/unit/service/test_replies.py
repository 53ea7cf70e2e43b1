"""The API's answers, in the shapes that its pages show."""

import pytest

from dsrun.common.models import JobError
from dsrun.service.catalog import load_catalog
from dsrun.service.classify import Decision
from dsrun.service.replies import (
    Entry,
    TaskPhase,
    billed_units,
    entries,
    error_decision,
    gravest,
    outputs,
    overbilled,
    request_id_of,
    task_duration_s,
    task_error,
    task_id_of,
    task_phase,
    upload_policy,
)

WANX = load_catalog()["wanx-v1"]
POLICY = {
    "policy": "p", "signature": "s", "upload_dir": "folder", "upload_host": "https://example.com",
    "oss_access_key_id": "id", "x_oss_object_acl": "private", "x_oss_forbid_overwrite": "true",
}  # fmt: skip
VOICE = load_catalog()["qwen-voice-design"]
PARTIAL = {
    "request_id": "r-1",
    "output": {
        "task_id": "t-1",
        "task_status": "SUCCEEDED",
        "submit_time": "2026-11-22 10:00:00.000",
        "end_time": "2026-11-22 10:00:12.500",
        "results": [
            {"url": "https://example.com/0.png"},
            {"code": "InternalError.Timeout", "message": "timed out"},
            {"url": ""},
            {"url": None, "code": "DataInspectionFailed"},
        ],
    },
    "usage": {"image_count": 1},
}


@pytest.mark.parametrize(
    ("status", "phase"),
    [
        ("PENDING", TaskPhase.WAITING),
        ("RUNNING", TaskPhase.WAITING),
        ("SUSPENDED", TaskPhase.WAITING),
        ("SOMETHING_NEW", TaskPhase.WAITING),
        (None, TaskPhase.WAITING),
        ("SUCCEEDED", TaskPhase.SUCCEEDED),
        ("FAILED", TaskPhase.FAILED),
        ("CANCELED", TaskPhase.CANCELLED),
        ("CANCELLED", TaskPhase.CANCELLED),
        ("UNKNOWN", TaskPhase.GONE),
        ("succeeded", TaskPhase.SUCCEEDED),
    ],
)
def test_the_phase_of_every_status(status, phase):
    assert task_phase({"output": {"task_status": status}}) is phase


@pytest.mark.parametrize("payload", [None, [], {}, {"output": None}, "text"], ids=repr)
def test_an_answer_without_a_task_has_no_id_and_waits(payload):
    assert (task_id_of(payload), task_phase(payload)) == (None, TaskPhase.WAITING)
    assert task_duration_s(payload) is None


@pytest.mark.parametrize(
    ("found", "task_id"),
    [("t-1", "t-1"), ("", None), (None, None), (7, None), (["t"], None)],
    ids=repr,
)
def test_a_task_id_is_text_that_is_not_empty(found, task_id):
    assert task_id_of({"output": {"task_id": found}}) == task_id


@pytest.mark.parametrize(
    ("payload", "error"),
    [
        pytest.param(
            {"output": {"code": "InvalidParameter", "message": "size"}},
            JobError(code="InvalidParameter", message="size", kind="job"),
            id="inside output",
        ),
        pytest.param(
            {"code": "InternalError", "message": "top", "output": {}},
            JobError(code="InternalError", message="top", kind="job"),
            id="at the top",
        ),
        pytest.param(
            {"output": {"task_status": "FAILED"}},
            JobError(code="TaskFailed", message="the service names no reason", kind="job"),
            id="nowhere",
        ),
    ],
)
def test_why_a_task_failed(payload, error):
    assert task_error(payload) == error


def test_pictures_and_their_failures_keep_the_order_of_the_answer():
    assert entries(WANX, PARTIAL) == [
        Entry("https://example.com/0.png", "", ""),
        Entry(None, "InternalError.Timeout", "timed out"),
        Entry(None, "NoResult", "no address given"),
        Entry(None, "DataInspectionFailed", "no address given"),
    ]


@pytest.mark.parametrize("results", [None, {}, "text", []], ids=repr)
def test_an_answer_without_results_has_no_entries(results):
    assert entries(WANX, {"output": {"results": results}}) == []


@pytest.mark.parametrize("item", [None, "text", 7, []], ids=repr)
def test_a_result_of_no_known_shape_is_a_failure_and_no_crash(item):
    payload = {"output": {"results": [item]}}
    assert entries(WANX, payload) == [Entry(None, "NoResult", "no address given")]


def test_what_later_steps_may_use():
    payload = {"output": {"voice": "qwen-tts-vd-x", "target_model": "qwen3-tts-vd-2026-01-26"}}
    assert outputs(VOICE, payload) == payload["output"]
    assert outputs(WANX, PARTIAL) is None


@pytest.mark.parametrize(
    ("usage", "units"),
    [
        pytest.param({"image_count": 1}, 1, id="as the service counts"),
        pytest.param({"image_count": 0}, 0, id="nothing billed"),
        pytest.param({}, 3, id="not said: what was made"),
        pytest.param({"image_count": True}, 3, id="no number"),
        pytest.param({"image_count": "1"}, 3, id="text"),
    ],
)
def test_what_is_billed(usage, units):
    assert billed_units(WANX, {"usage": usage}, made=3, asked=3) == units
    assert overbilled(WANX, {"usage": usage}, made=3, asked=3) == ""


@pytest.mark.parametrize("claimed", [4, 2**31, 2**63 - 1, 2**63, 2**64 - 1])
def test_no_more_is_billed_than_was_asked_for_and_the_claim_is_told(claimed):
    payload = {"usage": {"image_count": claimed}}
    assert billed_units(WANX, payload, made=1, asked=3) == 3
    assert f"bills {claimed} x image" in overbilled(WANX, payload, made=1, asked=3)


@pytest.mark.parametrize("claimed", [-1, -(2**63), 1e300, 0.5, True, "9", None, [9], {}])
def test_what_is_no_count_bills_what_was_made(claimed):
    payload = {"usage": {"image_count": claimed}}
    assert billed_units(WANX, payload, made=1, asked=3) == 1
    assert overbilled(WANX, payload, made=1, asked=3) == ""


def test_what_was_made_unasked_is_billed():
    payload = {"usage": {"image_count": 4}}
    assert billed_units(WANX, payload, made=4, asked=1) == 4


@pytest.mark.parametrize("largest", [-1, 1e300, 2**62, True, "100", None, [], float("inf")])
def test_a_largest_size_that_cannot_be_meant_refuses_nothing(largest):
    policy = upload_policy({"data": {**POLICY, "max_file_size_mb": largest}})
    assert policy.largest_bytes >= 2**40


@pytest.mark.parametrize(
    ("begin", "end", "seconds"),
    [
        pytest.param("2026-11-22 10:00:00.000", "2026-11-22 10:00:12.500", 12.5, id="both"),
        pytest.param("2026-11-22 10:00:00.000", None, None, id="not ended"),
        pytest.param("soon", "later", None, id="words"),
        pytest.param("2026-11-22T10:00:00Z", "2026-11-22 10:00:00", None, id="one with a zone"),
    ],
)
def test_how_long_a_task_took_by_the_service_s_clock(begin, end, seconds):
    payload = {"output": {"submit_time": begin, "end_time": end}}
    assert task_duration_s(payload) == seconds


def test_the_request_id_is_of_the_body_else_of_the_header():
    assert request_id_of(PARTIAL, {"x-request-id": "h"}) == "r-1"
    assert request_id_of(None, {"x-request-id": "h"}) == "h"
    assert request_id_of({}, {}) == ""


@pytest.mark.parametrize(
    ("code", "decision"),
    [
        ("Arrearage", Decision.STOP),
        ("ModelNotFound", Decision.MODEL),
        ("InternalError.Timeout", Decision.JOB),
        ("DataInspectionFailed", Decision.JOB),
        ("SomethingNew", Decision.JOB),
    ],
)
def test_an_error_inside_a_task_goes_through_the_table_of_refusals(code, decision):
    assert error_decision(JobError(code=code, message="", kind="job")) is decision


@pytest.mark.parametrize(
    ("codes", "told"),
    [
        pytest.param([], None, id="nothing is missing"),
        pytest.param(["DataInspectionFailed", "NoResult"], "DataInspectionFailed", id="the first"),
        pytest.param(["NoResult", "ModelNotFound"], "ModelNotFound", id="an operation's"),
        pytest.param(["ModelNotFound", "Arrearage"], "Arrearage", id="an account's"),
    ],
)
def test_the_reason_that_reaches_farthest_is_told(codes, told):
    found = [Entry("https://example.com/0.png", "", ""), *(Entry(None, c, "") for c in codes)]
    entry = gravest(found)
    assert (entry and entry.code) == told
