"""The API's answers, in the shapes that its pages show."""

import base64

import orjson
import pytest

from dsrun.common.models import JobError
from dsrun.service.catalog import load_catalog
from dsrun.service.classify import Decision
from dsrun.service.price import Bill
from dsrun.service.replies import (
    ACCEPTED,
    Accepted,
    Done,
    Failed,
    Gone,
    HttpReply,
    Lost,
    Refused,
    Running,
    Unreadable,
    error_decision,
    gravest,
    read_created,
    read_host_refusal,
    read_policy,
    read_task,
    request_id_of,
    verdict_of,
)
from dsrun.service.results import Address, Content, Missing

WANX = load_catalog()["wanx-v1"]
POLICY = {
    "policy": "p", "signature": "s", "upload_dir": "folder", "upload_host": "https://example.com",
    "oss_access_key_id": "id", "x_oss_object_acl": "private", "x_oss_forbid_overwrite": "true",
}  # fmt: skip
VOICE = load_catalog()["qwen-voice-design"]
TRANSLATION = load_catalog()["qwen-mt-image"]
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


SPOKEN = {
    "request_id": "r-2",
    "output": {
        "voice": "qwen-tts-vd-x",
        "target_model": "qwen3-tts-vd-2026-01-26",
        "preview_audio": {"data": "AAEC", "sample_rate": 24000, "response_format": "wav"},
    },
    "usage": {"count": 1},
}
ERROR = {"code": "InvalidParameter", "message": "size", "request_id": "r"}


def reply(payload, status=200, headers=None):
    return HttpReply(status=status, headers=headers or {}, body=orjson.dumps(payload))


def task(payload, status=200):
    return read_task(WANX, reply(payload, status))


def wanx_created(payload, status=200):
    return read_created(WANX, reply(payload, status))


def voice_created(payload):
    return read_created(VOICE, reply(payload))


def with_audio(**audio):
    return SPOKEN | {"output": SPOKEN["output"] | {"preview_audio": audio}}


class TestCreates:
    def test_one_that_became_a_task(self):
        payload = {"output": {"task_id": "t-1", "task_status": "PENDING"}, "request_id": "r-1"}
        assert wanx_created(payload) == Accepted("t-1", "r-1")
        assert verdict_of(wanx_created(payload)) == ACCEPTED

    @pytest.mark.parametrize("task_id", ["", None, 7, ["t"], "t" * 300], ids=repr)
    def test_a_task_without_an_id_is_lost_though_the_answer_was_a_yes(self, task_id):
        lost = wanx_created({"output": {"task_id": task_id}})
        assert lost == Lost("the answer names no task", is_foreign=True)
        assert verdict_of(lost) == ACCEPTED

    @pytest.mark.parametrize("payload", [{}, {"output": None}, {"output": []}], ids=repr)
    def test_an_answer_without_a_task_is_lost(self, payload):
        assert isinstance(wanx_created(payload), Lost)

    def test_a_clear_no_is_a_refusal(self):
        refused = wanx_created(ERROR, 400)
        assert isinstance(refused, Refused)
        assert (refused.verdict.decision, refused.verdict.words) == (
            Decision.JOB, "InvalidParameter: size",
        )  # fmt: skip
        assert verdict_of(refused) is refused.verdict

    def test_a_server_error_is_lost_and_keeps_its_request_id(self):
        lost = wanx_created(ERROR | {"code": "InternalError"}, 500)
        assert (lost.words, lost.request_id) == ("InternalError: size", "r")
        assert (lost.is_slow, lost.is_foreign) == (True, False)
        assert verdict_of(lost).decision is Decision.AMBIGUOUS

    @pytest.mark.parametrize("payload", [None, [], "text", {"message": "denied"}], ids=repr)
    def test_what_a_gateway_says_is_lost_and_its_request_id_is_not_trusted(self, payload):
        answer = HttpReply(
            status=403, headers={"x-request-id": "theirs"}, body=orjson.dumps(payload)
        )
        lost = read_created(WANX, answer)
        assert (lost.request_id, lost.is_foreign, lost.is_slow) == ("", True, False)

    def test_one_that_is_answered_with_its_result(self):
        assert voice_created(SPOKEN) == Done(
            results=(Content(b"\x00\x01\x02", "wav", 24000),),
            output={"voice": "qwen-tts-vd-x", "target_model": "qwen3-tts-vd-2026-01-26"},
            billed=(1,),
            echoes={},
            request_id="r-2",
        )

    @pytest.mark.parametrize("output", [None, {}, {"voice": ""}, {"voice": None}, []], ids=repr)
    def test_one_that_is_answered_with_nothing_is_lost(self, output):
        lost = voice_created({"output": output, "request_id": "r"})
        assert lost == Lost("the answer holds nothing that was made", is_foreign=True)


class TestContent:
    @pytest.mark.parametrize(
        "text",
        [
            pytest.param("AAEC", id="plain"),
            pytest.param("AA\r\nE \tC\n", id="wrapped"),
            pytest.param("data:audio/wav;base64,AAEC", id="a data URL"),
        ],
    )
    def test_base64_in_any_of_its_forms(self, text):
        assert voice_created(with_audio(data=text)).results == (Content(b"\x00\x01\x02"),)

    @pytest.mark.parametrize("text", [None, 7, ["AAEC"], "\u00e4", "AAE", "A*E="], ids=repr)
    def test_what_is_no_base64_is_missing_and_the_voice_is_kept(self, text):
        done = voice_created(with_audio(data=text))
        [missing] = done.results
        assert missing.code == "NoAudio"
        assert missing.message.startswith("the answer holds no base64 text: ")
        assert done.output["voice"] == "qwen-tts-vd-x"

    @pytest.mark.parametrize("rate", [0, -1, True, "24000", 24000.0, None, 10**9], ids=repr)
    def test_a_sample_rate_that_cannot_be_meant_is_none(self, rate):
        [content] = voice_created(with_audio(data="AAEC", sample_rate=rate)).results
        assert content.sample_rate is None

    def test_a_large_one_is_read_whole(self):
        data = bytes(range(256)) * 4096
        payload = with_audio(data=base64.b64encode(data).decode())
        assert voice_created(payload).results[0].data == data


class TestTasks:
    @pytest.mark.parametrize("status", ["PENDING", "RUNNING", "SUSPENDED", "SOMETHING_NEW", None])
    def test_one_that_has_not_ended_runs(self, status):
        assert task({"output": {"task_status": status}}) == Running()

    @pytest.mark.parametrize("payload", [{}, {"output": None}, {"output": "text"}], ids=repr)
    def test_an_answer_without_a_task_says_no_more_than_that(self, payload):
        assert task(payload) == Running()

    @pytest.mark.parametrize("payload", [None, [], "text"], ids=repr)
    def test_an_answer_of_something_else_is_a_refusal(self, payload):
        assert isinstance(task(payload), Refused)

    @pytest.mark.parametrize("status", ["SUCCEEDED", "succeeded"])
    def test_one_that_has_succeeded_has_results_in_the_order_of_the_answer(self, status):
        done = task(PARTIAL | {"output": PARTIAL["output"] | {"task_status": status}})
        assert done == Done(
            results=(
                Address("https://example.com/0.png"),
                Missing("InternalError.Timeout", "timed out", place=1),
                Missing("NoResult", "no address given", place=2),
                Missing("DataInspectionFailed", "no address given", place=3),
            ),
            billed=(1,),
            echoes={},
            took_s=12.5,
        )
        assert [each.is_told for each in done.results[1:]] == [True, False, True]

    @pytest.mark.parametrize("results", [None, {}, "text", []], ids=repr)
    def test_one_without_results_has_none(self, results):
        assert task({"output": {"task_status": "SUCCEEDED", "results": results}}).results == ()

    @pytest.mark.parametrize("item", [None, "text", 7, []], ids=repr)
    def test_a_result_of_no_known_shape_is_missing_and_no_crash(self, item):
        done = task({"output": {"task_status": "SUCCEEDED", "results": [item]}})
        assert done.results == (Missing("NoResult", "no address given"),)

    @pytest.mark.parametrize(
        ("output", "result"),
        [
            pytest.param({"image_url": "http://a/b.jpg"}, Address("http://a/b.jpg"), id="there"),
            pytest.param(
                {"image_url": "http://a/b.jpg", "message": "No text detected for translation"},
                Address("http://a/b.jpg"),
                id="there, with a message",
            ),
            pytest.param(
                {"code": "C", "message": "m"}, Missing("C", "m"), id="missing, with a reason"
            ),
            pytest.param({"image_url": ""}, Missing("NoResult", "no address given"), id="empty"),
            pytest.param({"image_url": None}, Missing("NoResult", "no address given"), id="null"),
            pytest.param({"image_url": [7]}, Missing("NoResult", "no address given"), id="a list"),
            pytest.param(
                {"results": [{"url": "http://a/b.jpg"}]},
                Missing("NoResult", "no address given"),
                id="elsewhere",
            ),
        ],
    )
    def test_the_one_result_of_an_answer_stands_in_no_list(self, output, result):
        payload = {"output": {"task_status": "SUCCEEDED", **output}, "usage": {"image_count": 1}}
        done = read_task(TRANSLATION, reply(payload))
        assert (done.results, done.billed) == ((result,), (1,))

    def test_what_it_repeats_of_its_request(self):
        results = [{"orig_prompt": "a lantern"}, {"orig_prompt": ""}, {"url": "u"}]
        metrics = {"TOTAL": 3}
        output = {"task_status": "SUCCEEDED", "results": results, "task_metrics": metrics}
        echoes = {"/parameters/n": [3], "/input/prompt": ["a lantern"]}
        assert task({"output": output}).echoes == echoes

    @pytest.mark.parametrize("status", [200, 400, 429])
    def test_one_that_names_its_status_is_never_a_refused_question(self, status):
        """Its error may stand at the top, where a refused question has its own."""
        failed = task({**ERROR, "output": {"task_status": "FAILED"}}, status)
        assert failed == Failed(JobError(code="InvalidParameter", message="size", kind="job"))

    @pytest.mark.parametrize(
        ("answer", "error"),
        [
            pytest.param({"output": {"code": "C", "message": "m"}}, ("C", "m"), id="inside"),
            pytest.param({"code": "C", "message": "m", "output": {}}, ("C", "m"), id="at the top"),
            pytest.param({"output": {}}, None, id="nowhere"),
        ],
    )
    @pytest.mark.parametrize(
        ("status", "unnamed", "is_cancelled"),
        [
            ("FAILED", ("TaskFailed", "the service names no reason"), False),
            ("CANCELED", ("Cancelled", "its task was cancelled"), True),
            ("CANCELLED", ("Cancelled", "its task was cancelled"), True),
        ],
    )
    def test_why_one_failed(self, answer, error, status, unnamed, is_cancelled):
        output = {**answer["output"], "task_id": "t", "task_status": status}
        code, message = error or unnamed
        failed = Failed(JobError(code=code, message=message, kind="job"), is_cancelled=is_cancelled)
        assert task({**answer, "output": output}) == failed

    def test_one_that_the_service_does_not_know_is_gone(self):
        assert task({"output": {"task_status": "UNKNOWN"}}) == Gone()

    @pytest.mark.parametrize(
        ("begin", "end", "seconds"),
        [
            pytest.param("2026-11-22 10:00:00.000", "2026-11-22 10:00:12.500", 12.5, id="both"),
            pytest.param("2026-11-22 10:00:00.000", None, None, id="not ended"),
            pytest.param("soon", "later", None, id="words"),
            pytest.param("2026-11-22T10:00:00Z", "2026-11-22 10:00:00", None, id="one with a zone"),
        ],
    )
    def test_how_long_one_took_by_the_service_s_clock(self, begin, end, seconds):
        output = {"task_status": "UNKNOWN", "submit_time": begin, "end_time": end}
        assert task({"output": output}) == Gone(seconds)


def claimed_by(usage):
    return task({"output": {"task_status": "SUCCEEDED"}, "usage": usage}).billed


def bill(usage, *, made, asked):
    return WANX.price.billed({}, claimed_by(usage), made=made, asked=asked)


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
    assert bill(usage, made=3, asked=3) == Bill(units)


@pytest.mark.parametrize("claimed", [4, 2**31, 2**63 - 1, 2**63, 2**64 - 1])
def test_no_more_is_billed_than_was_asked_for_and_the_claim_is_told(claimed):
    units, warning = bill({"image_count": claimed}, made=1, asked=3)
    assert units == 3
    assert f"bills {claimed} x image" in warning


@pytest.mark.parametrize("claimed", [-1, -(2**63), 1e300, 0.5, True, "9", None, [9], {}])
def test_what_is_no_count_bills_what_was_made(claimed):
    assert bill({"image_count": claimed}, made=1, asked=3) == Bill(1)


def test_what_was_made_unasked_is_billed():
    assert bill({"image_count": 4}, made=4, asked=1) == Bill(4)


def test_an_upload_policy_has_the_form_s_fields():
    policy = read_policy(reply({"data": POLICY | {"max_file_size_mb": 100}}))
    assert (policy.host, policy.folder) == ("https://example.com", "folder")
    assert policy.fields["OSSAccessKeyId"] == "id"
    assert policy.largest_bytes == 100 * 2**20


@pytest.mark.parametrize("data", [None, [], {}, POLICY | {"signature": 7}], ids=str)
def test_an_answer_without_a_policy_cannot_be_read(data):
    assert isinstance(read_policy(reply({"data": data})), Unreadable)


def test_a_refused_policy_says_why():
    assert read_policy(reply(ERROR, 400)).verdict.words == "InvalidParameter: size"


@pytest.mark.parametrize(
    ("body", "refusal"),
    [
        (b"<Error><Code>AccessDenied</Code><Message>late</Message>", ("AccessDenied", "late")),
        (b"", ("HTTP 403", "no reason given")),
        (b"\xff\xfe", ("HTTP 403", "no reason given")),
    ],
    ids=repr,
)
def test_why_the_file_host_took_no_file(body, refusal):
    assert read_host_refusal(HttpReply(status=403, headers={}, body=bytearray(body))) == refusal


@pytest.mark.parametrize("largest", [-1, 1e300, 2**62, True, "100", None, [], float("inf")])
def test_a_largest_size_that_cannot_be_meant_refuses_nothing(largest):
    policy = read_policy(reply({"data": {**POLICY, "max_file_size_mb": largest}}))
    assert policy.largest_bytes >= 2**40


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
    missing = gravest([Address("https://example.com/0.png"), *(Missing(c, "") for c in codes)])
    assert (missing and missing.code) == told
