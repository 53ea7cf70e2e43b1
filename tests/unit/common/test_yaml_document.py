"""YAML 1.2 to JSON values with their places."""

import json
import math

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from dsrun.common.errors import ManifestError
from dsrun.common.yaml_document import MAX_DEPTH, parse_yaml
from dsrun.manifest.matrix import same

# What YAML takes as it stands: no control characters, and no line breaks of its older version.
PLAIN = st.characters(
    exclude_categories=("Cs", "Cc"), exclude_characters="\u2028\u2029\ufeff\ufffe\uffff"
)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(PLAIN),
    # YAML allows a key at most 1024 characters, and JSON may write one as twelve.
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(PLAIN, max_size=80), inner, max_size=4)
    ),
    max_leaves=15,
)


@given(VALUES, st.booleans())
def test_json_is_yaml(value, escaped):
    assert same(parsed(json.dumps(value, ensure_ascii=escaped)), value)


def test_scalars_are_the_same_beside_a_json_escape_past_ffff():
    text = "a: [\"\\ud83c\\udfee\", no, 010, 0o10, 2026-11-01, 1_000, ~, '\\ud83c\\udfee']"
    value = ["🏮", "no", 10, 8, "2026-11-01", "1_000", None, "\\ud83c\\udfee"]
    assert parsed(text) == {"a": value}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        pytest.param("true", True, id="true"),
        pytest.param("False", False, id="False"),
        pytest.param("yes", "yes", id="yes is a word"),
        pytest.param("No", "No", id="No is a word"),
        pytest.param("on", "on", id="on is a word"),
        pytest.param("y", "y", id="y is a word"),
        pytest.param("null", None, id="null"),
        pytest.param("~", None, id="tilde"),
        pytest.param("12", 12, id="integer"),
        pytest.param("-7", -7, id="negative"),
        pytest.param("+7", 7, id="with a plus"),
        pytest.param("010", 10, id="a leading zero is decimal"),
        pytest.param("0o10", 8, id="octal"),
        pytest.param("0x1F", 31, id="hexadecimal"),
        pytest.param("0b11", "0b11", id="binary is text"),
        pytest.param("1_000", "1_000", id="underscores are text"),
        pytest.param("12:30", "12:30", id="a time is text"),
        pytest.param("2026-11-01", "2026-11-01", id="a date is text"),
        pytest.param("1.5", 1.5, id="number"),
        pytest.param(".5", 0.5, id="without a zero"),
        pytest.param("5.", 5.0, id="without a fraction"),
        pytest.param("1e3", 1000.0, id="exponent"),
        pytest.param("1e", "1e", id="half an exponent"),
        pytest.param("'12'", "12", id="quoted"),
        pytest.param('"\\u706f"', "灯", id="escaped"),
        pytest.param("=", "=", id="equals"),
        pytest.param("!!str 12", "12", id="tagged text"),
        pytest.param("!!int '12'", 12, id="tagged integer"),
        pytest.param("[a, ]", ["a"], id="a trailing comma"),
        pytest.param("{a: }", {"a": None}, id="nothing is null"),
        pytest.param("{12: a, true: b}", {"12": "a", "true": "b"}, id="keys are text"),
        pytest.param("|\n  a\n  b\n", "a\nb\n", id="literal"),
        pytest.param(">-\n  a\n  b\n", "a b", id="folded"),
        pytest.param("a\r\n  b", "a b", id="Windows line ends"),
        pytest.param("\ufeffa", "a", id="a byte order mark"),
        pytest.param("--- a\n", "a", id="a document's begin"),
    ],
)
def test_scalars_are_those_of_yaml_1_2(text, value):
    found = parsed(text)
    assert (type(found), found) == (type(value), value)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        pytest.param(
            "{a: &x [1], b: *x}", {"a": [1], "b": [1]}, id="an alias has the anchor's value"
        ),
        pytest.param("[&x {a: 1}, {<<: *x, b: 2}]", [{"a": 1}, {"a": 1, "b": 2}], id="merge"),
        pytest.param("{<<: {a: 1}, a: 2}", {"a": 2}, id="own keys win"),
        pytest.param("{a: 2, <<: {a: 1}}", {"a": 2}, id="own keys win, wherever they stand"),
        pytest.param("{<<: [{a: 1}, {a: 2, b: 3}]}", {"a": 1, "b": 3}, id="the first of many wins"),
        pytest.param("{'<<': 1}", {"<<": 1}, id="quoted, it is a key"),
    ],
)
def test_anchors_and_merge_keys(text, value):
    assert parsed(text) == value


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        pytest.param("", (1, 1), "no YAML value", id="empty"),
        pytest.param("# note\n", (1, 1), "no YAML value", id="comment alone"),
        pytest.param("a: 1\na: 2", (2, 1), "a second time", id="duplicate key"),
        pytest.param("{a: {b: 1, 'b': 2}}", (1, 12), "a second time", id="duplicate, quoted"),
        pytest.param("a: .nan", (1, 4), "no finite number", id="nan"),
        pytest.param("a: -.INF", (1, 4), "no finite number", id="infinity"),
        pytest.param("a: 1e999", (1, 4), "no finite number", id="too large"),
        pytest.param("a: " + "9" * 5000, (1, 4), "too long", id="a long integer"),
        pytest.param("a: !!timestamp 2026-11-01", (1, 4), "no JSON type", id="timestamp"),
        pytest.param("a: !!set {b}", (1, 4), "no JSON type", id="set"),
        pytest.param("a: !mine [b]", (1, 4), "no JSON type", id="own tag"),
        pytest.param("a: !!int b", (1, 4), "", id="a tag that lies"),
        pytest.param("[a, b]: 1", (1, 1), "a key must be text", id="list as a key"),
        pytest.param("a: &x [*x]", (1, 4), "an alias of itself", id="a loop"),
        pytest.param("a: *x", (1, 4), "not YAML", id="no such anchor"),
        pytest.param("a: 1\n---\nb: 2", (2, 1), "not YAML", id="two documents"),
        pytest.param("a:\n\t- b", (2, 1), "a tab stands here", id="tab"),
        pytest.param("a: 'b", (1, 4), "not YAML", id="open quote"),
        pytest.param("a: b: c", (1, 5), "not YAML", id="two colons"),
        pytest.param("a: {{ b }} c", (1, 12), "in quotes", id="a template without quotes"),
        pytest.param("a: {{ b }}", (1, 5), "in quotes", id="a template without quotes alone"),
        pytest.param("a: {% b %}", (1, 5), "in quotes", id="a statement without quotes"),
        pytest.param("a: b\x07", (1, 5), "not YAML", id="control character"),
        pytest.param("[" * (MAX_DEPTH + 1), (1, MAX_DEPTH + 1), "nested more than", id="deep"),
        pytest.param(
            'a: "\\ud83c\\udfee \\ud83c"', (1, 4), "half of", id="half a pair beside a pair"
        ),
        pytest.param("<<: 1", (1, 5), "`<<` takes a mapping", id="merge of a number"),
    ],
)
def test_what_json_cannot_say_is_a_problem_with_its_place(text, place, words):
    with pytest.raises(ManifestError) as caught:
        parse_yaml(text, file="f.yaml")
    (problem,) = caught.value.problems
    assert words in problem.message
    assert (problem.file, problem.line, problem.column) == ("f.yaml", *place)


def test_all_problems_are_told_at_once():
    with pytest.raises(ManifestError) as caught:
        parse_yaml("a: .nan\nb: !x y\na: 1\n", file="f.yaml")
    assert [problem.line for problem in caught.value.problems] == [1, 2, 3]


def test_a_scalar_at_the_largest_depth_is_allowed():
    value = parsed("[" * MAX_DEPTH + "1" + "]" * MAX_DEPTH)
    for _ in range(MAX_DEPTH):
        (value,) = value
    assert value == 1


def test_anchors_that_expand_beyond_reason_are_refused_and_those_within_are_not():
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    for level in range(1, 9):
        items = ", ".join([f"*a{level - 1}"] * 10)
        lines.append(f"a{level}: &a{level} [{items}]")
    assert len(parsed("\n".join(lines[:4]))) == 4
    with pytest.raises(ManifestError, match="anchors expand to more than"):
        parse_yaml("\n".join(lines), file="f.yaml")


DOCUMENT = """\
steps:
  posters:  # 灯
    matrix: {subject: [灯笼, river], "quoted key": 1}
    input: &input
      prompt: |
        a
    parameters:
      <<: *input
      n: 2
"""


@pytest.mark.parametrize(
    ("path", "place"),
    [
        pytest.param((), (1, 1), id="the document"),
        pytest.param(("steps",), (2, 3), id="a mapping"),
        pytest.param(("steps", "posters", "matrix", "subject", 0), (3, 24), id="an item"),
        pytest.param(("steps", "posters", "matrix", "subject", 1), (3, 28), id="after Chinese"),
        pytest.param(("steps", "posters", "matrix", "quoted key"), (3, 50), id="a quoted key"),
        pytest.param(("steps", "posters", "input", "prompt"), (5, 15), id="a block"),
        pytest.param(("steps", "posters", "parameters", "prompt"), (5, 15), id="a merged key"),
        pytest.param(("steps", "posters", "parameters", "n"), (9, 10), id="beside a merged key"),
        pytest.param(("steps", "posters", "style"), (2, 3), id="what is missing: its parent"),
        pytest.param(("nothing", "at", "all"), (1, 1), id="missing at the top"),
        pytest.param(("steps", "posters", "matrix", "subject", 9), (3, 14), id="past the end"),
        pytest.param(("steps", "posters", "matrix", "subject", "a"), (3, 14), id="no such kind"),
    ],
)
def test_the_place_of_every_part(path, place):
    assert parse_yaml(DOCUMENT, file="f.yaml").place(path) == place


def test_the_place_of_a_key_is_the_key():
    document = parse_yaml(DOCUMENT, file="f.yaml")
    assert document.place(("steps", "posters", "parameters", "n"), of_key=True) == (9, 7)


def test_the_place_after_an_emoji_counts_characters():
    document = parse_yaml('{a: "🏮🏮", b: 1}', file="f.yaml")
    assert document.place(("b",)) == (1, 14)


@pytest.mark.parametrize(
    ("text", "place"),
    [
        pytest.param("a: one HERE two\n", (1, 8), id="plain"),
        pytest.param("a: one\n  two\n\n  HERE\n", (4, 3), id="plain over lines"),
        pytest.param('a: "one HERE"\n', (1, 9), id="double quotes"),
        pytest.param('a: "\\u706f\\n\\x20\\"\\U0001f3ee HERE"\n', (1, 30), id="escapes"),
        pytest.param('a: "\\ud83c\\udfee HERE"\n', (1, 18), id="an escape of JSON past U+FFFF"),
        pytest.param('a: "one \\\n    HERE"\n', (2, 5), id="an escaped line end"),
        pytest.param("a: 'it''s HERE'\n", (1, 11), id="single quotes"),
        pytest.param("a: |\n  one\n\n    HERE\n", (4, 5), id="literal block"),
        pytest.param("a: |2-\n    HERE\n", (2, 5), id="literal block of a given indentation"),
        pytest.param("a: >- # HERE is a comment\n  one\n  two\n\n  HERE\n", (5, 3), id="folded"),
        pytest.param("b: &b 灯🏮HERE\na: *b\n", (1, 9), id="through an alias"),
        pytest.param("a: &b !!str |\n  one HERE\n", (2, 7), id="behind anchor and tag"),
        pytest.param("b: {a: HERE}\n<<: {a: x HERE}\n", (2, 11), id="through a merge"),
    ],
)
def test_a_character_of_a_text_has_its_place_in_the_file(text, place):
    document = parse_yaml(text, file="f.yaml")
    offset = document.value["a"].index("HERE")
    assert document.place_inside(("a",), offset) == place
    line, column = place
    assert text.split("\n")[line - 1][column - 1 :].startswith("HERE")


@given(
    st.text(st.sampled_from("ab '\"\\\n\t\u3000灯🏮:#{}-"), max_size=30).filter(str.strip),
    st.sampled_from(["json", "yaml single", "yaml plain", "yaml literal"]),
    st.data(),
)
def test_every_visible_character_is_found_however_it_is_quoted(value, style, data):
    if style == "json":
        text = json.dumps({"a": value}, ensure_ascii=False)
        if data.draw(st.booleans()):
            text = text.replace("灯", "\\u706f").replace("🏮", "\\U0001f3ee")
    else:
        kind = {"single": "'", "plain": None, "literal": "|"}[style.split()[1]]
        text = yaml.dump({"a": value}, default_style=kind, allow_unicode=True, width=20)
    document = parse_yaml(text, file="f.yaml")
    offset = data.draw(st.sampled_from([i for i, c in enumerate(value) if not c.isspace()]))
    line, column = document.place_inside(("a",), offset)
    found = text.split("\n")[line - 1][column - 1]
    assert found in (value[offset], "\\")  # the character, or its escape


def test_lines_are_an_editor_s_also_where_yaml_counts_others():
    document = parse_yaml("a: |\n  x\u2028  y\nb: HERE\n", file="f.yaml")
    assert (document.place(("b",)), document.place_inside(("b",), 1)) == ((3, 4), (3, 5))


@pytest.mark.parametrize(
    ("path", "end"),
    [
        pytest.param(("steps", "posters", "parameters", "n"), 11, id="a number"),
        pytest.param(("steps", "posters"), 0, id="a block of lines has none"),
    ],
)
def test_a_problem_knows_where_its_place_ends(path, end):
    assert parse_yaml(DOCUMENT, file="f.yaml").problem(path, "x").end_column == end


def test_numbers_that_fit_no_float_exactly_keep_their_value():
    assert parsed("123456789012345678901234567890") == 123456789012345678901234567890
    assert math.isclose(parsed("1e-320"), 1e-320)


def parsed(text):
    return parse_yaml(text, file="f.yaml").value


@pytest.mark.parametrize(
    ("text", "places"),
    [
        pytest.param("a:\n  <<: {b: 1}\n  <<: {c: 1}\n", [(3, 3)], id="a block"),
        pytest.param("{<<: {b: 1}, x: 1, <<: {b: 1}}", [(1, 20)], id="in braces, equal ones"),
        pytest.param("<<: {}\n<<: [{}]\n<<: {}\n", [(2, 1), (3, 1)], id="three"),
        pytest.param("- {<<: {<<: {a: 1}, <<: {b: 1}}}", [(1, 21)], id="within another"),
        pytest.param("a: {<<: {b: 1}}\nc: {<<: {b: 1}}\n", [], id="one in each mapping"),
        pytest.param("<<: [{a: 1}, {b: 2}]\n'<<': 1\n", [], id="a list, and a key of that name"),
    ],
)
def test_a_second_merge_key_is_a_duplicate_key(text, places):
    problems = problems_of(text)
    assert [(problem.line, problem.column) for problem in problems] == places
    assert all("stands here a second time" in problem.message for problem in problems)


@pytest.mark.parametrize(
    ("text", "place", "sign"),
    [
        pytest.param("a:\n\xa0\xa0b: 1\n", (2, 1), "NO-BREAK SPACE (U+00A0)", id="a key"),
        pytest.param("a:\n  b: 1\n \u2003c: 2\n", (3, 2), "EM SPACE (U+2003)", id="within"),
        pytest.param("a:\n\u3000b: 1\n\u3000c: 1\n", (2, 1), "IDEOGRAPHIC SPACE", id="each line"),
        pytest.param("a:\xa0b\nc: d\n", (1, 3), "NO-BREAK SPACE (U+00A0)", id="behind a colon"),
        pytest.param("a:\n  - x\n  -\xa0y\nb: 1\n", (3, 4), "NO-BREAK SPACE", id="behind a dash"),
        pytest.param("a: {\u202fb: 1}", (1, 5), "NARROW NO-BREAK SPACE", id="in braces"),
        pytest.param("a:\n\xa0 b: x\n   c: y\n", (2, 1), "NO-BREAK SPACE", id="the line above"),
    ],
)
def test_a_blank_that_yaml_takes_for_a_letter_is_named_at_its_place(text, place, sign):
    (problem,) = problems_of(text)
    assert (problem.line, problem.column) == place
    assert f"found {sign}" in problem.message


def test_such_a_blank_within_a_text_or_quoted_key_is_none_of_our_business():
    text = 'a: |\n  \u3000\u3000x\n"\xa0b": x\xa0y\n'
    value = {"a": "\u3000\u3000x\n", "\xa0b": "x\xa0y"}
    assert parse_yaml(text, file="f").value == value
    (problem,) = problems_of(text + "c: [1,\n")
    assert "U+3000" not in problem.message


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        pytest.param("a: [red #1, blue]\nb: 1\n", True, id="a list that does not end"),
        pytest.param("a: text #1\n  goes on\n", True, id="a text that goes on"),
        pytest.param("a: {b: red #1, c: d}\n\ne: f\n", True, id="an empty line between"),
        pytest.param("a: [red, blue\nb: 1\n", False, id="no comment"),
        pytest.param("a: [red,  # a comment\n  blue\nb: 1\n", False, id="a line before the last"),
        pytest.param("a: [red  # a comment\nb: 1\n", False, id="two blanks before it"),
        pytest.param('a: red #1\nb: "x\n', False, id="a quote that is never closed"),
        pytest.param("# a comment\na: [red, blue\nb: 1\n", False, id="a line of its own"),
        pytest.param('a: ["red #1", blue\nb: 1\n', False, id="in quotes"),
    ],
)
def test_a_comment_that_may_hide_what_is_missing_is_named(text, hint):
    (problem,) = problems_of(text)
    assert ("; in line 1 a comment begins at ` #`" in problem.message) == hint


def problems_of(text):
    try:
        parse_yaml(text, file="f")
    except ManifestError as error:
        return error.problems
    return ()
