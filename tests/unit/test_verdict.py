"""One answer, one decision: the table of the API's error pages."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsrun.verdict import Decision, Verdict, error_of, judge, judge_code, retry_after

JOB, STOP, MODEL = Decision.JOB, Decision.STOP, Decision.MODEL
THROTTLE, RETRY, AMBIGUOUS = Decision.THROTTLE, Decision.RETRY, Decision.AMBIGUOUS

TABLE = [
    (400, "InvalidParameter", "Range of n should be [1,4]", JOB),
    (400, "invalid_parameter_error", "", JOB),
    (400, "InvalidParameter.DataInspection", "", JOB),
    (400, "DataInspectionFailed", "", JOB),
    (400, "data_inspection_failed", "", JOB),
    (400, "IPInfringementSuspect", "", JOB),
    (400, "Arrearage", "", STOP),
    (400, "InvalidURL.Timeout", "", JOB),
    (400, "BadRequest.InputDownloadFailed", "", JOB),
    (400, "InvalidImageResolution", "", JOB),
    (400, "BadRequest.EmptyInput", "", JOB),
    (400, "BadRequest.VoiceNotFound", "", JOB),
    (400, "VoiceNotFound", "Voice not found: x", JOB),
    (400, "UnsupportedOperation", "", JOB),
    (400, "Throttling.AllocationQuota", "", MODEL),
    (400, "ClientDisconnect", "", AMBIGUOUS),
    (400, "InvalidParameter", "Model not exist.", MODEL),
    (400, "InvalidParameter", "url error, please check url!", MODEL),
    (430, "Audio.DecoderError", "", JOB),
    (401, "InvalidApiKey", "No API-key provided.", STOP),
    (401, "invalid_api_key", "", STOP),
    (401, "NOT AUTHORIZED", "", STOP),
    (401, "", "", STOP),
    (403, "AccessDenied", "current user api does not support synchronous calls", MODEL),
    (403, "AccessDenied", "current user api does not support asynchronous calls", MODEL),
    (403, "AccessDenied", "Policy expired", RETRY),
    (403, "AccessDenied", "", STOP),
    (403, "access_denied", "", STOP),
    (403, "AccessDenied.Unpurchased", "", STOP),
    (403, "Model.AccessDenied", "", MODEL),
    (403, "Endpoint.AccessDenied", "", MODEL),
    (403, "App.AccessDenied", "", STOP),
    (403, "Workspace.AccessDenied", "", STOP),
    (403, "AllocationQuota.FreeTierOnly", "", MODEL),
    (404, "ModelNotFound", "", MODEL),
    (404, "model_not_found", "", MODEL),
    (404, "Model.NotExist", "", MODEL),
    (404, "model_not_supported", "", MODEL),
    (404, "WorkSpaceNotFound", "", STOP),
    (404, "NotFound", "", JOB),
    (408, "RequestTimeOut", "", AMBIGUOUS),
    (500, "RequestTimeOut", "", AMBIGUOUS),
    (409, "Conflict", "", RETRY),
    (413, "", "", JOB),
    (415, "", "", JOB),
    (429, "Throttling", "", THROTTLE),
    (429, "Throttling.RateQuota", "", THROTTLE),
    (429, "LimitRequests", "", THROTTLE),
    (429, "limit_requests", "", THROTTLE),
    (429, "Throttling.BurstRate", "", THROTTLE),
    (429, "limit_burst_rate", "", THROTTLE),
    (429, "Throttling.AllocationQuota", "", THROTTLE),
    (429, "insufficient_quota", "", THROTTLE),
    (429, "Throttling.AllocationQuota", "Free allocated quota exceeded.", MODEL),
    (429, "insufficient_quota", "Free allocated quota exceeded.", MODEL),
    (429, "Throttling.AllocationQuota", "maximum voice storage limit exceeded", MODEL),
    (400, "Throttling.AllocationQuota", "maximum voice-clone voice limit exceeded", MODEL),
    (429, "Throttling.ServiceOverloaded", "", THROTTLE),
    (429, "CommodityNotPurchased", "", STOP),
    (429, "PrepaidBillOverdue", "", STOP),
    (429, "PostpaidBillOverdue", "", STOP),
    (429, "BudgetLimitExceeded", "", STOP),
    (429, "", "", THROTTLE),
    (500, "InternalError", "", AMBIGUOUS),
    (500, "InternalError.Algo", "", AMBIGUOUS),
    (500, "InternalError.Upload", "", AMBIGUOUS),
    (500, "SystemError", "", AMBIGUOUS),
    (500, "ModelServiceFailed", "", AMBIGUOUS),
    (500, "ResponseTimeout", "", AMBIGUOUS),
    (200, "InternalError.Timeout", "", JOB),
    (500, "RewriteFailed", "", JOB),
    (500, "FlowNotPublished", "", JOB),
    (400, "FlowNotPublished", "", JOB),
    (500, "ModelServingError", "", AMBIGUOUS),
    (503, "ModelUnavailable", "", AMBIGUOUS),
    (503, "ServiceUnavailable", "", AMBIGUOUS),
    (504, "GatewayTimeout", "", AMBIGUOUS),
    (502, "", "", AMBIGUOUS),
    (599, "", "", AMBIGUOUS),
    (418, "", "", JOB),
    (302, "", "", STOP),
]


@pytest.mark.parametrize(
    ("status", "code", "message", "decision"),
    [pytest.param(*row, id=f"{row[0]} {row[1] or 'no code'} {row[2]}".strip()) for row in TABLE],
)
def test_the_decision_of_every_documented_error(status, code, message, decision):
    assert judge_code(status, code, message) is decision


@given(
    row=st.sampled_from(TABLE),
    change=st.sampled_from([str.lower, str.upper, str.title]),
)
def test_codes_and_messages_are_compared_without_case(row, change):
    status, code, message, decision = row
    assert judge_code(status, change(code), change(message)) is decision


@given(status=st.integers(500, 599), code=st.text(), message=st.text())
def test_no_unknown_5xx_to_a_create_is_taken_for_a_refusal(status, code, message):
    assert judge_code(status, f"x{code}", message) in (AMBIGUOUS, MODEL)


@given(status=st.integers(400, 499), code=st.text(), message=st.text())
def test_an_unknown_4xx_never_counts_as_accepted(status, code, message):
    assert judge_code(status, f"x{code}", message) is not Decision.ACCEPTED


@pytest.mark.parametrize(
    ("status", "payload", "verdict"),
    [
        pytest.param(200, {"output": {}}, Verdict(decision=Decision.ACCEPTED), id="accepted"),
        pytest.param(
            200,
            None,
            Verdict(
                decision=AMBIGUOUS,
                code="Unknown",
                message="the answer is not JSON",
                is_foreign=True,
            ),
            id="200 without JSON may be paid",
        ),
        pytest.param(
            200,
            {"code": "InvalidParameter", "message": "n"},
            Verdict(decision=JOB, code="InvalidParameter", message="n"),
            id="200 with an error inside",
        ),
        pytest.param(
            500,
            None,
            Verdict(decision=AMBIGUOUS, code="HTTP 500", message="the answer names no reason"),
            id="500 without a body",
        ),
        pytest.param(
            400,
            {"error": {"code": "invalid_parameter_error", "message": "m"}},
            Verdict(decision=JOB, code="invalid_parameter_error", message="m"),
            id="the OpenAI shape",
        ),
    ],
)
def test_an_answer_is_judged_whole(status, payload, verdict):
    assert judge(status, payload, headers={}) == verdict


def test_the_wait_that_is_asked_for_is_kept():
    verdict = judge(429, {"code": "Throttling"}, headers={"retry-after": "7"})
    assert (verdict.decision, verdict.retry_after_s) == (THROTTLE, 7.0)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        pytest.param({}, None, id="none"),
        pytest.param({"retry-after": "7"}, 7.0, id="seconds"),
        pytest.param({"retry-after": "0.5"}, 0.5, id="a fraction"),
        pytest.param({"retry-after-ms": "1500"}, 1.5, id="milliseconds"),
        pytest.param({"retry-after-ms": "1500", "retry-after": "9"}, 1.5, id="the finer first"),
        pytest.param({"retry-after": "-3"}, 0.0, id="the past"),
        pytest.param({"retry-after": "soon"}, None, id="no number"),
        pytest.param({"retry-after": "nan"}, None, id="not a number"),
        pytest.param({"retry-after": "inf"}, None, id="infinity"),
    ],
)
def test_retry_after_in_seconds(headers, seconds):
    assert retry_after(headers) == seconds


@pytest.mark.parametrize(
    ("payload", "found"),
    [
        pytest.param({"code": "A", "message": "m"}, ("A", "m"), id="code and message"),
        pytest.param({"code": 7, "msg": "m"}, ("7", "m"), id="a number and msg"),
        pytest.param({"error": {"code": "A"}}, ("A", ""), id="nested"),
        pytest.param({"error": "text", "code": "A"}, ("A", ""), id="error as text"),
        pytest.param({"code": None}, ("", ""), id="null"),
        pytest.param({}, ("", ""), id="empty"),
        pytest.param(None, ("", ""), id="no JSON"),
        pytest.param(["code"], ("", ""), id="a list"),
    ],
)
def test_the_code_and_message_of_any_shape_of_error(payload, found):
    assert error_of(payload) == found
