"""A table gives each request its value."""

import pytest

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
