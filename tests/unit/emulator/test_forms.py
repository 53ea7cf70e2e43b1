"""How the emulator reads a file: tables by model and by request, and the older forms."""

import json

import pytest

from dsrun.emulator.forms import for_model, has_tables, settle
from dsrun.emulator.operations import parse_operations
from dsrun.emulator.pointers import erase, places, read_pointer

TABLE = {
    "by": ["/model", "/parameters/resolution", "/parameters/audio"],
    "table": {
        "a | b": {"720P": {"false": "low", "*": "high"}, "*": {"*": "other"}},
        "*": {"5": {"-": "silent", "true": "sound", "*": "strange"}, "*": {"*": "rest"}},
    },
}


def _settled(value, body):
    return settle(value, lambda pointer: read_pointer(body, pointer))


@pytest.mark.parametrize(
    ("model", "parameters", "leaf"),
    [
        ("a", {"resolution": "720P", "audio": False}, "low"),
        ("b", {"resolution": "720P", "audio": True}, "high"),
        ("b", {"resolution": "720P"}, "high"),
        ("a", {}, "other"),
        ("c", {"resolution": 5}, "silent"),
        ("c", {"resolution": 5, "audio": True}, "sound"),
        ("c", {"resolution": "5", "audio": [1]}, "strange"),
        ("c", {"resolution": "a | b"}, "rest"),
        ("a | b", {}, "rest"),
    ],
)
def test_the_row_of_a_request_is_found(model, parameters, leaf):
    assert _settled(TABLE, {"model": model, "parameters": parameters}) == leaf


def test_a_size_is_no_wildcard():
    table = {"by": ["/parameters/size"], "table": {"1024*1024": 1, "*": 2}}
    assert _settled(table, {"parameters": {"size": "1024*1024"}}) == 1
    assert _settled(table, {"parameters": {"size": "*"}}) == 2
    assert _settled(table, {}) == 2


def test_the_first_row_that_fits_wins():
    table = {"by": ["/model"], "table": {"a | b": 1, "b | c": 2, "*": 3}}
    assert [_settled(table, {"model": name}) for name in "abcd"] == [1, 1, 2, 3]


def test_tables_are_settled_wherever_they_stand():
    inner = {"by": ["/n"], "table": {"1": "one", "*": "many"}}
    value = {"a": [{"b": inner}], "c": {"by": ["/m"], "table": {"*": {"d": inner}}}}
    assert has_tables(value)
    assert _settled(value, {"n": 1}) == {"a": [{"b": "one"}], "c": {"d": "one"}}
    assert not has_tables(_settled(value, {}))


def test_a_table_without_a_fitting_row_is_nothing():
    assert _settled({"by": ["/n"], "table": {"1": "one"}}, {"n": 2}) is None


def _file(**rules):
    return {
        "properties": {
            "model": {"enum": ["a", "b"]},
            "input": {"properties": {"items": {"items": {"properties": {"text": {}}}}}},
        },
        "x-dsrun": {"protocol": "task", "endpoint": {"path": "/p"}, "artifacts": []} | rules,
    }


@pytest.mark.parametrize("by", [["/model", "/n"], ["/n", "/model"]])
def test_a_file_of_a_model_keeps_what_depends_on_the_request(by):
    rows = {"a": {"1": "a1", "*": "a"}, "*": {"*": "other"}}
    if by[0] == "/n":
        rows = {"1": {"a": "a1", "*": "other"}, "*": {"a": "a", "*": "other"}}
    own, _ = for_model(_file(limits={"by": by, "table": rows}), "a")
    limits = own["x-dsrun"]["limits"]
    assert limits["by"] == ["/n"]
    assert [_settled(limits, {"n": number}) for number in (1, 2)] == ["a1", "a"]


@pytest.mark.parametrize(
    ("at", "by"), [("/input/items/*/text", ["/model"]), ("/input/items/0/text", [])]
)
def test_limits_of_a_model_reach_into_arrays(at, by):
    leaf = {"maxLength": 5}
    rule = {"at": at, "by": by, "table": {"*": leaf} if by else leaf}
    own, later = for_model(_file(vary=[rule]), "a")
    text = own["properties"]["input"]["properties"]["items"]["items"]["properties"]["text"]
    assert (text, later) == (leaf, [])


def test_a_field_that_a_model_lacks_is_refused_even_where_others_are_open():
    rule = {"at": "/input/items", "by": ["/model"], "table": {"a": False, "*": {}}}
    one, other = parse_operations(json.dumps(_file(vary=[rule])))
    body = {"model": "a", "input": {"items": []}}
    assert one.count_faults(body) == 1
    assert other.count_faults(body | {"model": "b"}) == 0


def test_older_forms_read_as_those_of_today():
    artifacts = {
        "media": "image",
        "list": "/output/results",
        "url": "/url",
        "error_code": "/code",
        "error_message": "/message",
        "count": "/parameters/n",
    }
    price = {"amount": "0.1", "unit": "image", "billed": "/usage/image_count"}
    file = _file(artifacts=artifacts, price=price, recovery={"by": "voice-list", "page": "/p"})
    rules = for_model(file, "a")[0]["x-dsrun"]
    (kind,) = rules["artifacts"]
    (item,) = rules["price"]["items"]
    assert kind == {
        "media": "image",
        "each": "/output/results/*",
        "at": "/url",
        "error": ["/code", "/message"],
        "asked": "/parameters/n",
    }
    assert (item["units"], item["billed"]) == ({"count": True}, ["/usage/image_count"])
    assert rules["recovery"] == {"by": "made-list", "page": "/p"}


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("/a/*/b", ["/a/0/b", "/a/2/b"]),
        ("/a/*", ["/a/0", "/a/1", "/a/2"]),
        ("/a/*/c/*", ["/a/2/c/0", "/a/2/c/1"]),
        ("/a/1", ["/a/1"]),
        ("/x/*", []),
        ("/s/*", []),
        ("/x", []),
    ],
)
def test_a_star_stands_for_each_item(pattern, found):
    document = {"a": [{"b": 1}, {}, {"b": 2, "c": [1, 2]}], "s": "text"}
    assert places(document, pattern) == found


def test_a_value_is_taken_away_from_objects_and_arrays():
    document = {"a": [{"b/c": 1}, 2]}
    for pointer in ("/a/0/b~1c", "/a/1", "/a/9", "/x/y"):
        erase(document, pointer)
    assert document == {"a": [{}]}
