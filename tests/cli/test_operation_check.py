"""`dsrun operations --check FILE...`: a user's operation file is held to its own sample."""

import copy
import json

import orjson
import pytest

from dsrun.common.resources import iter_operation_files

BUNDLED = {name: orjson.loads(raw) for name, raw in iter_operation_files()}


@pytest.fixture
def write(work):
    """Write a bundled file under another name, changed; returns its path."""

    def writer(base, change=lambda schema: None, name="mine"):
        schema = copy.deepcopy(BUNDLED[base])
        if "enum" in schema["properties"]["model"]:
            models = schema["properties"]["model"]["enum"]
            renamed = {model: f"my-{model}" for model in models}
            text = json.dumps(schema)
            for old, new in sorted(renamed.items(), reverse=True):
                text = text.replace(f"{old} |", f"{new} |").replace(f"| {old}", f"| {new}")
                text = text.replace(f'"{old}"', f'"{new}"')
            schema = json.loads(text)
        change(schema)
        path = work.folder / f"{name}.json"
        path.write_text(json.dumps(schema, indent=2), encoding="utf-8")
        return path

    return writer


@pytest.mark.parametrize("base", sorted(BUNDLED))
def test_a_copy_of_a_bundled_file_proves_itself(work, write, base):
    outcome = work.dsrun("operations", "--check", write(base))
    assert outcome.code == 0, outcome.err
    assert "limits held at the edge and beyond" in outcome.err


def sample_of(schema):
    return schema["x-dsrun"]["sample"]


def no_sample(schema):
    del schema["x-dsrun"]["sample"]


def long_prompt(schema):
    sample_of(schema)["request"]["input"]["prompt"] = "a" * 801


def failed(schema):
    output = {"task_status": "FAILED", "code": "DataInspectionFailed", "message": "no"}
    sample_of(schema)["answer"]["output"] = output


def running(schema):
    sample_of(schema)["answer"]["output"]["task_status"] = "RUNNING"


def refused(schema):
    sample_of(schema)["answer"] = {"code": "InvalidParameter", "message": "no"}


def no_results(schema):
    sample_of(schema)["answer"]["output"]["results"] = []


def half_failed(schema):
    results = sample_of(schema)["answer"]["output"]["results"]
    results[1] = {"code": "InternalError.Timeout", "message": "late"}


def no_bill(schema):
    sample_of(schema)["answer"]["usage"] = {}


def bill_in_words(schema):
    sample_of(schema)["answer"]["usage"]["image_count"] = "two"


def bill_of_more(schema):
    sample_of(schema)["answer"]["usage"]["image_count"] = 7


def bill_of_less(schema):
    sample_of(schema)["answer"]["usage"]["image_count"] = 1


def size_of_what(schema):
    size = schema["properties"]["parameters"]["properties"]["size"]
    size |= {"x-size": {"pixels": 5}}


def no_echo(schema):
    del sample_of(schema)["absent"]


def absent_for_nothing(schema):
    sample_of(schema)["absent"].append("/output/nothing")


def absent_and_there(schema):
    sample_of(schema)["absent"].append("/usage/image_count")


@pytest.mark.parametrize(
    ("change", "place", "words"),
    [
        (no_sample, "x-dsrun.sample", "missing"),
        (long_prompt, "x-dsrun.sample.request.input.prompt", "found 801 characters"),
        (failed, "x-dsrun.sample.answer", "failed (DataInspectionFailed: no)"),
        (running, "x-dsrun.sample.answer", "read as running"),
        (refused, "x-dsrun.sample.answer", "no answer with a result"),
        (no_results, "x-dsrun.artifacts[0]", "the sample answer holds no image"),
        (half_failed, "x-dsrun.sample.answer", "InternalError.Timeout"),
        (no_bill, "x-dsrun.price.", '"/usage/image_count", where the sample answer has nothing'),
        (bill_in_words, "x-dsrun.price.items[0].billed", "bills no number there"),
        (bill_of_more, "x-dsrun.price.items", "bills 7 x image"),
        (bill_of_less, "x-dsrun.price.items", "its answer bills 0.16 CNY"),
        (size_of_what, "size.x-size", "two numbers above 0"),
        (no_echo, "x-dsrun.recovery.confirm", "orig_prompt"),
        (absent_for_nothing, "x-dsrun.sample.absent", "which the file does not look at"),
        (absent_and_there, "x-dsrun.sample.absent", "which the sample answer has"),
    ],
)  # fmt: skip
def test_a_file_that_its_sample_disproves_is_told_with_place_and_words(
    work, write, change, place, words
):
    path = write("wanx-v1", change)
    outcome = work.dsrun("operations", "--check", path)
    assert outcome.code == 2
    assert f"{path}:" in outcome.err
    assert place in outcome.err
    assert words in outcome.err


def test_what_is_wrong_for_one_model_is_told_with_its_name(work, write):
    def change(schema):
        schema["x-dsrun"]["sample"]["request"]["parameters"]["size"] = "512*512"

    outcome = work.dsrun("operations", "--check", write("wan-t2i", change))
    assert outcome.code == 2
    assert "for my-wan2.5-t2i-preview: " in outcome.err
    assert "for my-wan2.2-t2i-flash: " not in outcome.err


def test_all_files_are_checked_and_told(work, write):
    files = [write("wanx-v1", name="good"), write("wanx-v1", failed, name="bad")]
    outcome = work.dsrun("operations", "--check", *files, "none.json", "--json")
    assert outcome.code == 2
    assert [one["valid"] for one in outcome.answer] == [True, False, False]
    [good] = outcome.answer[0]["operations"]
    assert "input.prompt: maxLength 800" in good["limits"]
    assert outcome.answer[1]["problems"][0]["where"] == "x-dsrun.sample.answer"


def test_a_limit_that_no_sample_reaches_is_told_and_is_no_fault(work, write):
    def change(schema):
        rule = {"if": {"required": ["nothing"]}, "then": {"maxProperties": 0, "minItems": 3}}
        schema["properties"]["input"]["properties"]["ref_img"]["allOf"] = [rule]

    outcome = work.dsrun("operations", "--check", write("wanx-v1", change))
    assert outcome.code == 0
    assert "no request like the sample reaches input.ref_img: minItems 3" in outcome.err


@pytest.mark.parametrize("words", [["--check"], ["a", "b"]])
def test_what_it_lacks_or_has_too_much_of_is_a_usage_error(work, words):
    assert work.dsrun("operations", *words).code == 2


def test_a_name_that_dsrun_has_is_refused(work, write):
    outcome = work.dsrun("operations", "--check", write("wanx-v1", name="wan-t2i"))
    assert outcome.code == 2
    assert "dsrun has one of this name" in outcome.err
