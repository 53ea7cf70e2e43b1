"""The limits of a schema, each shown by a request at its edge and one beyond."""

import pytest

from dsrun.common.json_schema import SchemaValidator
from dsrun.service.edges import edges


def shown(schema, sample):
    """The limits that are shown, with their two values, and those that are not."""
    found, hidden = edges({"type": "object", **schema}, sample)
    validator = SchemaValidator({"type": "object", **schema}, is_foreign=True)
    for edge in found:
        assert validator.is_valid(edge.good), edge.limit
        assert not validator.is_valid(edge.bad), edge.limit
    return {str(edge.limit): (edge.good, edge.bad) for edge in found}, set(map(str, hidden))


@pytest.mark.parametrize(
    ("rule", "value", "name", "pair"),
    [
        ({"maxLength": 3}, "ab", "maxLength 3", ("abb", "abbb")),
        ({"minLength": 2}, "ab", "minLength 2", ("ab", "a")),
        ({"type": "integer", "maximum": 4}, 1, "maximum 4", (4, 5)),
        ({"type": "number", "minimum": 0}, 1, "minimum 0", (0, -0.001)),
        ({"enum": ["a", "b"]}, "a", "value b", ("b", "\u2603 ")),
        ({"maxItems": 2}, [7], "maxItems 2", ([7, 7], [7, 7, 7])),
        ({"minItems": 1}, [7], "minItems 1", ([7], [])),
        ({"pattern": "^[a-z]+$"}, "ab", "pattern ^[a-z]+$", ("ab", "ab\n")),
        ({"x-size": {"pixels": [512, 1024]}}, "32*32", "x-size pixels 1024", ("32*32", "33*32")),
        ({"x-size": {"sides": [16, 32]}}, "20*20", "x-size sides 16", ("16*16", "15*16")),
        ({"x-size": {"ratio": [0.25, 4]}}, "64*64", "x-size ratio 4", ("256*64", "257*64")),
    ],
)
def test_a_limit_is_tried_at_its_edge_and_one_beyond(rule, value, name, pair):
    found, hidden = shown({"properties": {"a": rule}}, {"a": value})
    good, bad = pair
    assert found[f"a: {name}"] == ({"a": good}, {"a": bad})
    assert hidden == set()


def test_a_key_that_is_needed_is_left_out():
    found, _ = shown({"required": ["a"], "properties": {"a": {"type": "string"}}}, {"a": "b"})
    assert found["a: required"] == ({"a": "b"}, {})


def test_a_mapping_that_is_closed_gets_a_strange_key():
    found, _ = shown({"additionalProperties": False, "properties": {"a": True}}, {"a": 1})
    assert found[": additionalProperties False"] == ({"a": 1}, {"a": 1, "no_such_key": 1})


def test_what_the_sample_lacks_is_made():
    field = {"type": "object", "required": ["b"], "properties": {
        "b": {"type": "string"}, "c": {"type": "integer", "maximum": 9}}}  # fmt: skip
    found, hidden = shown({"properties": {"a": {"type": "array", "items": field}}}, {})
    assert found["a.*.c: maximum 9"][0] == {"a": [{"b": "a", "c": 9}]}
    assert hidden == set()


def test_a_limit_that_holds_beside_another_value_is_tried_there():
    rule = {
        "if": {"properties": {"mode": {"const": "fast"}}, "required": ["mode"]},
        "then": {"properties": {"n": {"maximum": 2}}},
    }
    fields = {"mode": {"enum": ["fast", "fine"]}, "n": {"type": "integer", "maximum": 4}}
    found, hidden = shown({"properties": fields, "allOf": [rule]}, {"mode": "fine", "n": 1})
    assert found["n: maximum 2"] == ({"mode": "fast", "n": 2}, {"mode": "fast", "n": 3})
    assert found["n: maximum 4"] == ({"mode": "fine", "n": 4}, {"mode": "fine", "n": 5})
    assert hidden == set()


@pytest.mark.parametrize(
    "rule",
    [
        {"maxLength": 10**9},
        {"maxItems": 10**9},
        {"minLength": 5, "maxLength": 3},
        {"enum": ["ab"], "maxLength": 9},
    ],
)
def test_a_limit_that_no_request_reaches_is_told(rule):
    _, hidden = shown({"properties": {"a": rule}}, {"a": "ab"})
    assert [limit for limit in hidden if limit.startswith("a: m")]
