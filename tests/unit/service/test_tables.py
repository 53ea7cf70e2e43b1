"""A table gives each request its value."""

import orjson
import pytest

from dsrun.common.errors import ManifestError
from dsrun.common.resources import iter_operation_files, read_schema
from dsrun.service.catalog import load_catalog
from dsrun.service.editor_schema import manifest_schema
from dsrun.service.request import fill_request
from dsrun.service.tables import Table, lookup, parse_table, specialised

_RATES = {
    "by": ["/model", "/parameters/resolution", "/parameters/audio"],
    "table": {
        "flash": {"720P": {"false": "0.15", "*": "0.30"}, "1080P": {"*": "0.50"}},
        "plus | max": {"480P | 720P": {"*": "0.60"}, "-": {"-": "0.70", "true": "0.80"}},
    },
}


@pytest.mark.parametrize(
    ("request_", "value"),
    [
        ({"model": "flash", "parameters": {"resolution": "720P", "audio": False}}, "0.15"),
        ({"model": "flash", "parameters": {"resolution": "720P", "audio": True}}, "0.30"),
        ({"model": "flash", "parameters": {"resolution": "720P"}}, "0.30"),
        ({"model": "max", "parameters": {"resolution": "480P"}}, "0.60"),
        ({"model": "plus"}, "0.70"),
        ({"model": "plus", "parameters": {"resolution": None, "audio": True}}, "0.80"),
    ],
)
def test_a_request_gets_the_leaf_of_its_own_values(request_, value):
    assert lookup(parse_table(_RATES, str), request_) == value
    own = parse_table(specialised(_RATES, request_["model"]), str)
    assert isinstance(own, Table)
    assert lookup(own, request_) == value


@pytest.mark.parametrize(
    ("value", "key"),
    [(True, "true"), (False, "false"), (5, "5"), (5.0, "5"), (0.5, "0.5"), (None, "-"),
     ("1024*1024", "1024*1024"), ("a | b", "*"), ([1], "*"), ({}, "*"), ("", "*")],
)  # fmt: skip
def test_a_key_is_a_value_as_text(value, key):
    rows = {key: "it", **({} if key == "*" else {"*": "another"})}
    assert lookup(parse_table({"by": ["/x"], "table": rows}, str), {"x": value}) == "it"


def test_others_come_last_wherever_they_stand():
    table = parse_table({"by": ["/x"], "table": {"*": "others", "a | b": "b"}}, str)
    assert lookup(table, {"x": "b"}) == "b"
    assert lookup(table, {"x": "c"}) == "others"


def test_what_is_no_table_is_its_own_value_and_a_missing_row_is_told():
    assert lookup(parse_table("0.20", str), {}) == "0.20"
    with pytest.raises(KeyError, match="a table"):
        lookup(parse_table({"by": ["/x"], "table": {"a": "1"}}, str), {"x": "b"})


def test_a_table_by_other_fields_is_left_to_each_request():
    other = {"by": ["/parameters/size"], "table": {"2K": 1, "*": 2}}
    assert specialised({"amount": other}, "any") == {"amount": other}


@pytest.fixture
def told(tmp_path):
    """What is said of wan-t2i with another amount, by place."""

    def loader(amount, fill=None, asked="/parameters/n"):
        schema = orjson.loads(dict(iter_operation_files())["wan-t2i"])
        models = [f"my-{number}" for number in range(3)]
        schema["properties"]["model"]["enum"] = models
        about = schema["x-dsrun"]
        about["vary"], about["limits"] = [], {"requests": 1, "per_s": 1}
        about["fill"] = [{"at": "/parameters/n", "value": 1}, *([fill] if fill else [])]
        about["price"]["items"][0]["amount"] = amount
        about["artifacts"][0]["asked"] = asked
        (tmp_path / "mine.json").write_bytes(orjson.dumps(schema))
        try:
            load_catalog(tmp_path)
        except ManifestError as error:
            return {problem.where: problem.message for problem in error.problems}
        return {}

    return loader


INNER = {"by": ["/model"], "table": {"*": "1"}}
BY_MODEL, BY_N = ["/model"], ["/model", "/parameters/n"]


@pytest.mark.parametrize(
    ("amount", "where", "words"),
    [
        ({"by": BY_MODEL, "table": {"my-0": "1"}}, "table", "no row for my-1, my-2, and none"),
        ({"by": BY_MODEL, "table": {"my-3": "1", "*": "1"}}, "table.my-3", "did you mean my-"),
        ({"by": BY_MODEL, "table": {"my-0 | my-1": "1", "my-1": "2", "*": "3"}}, "table", "2 rows"),
        ({"by": BY_MODEL, "table": {"*": 0.2}}, "table.*", "an amount as text"),
        ({"by": BY_MODEL, "table": {"*": None}}, "table.*", "an amount as text"),
        ({"by": BY_MODEL, "table": {"*": {"1": "1"}}}, "table.*", "`by` names 1"),
        ({"by": BY_MODEL, "table": {"*": INNER}}, "table.*", "is a table in a table"),
        ({"by": BY_MODEL, "table": {}}, "table", "at least 1"),
        ({"by": [], "table": {"*": "1"}}, "by", "at least 1"),
        ({"by": BY_N, "table": {"*": "1"}}, "table.*", "allowed: rows by /parameters/n"),
        ({"by": BY_N, "table": {"*": {"1": "-1"}}}, "table.*.1", "an amount as text"),
        ({"by": BY_N, "table": {"*": {"1": "1"}}}, "amount", "/parameters/n may have any value"),
        ({"by": ["/parameters/m"], "table": {"*": "1"}}, "by[0]", "which no request can have"),
        (
            {"by": ["/parameters/prompt_extend"], "table": {"true": "1", "false": "2"}}, "amount",
            "no row for a request without /parameters/prompt_extend",
        ),
        (
            {"by": ["/parameters/prompt_extend"], "table": {"true": "1", "-": "2"}}, "amount",
            "no row for false",
        ),
    ],
)  # fmt: skip
def test_a_wrong_table_is_told_at_its_place(told, amount, where, words):
    found = told(amount)
    place = f"x-dsrun.price.items[0].{'' if where == 'amount' else 'amount.'}{where}"
    assert place in found, found
    assert words in found[place]


@pytest.mark.parametrize(
    "amount",
    [
        {"by": BY_MODEL, "table": {"my-0 | my-2": "1", "my-1": "2"}},
        {"by": BY_N, "table": {"my-0": {"1 | 2": "1", "*": "2"}, "*": {"*": "0"}}},
        {"by": ["/parameters/n", "/model"], "table": {"*": {"*": "1"}}},
        {"by": ["/parameters/prompt_extend"], "table": {"true": "1", "false | -": "2"}},
    ],
)
def test_a_whole_table_is_taken(told, amount):
    assert told(amount) == {}


@pytest.mark.parametrize("is_bound", [False, True])
def test_a_count_has_a_row_for_every_request(told, is_bound):
    table = {"by": ["/parameters/n"], "table": {"1": 1, "2": 2}}
    asked = {"at": table, "at_most": True} if is_bound else table
    place = "x-dsrun.artifacts[0].asked" + (".at" if is_bound else "")
    assert "/parameters/n may have any value" in told("1", asked=asked)[place]
    table["table"]["*"] = 3
    assert told("1", asked=asked) == {}


def test_a_filled_value_may_be_a_table_and_a_null_fills_nothing(told):
    fill = {"at": "/parameters/prompt_extend"}
    by = {"by": ["/parameters/n"], "table": {"1": True, "*": None}}
    assert told("1", fill | {"value": by}) == {}
    by["table"]["2"] = "yes"
    (where,) = told("1", fill | {"value": by})
    assert where == "x-dsrun.fill[1].value.table.2"


def test_what_is_filled_is_looked_up_with_the_request(tmp_path):
    schema = orjson.loads(dict(iter_operation_files())["wan-t2i"])
    schema["properties"]["model"]["enum"] = ["plain", "wise"]
    about = schema["x-dsrun"]
    about["vary"], about["limits"] = [], {"requests": 1, "per_s": 1}
    about["price"]["items"][0]["amount"] = "1"
    at = "/parameters/prompt_extend"
    value = {"by": ["/model", "/parameters/size"], "table": {"wise": {"512*512": True, "*": None}}}
    value["table"]["plain"] = {"*": None}
    about["fill"] = [{"at": "/parameters/n", "value": 1}, {"at": at, "value": value}]
    (tmp_path / "mine.json").write_bytes(orjson.dumps(schema))
    catalog = load_catalog(tmp_path)
    for model, size, found in [
        ("wise", "512*512", True),
        ("wise", "9*9", None),
        ("plain", "", None),
    ]:
        request = {"model": model, "parameters": {"size": size}}
        fill_request(request, operation=catalog[model], replica=0)
        assert request["parameters"].get("prompt_extend") == found
    frame = orjson.loads(read_schema("frame.json"))
    assert b"True when absent" in orjson.dumps(manifest_schema(frame, [catalog["wise"]]))
