"""Places in a JSON value, by pointer and by path."""

import pytest

from dsrun.common.pointer import (
    dotted,
    holder_at,
    iter_paths,
    pointer,
    put_at,
    resolve,
    resolve_each,
    value_at,
)


@pytest.mark.parametrize(
    ("text", "steps"),
    [
        pytest.param(None, None, id="none"),
        pytest.param("", (), id="the whole"),
        pytest.param("/a/b", ("a", "b"), id="steps"),
        pytest.param("/", ("",), id="an empty key"),
        pytest.param("/a~1b/c~0d/~01", ("a/b", "c~d", "~1"), id="escapes"),
    ],
)
def test_a_json_pointer_as_rfc_6901_reads_it(text, steps):
    assert pointer(text) == steps


@pytest.mark.parametrize(
    ("at", "value"),
    [
        pytest.param("/a/0/b", 1, id="through a list"),
        pytest.param("/a/1", None, id="past the end"),
        pytest.param("/a/-1", None, id="no negative number"),
        pytest.param("/a/x", None, id="no number"),
        pytest.param("/b", None, id="missing"),
        pytest.param("/c/d", None, id="below text"),
        pytest.param("/n/d", None, id="below null"),
        pytest.param("/f", False, id="false is a value"),
        pytest.param("/a/\u00b2", None, id="a digit that is no number"),
        pytest.param("/a/" + "9" * 5000, None, id="a number without end"),
        pytest.param("", {"a": [{"b": 1}], "c": "text", "n": None, "f": False}, id="the whole"),
        pytest.param(None, None, id="no pointer"),
    ],
)
def test_what_a_pointer_finds_in_an_answer(at, value):
    answer = {"a": [{"b": 1}], "c": "text", "n": None, "f": False}
    assert resolve(answer, at) == value


@pytest.mark.parametrize("answer", [None, "text", 7, [], True], ids=repr)
def test_an_answer_of_any_kind_holds_nothing_but_is_no_error(answer):
    assert resolve(answer, "/output/task_id") is None


@pytest.mark.parametrize(
    ("at", "value"),
    [
        pytest.param(("a", "b"), 1, id="there"),
        pytest.param(("a", "c"), None, id="not there"),
        pytest.param(("a", "b", "c"), None, id="below a number"),
        pytest.param(("l", 1), "y", id="an item by number"),
        pytest.param(("l", "1"), "y", id="an item in digits"),
        pytest.param(("l", 2), None, id="past the end"),
        pytest.param(("l", -1), None, id="no negative number"),
        pytest.param(("a", 0), None, id="an item of a mapping"),
        pytest.param(None, None, id="no path"),
    ],
)
def test_the_value_at_a_path(at, value):
    assert value_at({"a": {"b": 1}, "l": ["x", "y"]}, at) == value


@pytest.mark.parametrize(
    ("path", "text"),
    [
        pytest.param((), "", id="nothing"),
        pytest.param(("steps", "posters", "input"), "steps.posters.input", id="keys"),
        pytest.param(("matrix", "include", 0, "a"), "matrix.include[0].a", id="an item"),
        pytest.param((1, "name"), "[1].name", id="an item first"),
    ],
)
def test_a_path_in_words(path, text):
    assert dotted(path) == text


ANSWER = {
    "results": [{"url": "a"}, {"code": "x"}, {"url": "c"}],
    "pages": [{"rows": [1, 2]}, {"rows": []}, {"rows": [3]}],
    "/*": 7,
    "*x": 8,
}


@pytest.mark.parametrize(
    ("at", "values"),
    [
        pytest.param("/results/1/code", ["x"], id="without a star there is one"),
        pytest.param("/results/*/url", ["a", None, "c"], id="what is missing keeps its place"),
        pytest.param("/results/*", ANSWER["results"], id="the items themselves"),
        pytest.param("/pages/*/rows/*", [1, 2, 3], id="lists in lists"),
        pytest.param("/none/*/url", [], id="no list"),
        pytest.param("/*x", [8], id="a key that only begins with the sign"),
        pytest.param("/~1*", [7], id="a key that holds the sign"),
    ],
)
def test_a_star_stands_for_every_item_of_a_list(at, values):
    assert resolve_each(ANSWER, at) == values


def test_a_path_with_a_star_is_written_out_for_a_value():
    paths = list(iter_paths(ANSWER, ("pages", "*", "rows", "*")))
    assert paths == [("pages", 0, "rows", 0), ("pages", 0, "rows", 1), ("pages", 2, "rows", 0)]


@pytest.mark.parametrize(
    ("value", "path", "after"),
    [
        pytest.param({"a": {"b": 1}}, ("a", "b"), {"a": {"b": "new"}}, id="in place of another"),
        pytest.param({"a": {}}, ("a", "b"), {"a": {"b": "new"}}, id="a new key"),
        pytest.param({}, ("a", "b", "c"), {"a": {"b": {"c": "new"}}}, id="mappings are made"),
        pytest.param({"a": [1, 2]}, ("a", 1), {"a": [1, "new"]}, id="an item by number"),
        pytest.param({"a": [1, 2]}, ("a", "0"), {"a": ["new", 2]}, id="an item in digits"),
        pytest.param({"a": [{}]}, ("a", 0, "b"), {"a": [{"b": "new"}]}, id="within an item"),
    ],
)
def test_a_value_is_written_at_a_path(value, path, after):
    put_at(value, path, "new")
    assert value == after


@pytest.mark.parametrize(
    ("value", "path"),
    [
        pytest.param({"a": 1}, ("a", "b"), id="below a number"),
        pytest.param({"a": None}, ("a", "b"), id="below null"),
        pytest.param({"a": [1]}, ("a", 1), id="past the end of a list"),
        pytest.param({"a": [1]}, ("a", "b"), id="a key of a list"),
        pytest.param({"a": [1]}, ("a", 3, "b"), id="below an item that is not there"),
    ],
)
def test_nothing_is_written_where_something_else_stands(value, path):
    with pytest.raises(LookupError):
        put_at(value, path, "new")


def test_what_holds_a_key_is_made_where_it_is_missing():
    request = {"input": {"prompt": "a pot"}}
    assert holder_at(request, ("input", "n")) is request["input"]
    assert holder_at(request, ("parameters", "n")) is request["parameters"]
    assert holder_at(request, ("input", "prompt", "n")) is None
