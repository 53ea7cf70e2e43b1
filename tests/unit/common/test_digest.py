"""Canonical JSON against the reference implementation, and what the tags keep apart."""

import hashlib
import json
import math

import pytest
import rfc8785
from hypothesis import example, given
from hypothesis import strategies as st

from dsrun.common.digest import (
    NotCanonical,
    canonical_json,
    canonical_sha256,
    parse_json,
    sha256_hex,
    tagged,
)
from dsrun.manifest.matrix import same

ANY_TEXT = st.text(st.characters(exclude_categories=())) | st.sampled_from(
    ["", "\ud83c", "\udfee", "\uffff", "\ue000", "🏮", "\x00", "\u2028", '"\\', "\x7f"]
)
NUMBERS = (
    st.integers()
    | st.floats()
    | st.sampled_from([2**53 - 1, 2**53, -(2**53), -0.0, 1.0, 1e21, 1e-7, 5e-324, 1e16, 0.1])
)
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | ANY_TEXT,
    lambda inner: st.lists(inner) | st.dictionaries(ANY_TEXT, inner),
    max_leaves=20,
)
SENDABLE = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**60), 2**60)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


@given(VALUES)
@example({"\ue000": 1, "🏮": 2})
@example({"a": {"\uffff": 1.0, "𠮷": -0.0}})
@example([1e400, 2**64])
def test_canonical_json_is_rfc_8785_for_every_value(value):
    assert outcome(canonical_json, value) == outcome(rfc8785.dumps, value)


@given(SENDABLE, SENDABLE)
@example(1, 1.0)
@example({"a": 1}, {"a": 1.0})
@example(1.0, {"!float": "1.0"})
@example(2**53, {"!int": "9007199254740992"})
@example(0.0, -0.0)
@example(True, 1)
def test_tagged_values_have_one_digest_only_if_they_are_the_same_to_a_template(left, right):
    alike = canonical_sha256(tagged(left)) == canonical_sha256(tagged(right))
    assert alike == (printed(left) == printed(right))


@given(SENDABLE)
def test_every_value_of_a_manifest_has_a_digest(value):
    assert len(canonical_sha256(tagged(value))) == 64


@pytest.mark.parametrize(
    ("value", "text"),
    [
        pytest.param(
            {"b": 1, "a": [True, None]}, b'{"a":[true,null],"b":1}', id="sorted, no spaces"
        ),
        pytest.param(1.0, b"1", id="an integral float is an integer"),
        pytest.param(-0.0, b"0", id="no negative zero"),
        pytest.param(1e21, b"1e+21", id="as ECMAScript prints it"),
        pytest.param(1e-7, b"1e-7", id="small"),
        pytest.param(
            '灯\n\x1f"', b'"\xe7\x81\xaf\\n\\u001f\\""', id="only what must be is escaped"
        ),
        pytest.param({"🏮": 1, "\uffff": 2}, '{"🏮":1,"\uffff":2}'.encode(), id="UTF-16 order"),
    ],
)
def test_the_examples_of_rfc_8785(value, text):
    assert canonical_json(value) == text


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(math.nan, id="nan"),
        pytest.param(math.inf, id="infinity"),
        pytest.param(2**53, id="past the safe integers"),
        pytest.param("\ud83c", id="half a surrogate pair"),
        pytest.param({"\ud83c": 1}, id="half a surrogate pair as a key"),
        pytest.param([{"a": [math.nan]}], id="deep inside"),
    ],
)
def test_what_json_cannot_say_has_no_canonical_form(value):
    with pytest.raises(NotCanonical):
        canonical_json(value)


def test_the_id_of_a_value_is_the_sha_256_of_its_canonical_bytes():
    assert canonical_sha256({"a": 1}) == hashlib.sha256(b'{"a":1}').hexdigest()
    assert sha256_hex(b"") == hashlib.sha256(b"").hexdigest()


def outcome(dumps, value):
    try:
        return dumps(value)
    except (NotCanonical, rfc8785.CanonicalizationError, UnicodeError):
        return "refused"


def printed(value):
    """What a template can tell apart: Python's words for numbers, not RFC 8785's."""
    if isinstance(value, float) and value.is_integer():
        return ["float", repr(value)]
    if isinstance(value, dict):
        return {key: printed(item) for key, item in value.items()}
    if isinstance(value, list):
        return ["list", *map(printed, value)]
    return ["other", json.dumps(value)]


def test_same_is_what_the_digest_says_of_plain_values():
    assert same(1, 1.0)
    assert not same(1, True)
    assert not same([1], {"0": 1})


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("18446744073709551616", 2**64),
        ("-9223372036854775809", -(2**63) - 1),
        ("9223372036854775807", 2**63 - 1),
        ('{"a": ["12345678901234567890", 123456789012345678901, 1.5]}',
         {"a": ["12345678901234567890", 123456789012345678901, 1.5]}),
    ],
)  # fmt: skip
def test_json_is_read_with_all_digits(text, value):
    for given_text in (text, text.encode()):
        assert repr(parse_json(given_text)) == repr(value)


@pytest.mark.parametrize("text", ["1" * 101, "[NaN, 12345678901234567890]", '"\\ud800" 1'])
def test_json_that_is_none_or_too_long_is_a_value_error(text):
    with pytest.raises(ValueError, match=r"."):
        parse_json(text)
