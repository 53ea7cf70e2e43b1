"""Results of every kind, read by the places that an operation file names: a table of answers."""

from dataclasses import replace

import orjson
import pytest

from dsrun.common.models import JobError
from dsrun.service.catalog import load_catalog
from dsrun.service.operation import ArtifactSpec, Success
from dsrun.service.replies import Accepted, Done, HttpReply, Lost, read_created, read_task
from dsrun.service.results import Address, Content, Missing, read_results

WANX = load_catalog()["wanx-v1"]
NOTHING = Missing("NoResult", "the answer holds no result")


def operation(*kinds, **changes):
    specs = tuple(ArtifactSpec(**kind) for kind in kinds)
    return replace(WANX, artifacts=specs, outputs={}, recovery=None, **changes)


def reply(payload):
    return HttpReply(status=200, headers={}, body=orjson.dumps(payload))


def image(**more):
    return {"media": "image", **more}


PARTS = "/output/choices/*/message/content/*"
TWO_PARTS = {
    "output": {
        "choices": [
            {"message": {"content": [{"text": "as you asked"}, {"image": "u0"}]}},
            {"message": {"content": [{"image": "u1"}]}},
            {"message": {"content": "text"}},
            {"message": None},
        ]
    }
}


@pytest.mark.parametrize(
    ("kinds", "payload", "found"),
    [
        pytest.param(
            [image(at="/output/url")], {"output": {"url": "u"}}, [Address("u")], id="one address"
        ),
        pytest.param(
            [image(at="/output/urls/*")],
            {"output": {"urls": ["u", "v"]}},
            [Address("u"), Address("v", place=1)],
            id="a list of addresses",
        ),
        pytest.param(
            [image(each=PARTS, at="/image")],
            TWO_PARTS,
            [Address("u0"), Address("u1", place=1)],
            id="parts among others of another kind",
        ),
        pytest.param(
            [image(each=PARTS, at="/image"), {"media": "text", "name": "words", "each": PARTS,
             "at": "/text", "given": "value"}],
            TWO_PARTS,
            [Address("u0"), Address("u1", place=1), Content(b"as you asked", kind=1)],
            id="two kinds of one list",
        ),
        pytest.param(
            [image(each="/output/results/*", at="/url", error=("/code", "/message"))],
            {"output": {"results": [{"code": "C", "message": "m"}, {"url": "u"}, {}]}},
            [Missing("C", "m"), Address("u", place=1), Missing("NoResult", "no address given",
             place=2)],
            id="failed parts keep their place",
        ),
        pytest.param(
            [{"media": "text", "at": "/output/text", "given": "value"}],
            {"output": {"text": "Grüße"}},
            [Content("Grüße".encode())],
            id="a text as it is",
        ),
        pytest.param(
            [{"media": "json", "at": "/output/list", "given": "value"}],
            {"output": {"list": [{"b": 1.0, "a": "ü"}]}},
            [Content('[{"a":"ü","b":1}]'.encode())],
            id="canonical JSON",
        ),
        pytest.param(
            [{"media": "json", "at": "/output/id", "given": "value"}],
            {"output": {"id": 2**60}},
            [Content(str(2**60).encode())],
            id="a number that is not canonical",
        ),
        pytest.param(
            [{"media": "json", "at": "/output/passed", "given": "value"}],
            {"output": {"passed": False}},
            [Content(b"false")],
            id="a value that is false",
        ),
        pytest.param(
            [{"media": "json", "each": "/output/texts/*", "at": "/v", "given": "value"}],
            {"output": {"texts": [{"v": [1]}, {"v": [2]}]}},
            [Content(b"[1]"), Content(b"[2]", place=1)],
            id="values of a list",
        ),
        pytest.param(
            [image(each="/output/images/*", at="/b64", given="base64", format="/kind")],
            {"output": {"images": [{"b64": "AAEC", "kind": "png"}, {"b64": "?"}]}},
            [Content(b"\x00\x01\x02", "png"),
             Missing("NoImage", "the answer holds no base64 text: Only base64 data is allowed",
             place=1)],
            id="base64 of a list, with its format beside it",
        ),
        pytest.param([image(at="/output/url")], {"output": {}}, [NOTHING], id="nothing"),
        pytest.param([image(at="/output/url")], {"output": {"url": 7}}, [NOTHING], id="a number"),
        pytest.param(
            [image(each="/output/results/*", at="/url")], {"output": {"results": [{}]}}, [],
            id="an item of another kind",
        ),
        pytest.param(
            [image(at="/output/url"), image(name="preview", at="/output/preview")],
            {"output": {"url": "u"}},
            [Address("u")],
            id="a further kind that is not there",
        ),
        pytest.param(
            [image(at="/output/url"), {"media": "text", "name": "words", "of": "", "at": "/text"}],
            {"output": {"url": "u"}, "text": "no"},
            [Address("u")],
            id="a derived kind stands in no answer",
        ),
    ],
)  # fmt: skip
def test_the_results_of_an_answer(kinds, payload, found):
    assert list(read_results(operation(*kinds), payload)) == found


@pytest.mark.parametrize("protocol", ["sync", "task"])
def test_both_protocols_are_read_by_the_same_code(protocol):
    one = operation(image(at="/output/url"), protocol=protocol)
    output = {"url": "u", "task_status": "SUCCEEDED", "task_id": "t"}
    if protocol == "task":
        assert read_created(one, reply({"output": output})) == Accepted("t", "")
        done = read_task(one, reply({"output": output}))
    else:
        done = read_created(one, reply({"output": output}))
    assert done.results == (Address("u"),)


class TestAnswersAtOnce:
    @pytest.mark.parametrize("more", [{"code": ""}, {"code": None}, {"code": "", "message": ""}])
    def test_an_empty_code_is_no_error(self, more):
        one = operation(image(at="/output/url"), protocol="sync")
        assert isinstance(read_created(one, reply({"output": {"url": "u"}, **more})), Done)

    @pytest.mark.parametrize("output", [{}, {"url": ""}, {"url": None}, None, []])
    def test_one_that_holds_nothing_is_lost(self, output):
        one = operation(image(at="/output/url"), protocol="sync")
        assert isinstance(read_created(one, reply({"output": output})), Lost)

    def test_one_that_names_the_error_of_each_is_an_answer(self):
        kind = image(each="/output/results/*", at="/url", error=("/code", "/message"))
        answer = {"output": {"results": [{"code": "Inspection", "message": "m"}]}}
        done = read_created(operation(kind, protocol="sync"), reply(answer))
        assert done.results == (Missing("Inspection", "m"),)


class TestSuccess:
    RULE = Success(at="/output/ok", value=True, code="/output/code", message="/output/message")

    @pytest.mark.parametrize(
        ("output", "error"),
        [
            pytest.param({"ok": True, "url": "u"}, None, id="as it should be"),
            pytest.param(
                {"ok": False, "code": "NoFace", "message": "no face"},
                JobError(code="NoFace", message="no face", kind="job"),
                id="not so, and why",
            ),
            pytest.param(
                {"ok": 1},
                JobError(
                    code="NotSuccessful", kind="job",
                    message="the answer has 1 at /output/ok, where success is true",
                ),
                id="a number is no truth",
            ),
            pytest.param(
                {"url": "u"},
                JobError(
                    code="NotSuccessful", kind="job",
                    message="the answer has null at /output/ok, where success is true",
                ),
                id="nothing there",
            ),
        ],
    )  # fmt: skip
    @pytest.mark.parametrize("protocol", ["sync", "task"])
    def test_an_answer_may_say_that_it_is_none(self, output, error, protocol):
        one = operation(image(at="/output/url"), success=self.RULE, protocol=protocol)
        read = read_created if protocol == "sync" else read_task
        done = read(one, reply({"output": {"task_status": "SUCCEEDED", **output}}))
        assert done.failure == error
        assert done.results == ((Address("u"),) if error is None else ())


def test_an_output_with_a_star_is_a_list():
    one = replace(WANX, outputs={"prompts": "/output/results/*/prompt", "first": "/output/a"})
    output = {"task_status": "SUCCEEDED", "results": [{"prompt": "p"}, {}, {"prompt": "q"}]}
    assert read_task(one, reply({"output": output})).output == {
        "prompts": ["p", "q"],
        "first": None,
    }
