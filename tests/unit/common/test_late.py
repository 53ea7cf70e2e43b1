"""A late value in a request: its JSON form, and what it becomes once it is known."""

import jinja2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsrun.common.late import (
    ARGUMENTS,
    FILTERS,
    FROM_JSON,
    Late,
    LateFilter,
    LateText,
    filter_fault,
    from_json,
    is_late_form,
    iter_late,
    late_of,
    resolved,
    told,
)

VOICE = Late(job_id="v", at="/output/voice")
FILE = Late(job_id="p", file=3)
CUT = Late(job_id="t", at="/output/text", filters=(LateFilter("truncate", (5, True, "")),))


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (VOICE, {"from": "v", "at": "/output/voice"}),
        (FILE, {"from": "p", "file": 3}),
        (CUT, {"from": "t", "at": "/output/text", "filters": [["truncate", 5, True, ""]]}),
        (LateText(("a ", VOICE)), {"parts": ["a ", {"from": "v", "at": "/output/voice"}]}),
    ],
)
def test_a_late_value_is_written_and_read_again(value, told):
    assert value.as_json() == told
    assert late_of(told) == value


def test_a_text_names_each_value_that_it_waits_for():
    assert list(iter_late(LateText(("a", VOICE, "b", FILE)))) == [VOICE, FILE]
    assert list(iter_late(CUT)) == [CUT]


def test_a_value_alone_keeps_its_type():
    assert resolved(VOICE, lambda _: ["x", 1]) == ["x", 1]


def test_a_text_is_put_together():
    values = {"v": "Mia", "p": 7}
    text = LateText(("I am ", VOICE, ", no. ", FILE))
    assert resolved(text, lambda late: values[late.job_id]) == "I am Mia, no. 7"


@pytest.mark.parametrize("value", [None, True, ["a"], {"a": 1}])
def test_what_is_no_text_cannot_stand_in_one(value):
    with pytest.raises(TypeError, match="a text takes texts and numbers"):
        resolved(LateText(("a", VOICE)), lambda _: value)


@pytest.mark.parametrize("value", [None, 1, ["a"]])
def test_a_filter_takes_a_text_alone(value):
    with pytest.raises(TypeError, match="the filter truncate takes a text"):
        resolved(CUT, lambda _: value)


CALLS = st.one_of(
    st.just(("trim", ())),
    st.tuples(st.just("trim"), st.tuples(st.sampled_from([" x", "a"]))),
    st.tuples(
        st.just("truncate"),
        st.tuples(st.integers(3, 30), st.booleans(), st.sampled_from(["", "...", "…"])),
    ),
    st.tuples(st.just("truncate"), st.tuples(st.integers(4, 30))),
    st.tuples(st.just("replace"), st.tuples(st.sampled_from(["a", " "]), st.text(max_size=2))),
    st.just(("lower", ())),
    st.just(("upper", ())),
)


@given(st.text("ab Ä ß", max_size=40), CALLS)
def test_each_filter_does_what_jinja_does(text, call):
    name, args = call
    assert FILTERS[name](text, *args) == jinja2.Environment().call_filter(name, text, args)


VALUES = st.sampled_from([10**30, -(10**30), 2**63, -1, 0, 5, None, True, "a", "", 1.5])


@given(st.sampled_from(["", "x", "word " * 60, "a" * 1000]), st.data())
def test_whatever_a_filter_cannot_take_is_known_before_any_value_is(text, data):
    name = data.draw(st.sampled_from(sorted(FILTERS.keys() - {FROM_JSON})))  # it takes JSON alone
    most = len(ARGUMENTS.get(name, ()))
    args = data.draw(st.lists(VALUES, max_size=most))
    if not filter_fault(LateFilter(name, tuple(args))):
        FILTERS[name](text, *args)


def test_no_filter_makes_a_text_without_end():
    with pytest.raises(ValueError, match="more than 1,000,000 characters"):
        FILTERS["replace"]("a" * 2000, "a", "b" * 1000)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (VOICE, "← cast 1 output.voice"),
        (FILE, "← job p file 3"),
        (CUT, "← job t output.text | truncate(5, True, '')"),
        (LateText(("a ", VOICE, ", b")), "a {← cast 1 output.voice}, b"),
    ],
)
def test_a_request_for_people_names_the_job_that_gives_a_value(value, words):
    request = {"input": {"list": [value.as_json(), 1], "n": None}}
    assert told(request, {"v": "cast 1"}) == {"input": {"list": [words, 1], "n": None}}


@pytest.mark.parametrize(
    "value",
    [
        {"from": "v"}, {"from": 1, "at": "/a"}, {"from": "v", "at": "/a", "file": 0}, {"at": "/a"},
        {"parts": ["a"]}, {"parts": "a"}, {"parts": [{"from": "v"}]}, "from", None, [],
    ],
)  # fmt: skip
def test_what_only_looks_like_a_late_value_is_told_as_it_is(value):
    assert not is_late_form(value)
    assert told(value, {}) == value


@pytest.mark.parametrize(
    "text",
    [
        '{"a": [1, {"b": "x"}]}',
        ' \n{"a": [1, {"b": "x"}]}\n ',
        '```json\n{"a": [1, {"b": "x"}]}\n```',
        '```\r\n{"a": [1, {"b": "x"}]}\r\n```\n',
        '  ```JSON \n{"a":\n [1, {"b": "x"}]}```',
    ],
)
def test_json_may_stand_in_a_fence(text):
    assert from_json(text) == {"a": [1, {"b": "x"}]}
    assert from_json(text, "a", 1, "b") == "x"


@pytest.mark.parametrize("text", ['"```json\\n1\\n```"', '{"code": "```\\nx\\n```"}'])
def test_a_fence_within_json_is_a_part_of_it(text):
    assert "```" in str(from_json(text))


@pytest.mark.parametrize(
    ("text", "keys", "words"),
    [
        ("Sure! Here it is", (), 'from_json takes JSON, and this is "Sure! Here it is"'),
        ("", (), 'from_json takes JSON, and this is ""'),
        ('{"a": 1', (), "takes JSON"),
        ("NaN", (), "takes JSON"),
        ('Here: ```json\n{"a": 1}\n```', (), "takes JSON"),
        ('{"title": 1, "mood": 2}', ("titel",), "the JSON has no titel (did you mean title?); it "),
        ('{"title": 1, "mood": 2}', ("prompt",), "no prompt; it has title, mood"),
        ("{}", ("prompt",), "no prompt; it has nothing"),
        ("[1, 2]", ("prompt",), "the JSON has no prompt: it is [1,2]"),
        ("[1, 2]", (2,), "the JSON has no item 2: it is a list of 2"),
        ('{"a": 1}', (0,), "the JSON has no item 0: it is"),
        ('{"a": {"b": [5]}}', ("a", "b", 0, "c"), "a.b[0] of the JSON has no c: it is 5"),
        ("null", ("a",), "the JSON has no a: it is null"),
    ],
)
def test_what_is_no_json_or_has_no_such_part_is_told(text, keys, words):
    with pytest.raises(TypeError) as caught:
        from_json(text, *keys)
    assert words in str(caught.value)


def test_a_part_of_json_is_told_to_people_by_its_way():
    late = Late(job_id="a" * 64, at="/output/text", filters=(
        LateFilter("from_json", ("scenes", 0, "prompt")), LateFilter("trim"),
    ))  # fmt: skip
    assert told(late.as_json(), {"a" * 64: "idea 1"}) == (
        "← idea 1 output.text | from_json scenes[0].prompt | trim"
    )
    assert late_of(late.as_json()) == late
