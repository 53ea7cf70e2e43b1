"""Schema problems in words, and two validators of one mind."""

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dsrun.common.json_schema import SchemaValidator
from dsrun.common.messages import closest, json_type, nearest, show
from dsrun.common.resources import read_schema
from dsrun.service.catalog import load_catalog

CATALOG = load_catalog()
TEXTS = st.sampled_from(
    [
        "",
        "a",
        "a\n",
        "灯",
        "🏮" * 800,
        "x" * 801,
        "<anime>",
        "1024*1024",
        "https://a/b",
        "https://a/灯",
        "A1_",
        "abcdefghijklmnop",
        "abcdefghijklmnopq",
        "zh",
        "wav",
        "create",
        "é",
        "\u0661",
        "И",
        "qwen3-tts-vd-2026-01-26",
        "wanx-v1",
        "repaint",
        "\u2028",
        "a\u2028",
        "・",
        "ｶ",
    ]
) | st.text(max_size=4)
NUMBERS = st.sampled_from(
    [
        0,
        1,
        2,
        3,
        4,
        5,
        -1,
        1.0,
        1.5,
        2.0,
        24000,
        24000.0,
        2147483647,
        2147483648,
        1e300,
        -0.0,
        0.5,
        2147483645,
        2147483644.0,
        True,
        False,
        None,
        2**53,
        2**70,
    ]
)
LEAVES = TEXTS | NUMBERS | st.just([]) | st.just({}) | st.just(["a"])


def requests(schema):
    """Requests that hold mostly known keys, and any value anywhere."""
    parts = {}
    for name, part in schema["properties"].items():
        keys = st.sampled_from([*part.get("properties", {}), "unknown"])
        parts[name] = (
            st.dictionaries(keys, LEAVES, max_size=6) | LEAVES if "properties" in part else LEAVES
        )
    return st.fixed_dictionaries({}, optional=parts)


# The models of a file differ in numbers; one of each stands for the others.
ONE_OF_EACH_FILE = {CATALOG[name].family: name for name in CATALOG.names}.values()


@pytest.mark.parametrize("name", ONE_OF_EACH_FILE)
@given(data=st.data())
@settings(max_examples=300)
def test_the_fast_and_the_wordy_validator_agree(name, data):
    validator = CATALOG.validator(name)
    request = data.draw(requests(CATALOG[name].schema))
    assert validator.is_valid(request) == (validator.problems(request) == [])


SECTIONS = {
    "version": st.sampled_from([1, 1.0, True, "1", 2]),
    "name": TEXTS,
    "description": LEAVES,
    "params": st.dictionaries(TEXTS, LEAVES, max_size=2) | LEAVES,
    "steps": st.dictionaries(
        TEXTS,
        st.fixed_dictionaries(
            {},
            optional={
                "operation": LEAVES,
                "input": LEAVES,
                "parameters": LEAVES,
                "repeat": LEAVES,
                "filename": LEAVES,
                "matrix": st.dictionaries(
                    st.sampled_from(["a", "zip", "exclude", "include"]),
                    LEAVES
                    | st.lists(LEAVES | st.dictionaries(TEXTS, LEAVES, max_size=2), max_size=2)
                    | st.dictionaries(st.sampled_from(["range", "file"]), LEAVES, max_size=2),
                    max_size=3,
                ),
            },
        ),
        max_size=2,
    ),
    "execution": st.dictionaries(
        st.sampled_from(["rate", "timeout", "max_cost", "concurrency", "polling"]),
        LEAVES | st.sampled_from(["2/s", "90s", "40 CNY", "40 CNY\n", "\u0664/s"]),
        max_size=3,
    ),
    "extra": LEAVES,
}


@given(st.fixed_dictionaries({}, optional=SECTIONS))
@settings(max_examples=300)
def test_both_validators_agree_on_manifests_too(manifest):
    validator = SchemaValidator(orjson.loads(read_schema("frame.json")))
    assert validator.is_valid(manifest) == (validator.problems(manifest) == [])


@pytest.mark.parametrize(
    ("schema", "value", "path", "message"),
    [
        pytest.param(
            {"type": "integer"}, "a", (), 'found "a" (string); allowed: an integer', id="type"
        ),
        pytest.param({"type": "string"}, None, (), "found null; allowed: a string", id="null"),
        pytest.param(
            {"type": "object"}, [], (), "found [] (list); allowed: a mapping", id="object"
        ),
        pytest.param({"type": "array"}, {}, (), "found {} (mapping); allowed: a list", id="array"),
        pytest.param(
            {"type": ["string", "integer"]},
            1.5,
            (),
            "found 1.5 (number); allowed: a string or an integer",
            id="types",
        ),
        pytest.param(
            {"enum": ["red", "blue"]},
            "bleu",
            (),
            'found "bleu" (did you mean blue?); allowed: red, blue',
            id="enum",
        ),
        pytest.param(
            {"enum": ["1664*928", "1472*1104"]},
            "1024*1024",
            (),
            'found "1024*1024"; allowed: 1664*928, 1472*1104',
            id="a size is no misspelt other",
        ),
        pytest.param({"enum": [1, 2]}, 3, (), "found 3; allowed: 1, 2", id="enum of numbers"),
        pytest.param({"const": 1}, 2, (), "found 2; allowed: 1", id="const"),
        pytest.param(
            {"minimum": 1, "maximum": 4}, 5, (), "found 5; allowed: 1 to 4", id="both ends"
        ),
        pytest.param(
            {"minimum": 1, "maximum": 1}, 2, (), "found 2; allowed: 1", id="one number alone"
        ),
        pytest.param({"minimum": 1}, 0, (), "found 0; allowed: at least 1", id="one end"),
        pytest.param({"maximum": 1}, 2, (), "found 2; allowed: at most 1", id="the other end"),
        pytest.param(
            {"maxLength": 2}, "灯灯灯", (), "found 3 characters; allowed: at most 2", id="length"
        ),
        pytest.param(
            {"minLength": 1},
            "",
            (),
            "found an empty text; allowed: at least one character",
            id="no",
        ),
        pytest.param(
            {"pattern": "^a$"}, "b", (), 'found "b"; allowed: text that matches ^a$', id="pattern"
        ),
        pytest.param(
            {"pattern": "^a$", "errorMessage": {"pattern": "the letter a"}},
            "b",
            (),
            'found "b"; allowed: the letter a',
            id="own words",
        ),
        pytest.param(
            {"type": "string", "pattern": "^a$", "errorMessage": {"pattern": "the letter a"}},
            1,
            (),
            "found 1 (integer); allowed: the letter a",
            id="own words for another type too",
        ),
        pytest.param(
            {"properties": {"prompt": {}}, "additionalProperties": False},
            {"promt": 1},
            ("promt",),
            "unknown key (did you mean prompt?); allowed: prompt",
            id="unknown key",
        ),
        pytest.param(
            {"properties": {"a": {"description": "The letter."}}, "required": ["a"]},
            {},
            ("a",),
            "missing; it is required: The letter.",
            id="missing key",
        ),
        pytest.param(
            {
                "anyOf": [
                    {"title": "a list", "type": "array"},
                    {"title": "a name", "type": "string"},
                ]
            },
            1,
            (),
            "found 1; allowed: a list or a name",
            id="no alternative fits",
        ),
        pytest.param(
            {"anyOf": [{"type": "array", "items": {"type": "integer"}}, {"type": "string"}]},
            [1, "a"],
            (1,),
            'found "a" (string); allowed: an integer',
            id="the alternative that was meant",
        ),
        pytest.param({"minItems": 2}, [1], (), "found 1 item; allowed: at least 2", id="few items"),
        pytest.param(
            {"maxItems": 1}, [1, 2], (), "found 2 items; allowed: at most 1", id="many items"
        ),
    ],
)
def test_a_violation_in_words(schema, value, path, message):
    (problem,) = SchemaValidator(schema).problems(value)
    assert (problem.path, problem.message) == (path, message)


def test_all_violations_are_told_each_once_and_in_order_of_place():
    schema = {
        "properties": {
            "a": {"type": "integer"},
            "b": {"maxLength": 1},
            "c": {"items": {"enum": [1]}},
        },
        "required": ["d"],
    }
    value = {"c": [2, 1, 3], "b": "xx", "a": "x"}
    found = [(problem.path, problem.rule) for problem in SchemaValidator(schema).problems(value)]
    assert found == [
        (("a",), "type"),
        (("b",), "maxLength"),
        (("c", 0), "enum"),
        (("c", 2), "enum"),
        (("d",), "required d"),
    ]


def test_items_are_told_in_order_of_number():
    value = ["x"] * 12
    found = SchemaValidator({"items": {"type": "integer"}}).problems(value)
    assert [problem.path for problem in found] == [(number,) for number in range(12)]


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        pytest.param({"enum": [1, 2]}, "1", id="enum"),
        pytest.param({"minimum": 1}, 0.5, id="range"),
    ],
)
def test_a_wrong_type_hides_what_it_fails_too(schema, value):
    found = SchemaValidator({"type": "integer", **schema}).problems(value)
    assert [problem.rule for problem in found] == ["type"]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        pytest.param("a", '"a"', id="text"),
        pytest.param("灯", '"灯"', id="Chinese as it is"),
        pytest.param(True, "true", id="boolean"),
        pytest.param(None, "null", id="null"),
        pytest.param({"a": [1]}, '{"a":[1]}', id="mapping"),
        pytest.param("x" * 100, '"' + "x" * 56 + "...", id="long text is cut"),
        pytest.param(2**70, str(2**70), id="an integer past 64 bits"),
    ],
)
def test_a_value_as_it_is_shown(value, text):
    assert show(value) == text


@pytest.mark.parametrize(
    ("word", "hint"),
    [
        pytest.param("promt", " (did you mean prompt?)", id="a letter missing"),
        pytest.param("Prompt", " (did you mean prompt?)", id="another case"),
        pytest.param("colour", "", id="far"),
        pytest.param("", "", id="nothing"),
    ],
)
def test_the_nearest_known_word(word, hint):
    assert nearest(word, ["negative_prompt", "prompt", "seed"]) == hint


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("wan2.5-t2i", "wan2.5-t2i-preview"),
        ("wan2.6-t", "wan2.6-t2i"),
        ("qwen-image", "qwen-image-max"),
        ("wan2.5-t2v", "wan2.6-t2i"),
        ("wan", ""),
    ],
)
def test_a_word_that_was_broken_off_is_the_shortest_that_it_begins(word, meant):
    known = ["wan2.6-t2i", "wan2.5-t2i-preview", "qwen-image-max-2025-12-30", "qwen-image-max"]
    assert closest(word, known) == meant


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (None, "null"),
        (True, "boolean"),
        (1, "integer"),
        (1.0, "number"),
        ("a", "string"),
        ([], "list"),
        ({}, "mapping"),
    ],
)
def test_the_word_for_a_type(value, name):
    assert json_type(value) == name
