"""One answer, one decision: the table of the API's error pages."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsrun.common.resources import read_schema
from dsrun.service.classify import (
    Decision,
    Verdict,
    _rule_for,
    _rules,
    error_of,
    fits_code,
    is_own_failure,
    judge,
    judge_code,
    retry_after,
)

JOB, STOP, MODEL = Decision.JOB, Decision.STOP, Decision.MODEL
THROTTLE, RETRY, AMBIGUOUS = Decision.THROTTLE, Decision.RETRY, Decision.AMBIGUOUS

NOW, LATER = "Sun, 22 Nov 2026 08:00:00 GMT", "Sun, 22 Nov 2026 08:01:30 GMT"

TABLE = [
    # 400
    (400, "InvalidParameter", "Range of n should be [1,4]", JOB),
    (400, "invalid_parameter_error", "", JOB),
    (400, "invalid_value", "the requested voice is not supported", JOB),
    (400, "BadRequest.IllegalInput", "", JOB),
    (400, "InvalidSchema", "", JOB),
    (400, "InvalidSchemaFormat", "", JOB),
    (400, "InvalidParameter.DataInspection", "", JOB),
    (400, "DataInspectionFailed", "", JOB),
    (400, "data_inspection_failed", "", JOB),
    (400, "IPInfringementSuspect", "", JOB),
    (400, "CustomRoleBlocked", "", JOB),
    (400, "FaqRuleBlocked", "", JOB),
    (400, "Arrearage", "", STOP),
    (400, "InvalidURL", "", JOB),
    (400, "InvalidURL.ConnectionRefused", "", JOB),
    (400, "InvalidURL.Timeout", "", RETRY),
    (400, "InvalidURL", "Download the media resource timed out.", RETRY),
    (400, "BadRequest.InputDownloadFailed", "", JOB),
    (400, "BadRequest.InputDownloadFailed", "timeout", RETRY),
    (400, "InvalidFile.Size", "", JOB),
    (400, "InvalidFile.Duration", "", JOB),
    (400, "InvalidImage.Format", "", JOB),
    (400, "InvalidImageResolution", "", JOB),
    (400, "InvalidImageFormat", "", JOB),
    (400, "BadRequest.UnsupportedFileFormat", "", JOB),
    (400, "BadRequest.TooLarge", "", JOB),
    (400, "InvalidPerson", "", JOB),
    (400, "InvalidGarment", "", JOB),
    (400, "InvalidInputLength", "", JOB),
    (400, "BadRequest.EmptyInput", "", JOB),
    (400, "BadRequest.EmptyParameters", "", JOB),
    (400, "BadRequest.EmptyModel", "", JOB),
    (400, "BadRequest.ResourceNotExist", "", JOB),
    (400, "BadRequest.VoiceNotFound", "", JOB),
    (400, "VoiceNotFound", "Voice not found: x", JOB),
    (400, "UnsupportedOperation", "", JOB),
    (400, "Throttling.AllocationQuota", "", MODEL),
    (400, "Throttling.AllocationQuota", "maximum voice-clone voice limit exceeded", MODEL),
    (400, "ClientDisconnect", "", AMBIGUOUS),
    (400, "InvalidParameter", "Model not exist.", MODEL),
    (400, "InvalidParameter", "url error, please check url!", MODEL),
    (404, "", "Model not exist.", MODEL),
    (400, "Audio.PreprocessError", "", JOB),
    (430, "Audio.PreprocessError", "", JOB),
    (430, "Audio.DecoderError", "", JOB),
    (430, "Audio.AudioRateError", "", JOB),
    (430, "Audio.DurationLimitError", "", JOB),
    (430, "Audio.AudioShortError", "", JOB),
    (430, "Audio.AudioSilentError", "", JOB),
    # 401, 403, 404
    (401, "InvalidApiKey", "No API-key provided.", STOP),
    (401, "invalid_api_key", "", STOP),
    (400, "InvalidApiKey", "", STOP),
    (401, "NOT AUTHORIZED", "", STOP),
    (401, "invalid access token", "", STOP),
    (401, "", "", STOP),
    (403, "AccessDenied", "current user api does not support synchronous calls", MODEL),
    (403, "AccessDenied", "current user api does not support asynchronous calls", MODEL),
    (403, "access_denied", "current user api does not support asynchronous calls", MODEL),
    (403, "AccessDenied", "Policy expired", RETRY),
    (403, "AccessDenied", "", STOP),
    (403, "access_denied", "", STOP),
    (403, "AccessDenied.Unpurchased", "", STOP),
    (403, "Model.AccessDenied", "", MODEL),
    (403, "Endpoint.AccessDenied", "", MODEL),
    (403, "App.AccessDenied", "", STOP),
    (403, "Workspace.AccessDenied", "", STOP),
    (403, "AllocationQuota.FreeTierOnly", "", MODEL),
    (403, "SomethingNew", "", STOP),
    (404, "ModelNotFound", "", MODEL),
    (404, "model_not_found", "", MODEL),
    (404, "Model.NotExist", "", MODEL),
    (404, "model_not_supported", "", MODEL),
    (404, "WorkSpaceNotFound", "", STOP),
    (404, "NotFound", "", JOB),
    # 408, 409, 413, 415
    (408, "RequestTimeOut", "", AMBIGUOUS),
    (500, "RequestTimeOut", "", AMBIGUOUS),
    (408, "", "", AMBIGUOUS),
    (409, "Conflict", "", RETRY),
    (409, "", "", RETRY),
    (413, "", "", JOB),
    (415, "", "", JOB),
    # 429
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
    (429, "Throttling.AllocationQuota", "maximum voice-clone voice limit exceeded", MODEL),
    (429, "Throttling.ServiceOverloaded", "", THROTTLE),
    (429, "CommodityNotPurchased", "", STOP),
    (429, "PrepaidBillOverdue", "", STOP),
    (429, "PostpaidBillOverdue", "", STOP),
    (429, "BudgetLimitExceeded", "", STOP),
    (429, "", "", THROTTLE),
    (429, "SomethingNew", "", THROTTLE),
    # 5xx
    (500, "InternalError", "", AMBIGUOUS),
    (500, "InternalError.Algo", "", AMBIGUOUS),
    (500, "SystemError", "", AMBIGUOUS),
    (500, "ModelServiceFailed", "", AMBIGUOUS),
    (500, "ResponseTimeout", "", AMBIGUOUS),
    (500, "InternalError.FileUpload", "", AMBIGUOUS),
    (500, "InternalError.Upload", "", AMBIGUOUS),
    # The page has it for tasks; a create that is answered so may have been accepted all the same.
    (500, "InternalError.Timeout", "", AMBIGUOUS),
    (500, "RewriteFailed", "", JOB),
    (500, "RetrivalFailed", "", JOB),
    (500, "AppProcessFailed", "", JOB),
    (500, "InvokePluginFailed", "", JOB),
    (500, "FlowNotPublished", "", JOB),
    (400, "FlowNotPublished", "", JOB),
    (500, "ModelServingError", "", AMBIGUOUS),
    (503, "ModelServingError", "", AMBIGUOUS),
    (503, "ModelUnavailable", "", AMBIGUOUS),
    (503, "ServiceUnavailable", "", AMBIGUOUS),
    (504, "GatewayTimeout", "", AMBIGUOUS),
    (502, "", "", AMBIGUOUS),
    (504, "", "", AMBIGUOUS),
    (599, "", "", AMBIGUOUS),
    # Only a clear no makes it safe to send again.
    (503, "Throttling.ServiceOverloaded", "", AMBIGUOUS),
    (500, "Conflict", "", AMBIGUOUS),
    (408, "Throttling", "", AMBIGUOUS),
    (500, "InternalError", "Model not exist.", AMBIGUOUS),
    # HTTP 200: an error in a body, in a task, in one picture.
    (200, "InvalidParameter", "size must be one of", JOB),
    (200, "BadRequest.InputDownloadFailed", "", JOB),
    (200, "DataInspectionFailed", "", JOB),
    (200, "InternalError.Timeout", "", JOB),
    (200, "InternalError", "", AMBIGUOUS),
    (200, "Throttling.RateQuota", "", THROTTLE),
    (200, "Arrearage", "", STOP),
    (200, "Model.AccessDenied", "", MODEL),
    (200, "SomethingNew", "", JOB),
    # Others
    (418, "", "", JOB),
    (400, "SomethingNew", "", JOB),
    (402, "", "", STOP),
    (302, "", "", STOP),
]

RULES = json.loads(read_schema("errors.json"))["rules"]
ANY_STATUS = (200, 400, 429, 500)


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


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("DataInspectionFailed", "data_inspection_failed"),
        ("InvalidApiKey", "invalid_api_key"),
        ("Arrearage", "arrearage"),
        ("LimitRequests", "limit_requests"),
        ("Throttling.RateQuota", "throttling.rate_quota"),
        ("InsufficientQuota", "insufficient_quota"),
        ("ModelNotFound", "model-not-found"),
        ("NOT AUTHORIZED", "NotAuthorized"),
    ],
)
def test_both_spellings_of_a_code_are_one(one, other):
    assert _rule_for(400, one, "") is _rule_for(400, other, "") is not None


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["$comment"][:40])
def test_every_rule_is_well_formed_and_names_its_source(rule):
    assert rule.keys() <= {"http", "code", "message", "do", "own", "tries", "$comment"}
    assert rule.get("own", False) is ("own" in rule)
    assert rule.keys() & {"http", "code", "message"}
    assert rule["do"] in set(Decision) - {Decision.ACCEPTED}
    assert "tries" not in rule or (rule["do"] == RETRY and rule["tries"] > 1)
    assert all(isinstance(status, int) for status in rule.get("http", []))
    assert all(part == part.lower() for part in rule.get("message", []))


@pytest.mark.parametrize("number", range(len(RULES)))
def test_no_rule_is_shadowed_in_any_of_its_codes_and_messages(number):
    rule = RULES[number]
    for code in rule.get("code", [""]):
        for message in rule.get("message", [""]):
            for status in rule.get("http", [None]):
                tried = ANY_STATUS if status is None else [status]
                found = [_rule_for(each, code.replace("*", "x"), message) for each in tried]
                assert _rules()[number] in found, (status, code, message)


def test_every_code_of_the_rules_stands_in_the_table():
    tabled = {judge_key(code) for _, code, _, _ in TABLE}
    known = {judge_key(code) for rule in RULES for code in rule.get("code", []) if "*" not in code}
    assert known - tabled - {"invalidfile", "invalidimage"} == set()


def judge_key(code):
    return code.lower().replace("_", "")


def test_a_service_that_could_not_fetch_in_time_gets_one_more_try():
    body = {"code": "InvalidURL.Timeout", "message": "m", "request_id": "r"}
    assert judge(400, body, headers={}).tries == 2
    assert judge(409, {"code": "Conflict"}, headers={}).tries is None


@given(
    status=st.just(408) | st.integers(500, 599),
    code=st.sampled_from([code for _, code, _, _ in TABLE]),
    message=st.sampled_from([message for _, _, message, _ in TABLE]),
)
def test_what_is_no_clear_refusal_is_never_sent_again_by_itself(status, code, message):
    assert judge_code(status, code, message) not in (RETRY, THROTTLE)


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
            {"code": "InvalidParameter", "message": "n", "request_id": "r"},
            Verdict(decision=JOB, code="InvalidParameter", message="n"),
            id="200 with an error inside",
        ),
        pytest.param(
            200,
            {"code": "Throttling", "output": {"task_id": "t-1"}},
            Verdict(decision=Decision.ACCEPTED),
            id="200 that names a task is no refusal: the task is paid",
        ),
        pytest.param(
            400,
            {"code": "InvalidParameter", "msg": "n", "request_id": "r"},
            Verdict(decision=JOB, code="InvalidParameter", message="n"),
            id="msg in place of message",
        ),
        pytest.param(
            500,
            {"code": "InternalError", "message": "m", "request_id": "r"},
            Verdict(decision=AMBIGUOUS, code="InternalError", message="m"),
            id="500 in the API's words",
        ),
        pytest.param(
            429,
            {"code": "Throttling", "message": "m", "request_id": "r"},
            Verdict(decision=THROTTLE, code="Throttling", message="m", is_crowded=True),
            id="429 in the API's words",
        ),
        pytest.param(
            400,
            {"error": {"code": "invalid_parameter_error", "message": "m"}, "request_id": "r"},
            Verdict(decision=JOB, code="invalid_parameter_error", message="m"),
            id="the OpenAI shape",
        ),
    ],
)
def test_an_answer_is_judged_whole(status, payload, verdict):
    assert judge(status, payload, headers={}) == verdict


OTHER_WORDS = [
    pytest.param(None, id="no JSON"),
    pytest.param([], id="a list"),
    pytest.param("forbidden", id="a text"),
    pytest.param({}, id="an empty object"),
    pytest.param({"error": "forbidden"}, id="an error as text"),
    pytest.param({"message": "Too many requests", "request_id": "r"}, id="no code"),
    pytest.param({"code": 403, "message": "no", "request_id": "r"}, id="a code that is a number"),
    pytest.param({"code": " ", "request_id": "r"}, id="a blank code"),
    pytest.param({"code": "Forbidden", "message": "no"}, id="no request id"),
    pytest.param({"code": "Forbidden", "request_id": 7}, id="a request id that is a number"),
    pytest.param({"error": {"code": "forbidden", "message": "no"}}, id="nested, no request id"),
    pytest.param({"status": "error", "request_id": "r"}, id="another API"),
]


@pytest.mark.parametrize("payload", OTHER_WORDS)
@pytest.mark.parametrize("status", [301, 302, 307, 400, 401, 403, 404, 407, 413, 418, 429])
def test_only_the_api_itself_can_refuse(status, payload):
    """A gateway that says no may say so after the service has said yes."""
    verdict = judge(status, payload, headers={})
    assert (verdict.decision, verdict.is_foreign) == (AMBIGUOUS, True)
    assert verdict.code == f"HTTP {status}"
    assert verdict.is_crowded == (status == 429)


@pytest.mark.parametrize("payload", OTHER_WORDS)
@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_a_failure_may_be_anybodys(status, payload):
    verdict = judge(status, payload, headers={})
    assert (verdict.decision, verdict.is_foreign) == (AMBIGUOUS, False)


@pytest.mark.parametrize("payload", [None, [], "welcome", 7])
def test_a_success_that_is_no_object_may_be_paid(payload):
    verdict = judge(200, payload, headers={})
    assert (verdict.decision, verdict.is_foreign) == (AMBIGUOUS, True)


def test_the_id_of_a_request_in_the_header_may_be_a_gateway_s():
    verdict = judge(400, {"code": "InvalidParameter"}, headers={"x-request-id": "r"})
    assert verdict.is_foreign


@pytest.mark.parametrize("payload", [{"code": "Throttling", "request_id": "r"}, None])
def test_the_wait_that_is_asked_for_is_kept(payload):
    assert judge(429, payload, headers={"retry-after": "7"}).retry_after_s == 7.0


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
        pytest.param({"retry-after": LATER, "date": NOW}, 90.0, id="a date, from the answer's own"),
        pytest.param({"retry-after": NOW, "date": LATER}, 0.0, id="a date in the past"),
        pytest.param({"retry-after": LATER}, None, id="a date without the answer's own"),
        pytest.param(
            {"retry-after": f"Sun, 22 Nov 2026 {'9' * 22}:00:00 GMT", "date": NOW},
            None,
            id="a date of no calendar",
        ),
        pytest.param({"retry-after": LATER, "date": "today"}, None, id="a date from no date"),
        pytest.param({"retry-after": LATER, "date": NOW[:-4]}, None, id="a date without a zone"),
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


@pytest.mark.parametrize(
    ("code", "is_own"),
    [
        ("InternalError", True),
        ("InternalError.Algo", True),
        ("InternalError.Timeout", True),
        ("internal_error.upload", True),
        ("SystemError", True),
        ("ModelServiceFailed", True),
        ("ServiceUnavailable", True),
        ("Throttling.RateQuota", True),
        ("InvalidURL.Timeout", True),
        ("DataInspectionFailed", False),
        ("data_inspection_failed", False),
        ("InvalidParameter.DataInspection", False),
        ("IPInfringementSuspect", False),
        ("InvalidParameter", False),
        ("Arrearage", False),
        ("ModelNotFound", False),
        ("SomethingNew", False),
        ("", False),
    ],
)
def test_which_failed_tasks_are_the_services_own_failures(code, is_own):
    assert is_own_failure(200, code, "in words") is is_own


@pytest.mark.parametrize(
    ("glob", "code", "fits"),
    [
        ("InternalError.*", "InternalError.Timeout", True),
        ("InternalError.*", "internal_error.timeout", True),
        ("InternalError.*", "InternalError", False),
        ("InternalError*", "InternalError", True),
        ("*", "Anything", True),
        ("SystemError", "SystemErrors", False),
    ],
)
def test_codes_that_a_user_names_are_compared_as_the_rules_are(glob, code, fits):
    assert fits_code(code, glob) is fits
