"""What is hidden is spelled out; what people write stays readable."""

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wcwidth import wcswidth

from dsrun.common.escaping import Shown, escaped, is_plain, shown, shown_json, shown_lines
from dsrun.common.text_table import table

HIDDEN = (
    *map(chr, (*range(0x20), *range(0x7F, 0xA0))),
    *"\u061c\u200e\u200f\u2028\u2029\u202a\u202e\u2066\u2069\ud800\udfff\U000e0001\U000e007f",
)
READABLE = "灯笼 👩\u200d👩\u200d👧 नि\u200dक \u200c e\u0301 عربي עברית Ω 🏮 ~ \\ \xa0 \u3000"


@pytest.mark.parametrize("sign", HIDDEN, ids=ascii)
def test_a_hidden_sign_is_spelled_out(sign):
    assert escaped(f"a{sign}b") == f"a{ascii(sign)[1:-1]}b"
    assert not is_plain(sign)


def test_line_ends_and_tabs_of_a_value_are_seen():
    assert shown("a\nb\tc\r\n") == r"a\nb\tc\r\n"


@pytest.mark.parametrize("text", [READABLE, "plain", ""])
def test_what_people_write_stays_as_it_is(text):
    assert shown(text) == text
    assert is_plain(text)


def test_what_is_shown_already_stays_and_what_is_made_of_it_does_not():
    once = shown_lines(["a\nb", "c"])
    assert once == "a\\nb\nc"
    assert shown(once) is once
    assert shown(f"{once}") == r"a\nb\nc"
    assert not isinstance(f"{once}", Shown)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("::error file=a::b", r"\x3a:error file=a::b"),
        ("  ::add-mask::a", r"  \x3a:add-mask::a"),
        ("\u3000::error::a", "\u3000\\x3a:error::a"),
        ("a ##[error]b", r"a \x23#[error]b"),
        ("a ##vso[task.x]b", r"a \x23#vso[task.x]b"),
        ("a :: b", "a :: b"),
        ("## A heading", "## A heading"),
        ("a\n::error::b", r"a\n::error::b"),
    ],
)
def test_no_line_is_a_command_of_a_machine_that_reads_logs(text, expected):
    assert shown(text) == expected


@given(st.text() | st.text(alphabet=[*HIDDEN, "#", "[", "a", '"', "\\"]))
def test_json_keeps_its_value_and_hides_nothing(text):
    told = shown_json(json.dumps({text: [text]}, ensure_ascii=False, indent=1))
    # Two halves of a surrogate pair, side by side, are one sign in JSON of plain ASCII.
    assert json.loads(told) == json.loads(json.dumps({text: [text]}))
    assert is_plain(told.replace("\n", ""))


def test_columns_stay_in_line_whatever_is_in_them():
    rows = [["a", "b"], ["\x1b[31m\n", "x"], ["灯\u202e", "x"], ["plain", "x"]]
    lines = table(rows).split("\n")
    assert [re.split(" {2,}", line)[0] for line in lines] == [
        "a",
        r"\x1b[31m\n",
        "灯\\u202e",
        "plain",
    ]
    assert {wcswidth(line[:-1]) for line in lines} == {12}
