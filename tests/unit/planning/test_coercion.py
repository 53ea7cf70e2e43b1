"""From text to the value that a schema asks for."""

import json
import math

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dsrun.planning.compiled_text import coerce

NUMBERLIKE = st.from_regex(r"\A[-+ ]?[0-9]{0,5}[.,]?[0-9]{0,3}([eE][-+]?[0-9]{1,3})?\n?\Z")


@given(st.integers(-(2**63), 2**63))
def test_text_that_is_exactly_an_integer_becomes_one(number):
    assert coerce(str(number), "integer") == number
    assert coerce(str(number), "number") == number


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_text_that_is_exactly_a_number_becomes_it(number):
    assert coerce(repr(number), "number") == number


@given(st.text() | NUMBERLIKE)
@example("1e999")
@example("\u0661")
@example("1_000")
@example("0x10")
@example("010")
@example("1.")
@example("NaN")
@example("9" * 5000)
def test_text_becomes_a_number_only_where_json_reads_that_number(text):
    for wanted, kinds in (("integer", (int,)), ("number", (int, float))):
        result = coerce(text, wanted)
        if result != text:
            assert type(result) in kinds
            assert math.isfinite(result)
            assert result == json.loads(text)
            assert text == text.strip()


@pytest.mark.parametrize(
    ("text", "wanted", "value"),
    [
        pytest.param("true", "boolean", True, id="true"),
        pytest.param("false", "boolean", False, id="false"),
        pytest.param("True", "boolean", "True", id="Python's word is text"),
        pytest.param("yes", "boolean", "yes", id="yes is text"),
        pytest.param("1", "boolean", "1", id="1 is no boolean"),
        pytest.param("1.0", "integer", "1.0", id="1.0 is not exactly an integer"),
        pytest.param(" 1", "integer", " 1", id="a space"),
        pytest.param("1\n", "integer", "1\n", id="a line end"),
        pytest.param("+1", "integer", "+1", id="a plus"),
        pytest.param("01", "integer", "01", id="a leading zero"),
        pytest.param("", "integer", "", id="nothing"),
        pytest.param("1", "string", "1", id="text where text is asked for"),
        pytest.param("1", None, "1", id="text where nothing is asked for"),
        pytest.param("1", "array", "1", id="text where a list is asked for"),
        pytest.param("0.5", "number", 0.5, id="a fraction"),
        pytest.param("1e999", "number", "1e999", id="infinity is text"),
    ],
)
def test_text_stays_text_unless_the_schema_asks_and_it_is_exactly_that(text, wanted, value):
    result = coerce(text, wanted)
    assert (type(result), result) == (type(value), value)
