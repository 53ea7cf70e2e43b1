"""The `execution` section: words to numbers, and defaults that stand in one place only."""

from dataclasses import fields
from decimal import Decimal

import orjson
import pytest

from dsrun.common.json_schema import SchemaValidator
from dsrun.common.resources import read_schema
from dsrun.common.units import Money, Rate, parse_duration, parse_limit, parse_money, parse_rate
from dsrun.manifest.execution import Execution, PeriodBudget, Retry, parse_execution

SCHEMA = orjson.loads(read_schema("manifest.json"))["$defs"]


def test_an_empty_section_is_the_defaults():
    assert parse_execution({}) == Execution()


def test_the_defaults_are_those_of_the_schema():
    given = {
        key: leaf["default"]
        for key, leaf in SCHEMA["execution"]["properties"].items()
        if "default" in leaf
    }
    given["polling"] = {
        "rate": SCHEMA["execution"]["properties"]["polling"]["properties"]["rate"]["default"]
    }
    assert parse_execution(given) == Execution()


def test_every_key_of_the_schema_is_read():
    section = {
        "concurrency": 1,
        "rate": "3/min",
        "limits": {"wanx-v1": {"requests": 5}},
        "submit_window": 2,
        "grace": "3s",
        "max_attempts": 7,
        "timeout": "90s",
        "polling": {"first": "500ms", "max": "2m", "rate": "1/s"},
        "max_cost": "40 CNY",
        "confirm_above": "0.5 CNY",
        "max_failures": 20,
        "repeat_below": "0.02 CNY",
        "prices": {"wanx-v1": {"amount": 0.1}},
        "budget": {"amount": "200 CNY", "per": "month", "timezone": "Asia/Shanghai"},
        "retry": {"failed_tasks": 2, "codes": ["InternalError.*"]},
    }
    assert section.keys() == SCHEMA["execution"]["properties"].keys()
    assert parse_execution(section) == Execution(
        concurrency=1,
        rate=Rate(requests=3, per_s=60.0),
        limits={"wanx-v1": {"requests": 5}},
        submit_window=2,
        grace_s=3.0,
        max_attempts=7,
        timeout_s=90.0,
        poll_first_s=0.5,
        poll_max_s=120.0,
        poll_rate=Rate(requests=1, per_s=1.0),
        max_cost=Money(amount=Decimal(40), currency="CNY"),
        confirm_above=Money(amount=Decimal("0.5"), currency="CNY"),
        max_failures=20,
        repeat_below=Money(amount=Decimal("0.02"), currency="CNY"),
        prices={"wanx-v1": {"amount": 0.1}},
        budget=PeriodBudget(
            amount=Money(amount=Decimal(200), currency="CNY"), per="month", timezone="Asia/Shanghai"
        ),
        retry=Retry(failed_tasks=2, codes=("InternalError.*",)),
    )
    assert len(fields(Execution)) == 17


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        pytest.param("duration", "500ms", 0.5, id="milliseconds"),
        pytest.param("duration", "90s", 90.0, id="seconds"),
        pytest.param("duration", "1.5h", 5400.0, id="a fraction of an hour"),
        pytest.param("duration", "30m", 1800.0, id="minutes"),
        pytest.param("duration", "30min", 1800.0, id="minutes, longer"),
        pytest.param("duration", "1d", 86400.0, id="a day"),
        pytest.param("duration", "2 h", 7200.0, id="a space between"),
        pytest.param("rate", "2/s", Rate(requests=2, per_s=1.0), id="a second"),
        pytest.param("rate", "100/min", Rate(requests=100, per_s=60.0), id="a minute"),
        pytest.param("rate", "500 / h", Rate(requests=500, per_s=3600.0), id="an hour, spaced"),
        pytest.param("money", "40 CNY", Money(amount=Decimal(40), currency="CNY"), id="whole"),
        pytest.param("money", "0.16CNY", Money(amount=Decimal("0.16"), currency="CNY"), id="tight"),
        pytest.param("money", "0 CNY", Money(amount=Decimal(0), currency="CNY"), id="nothing"),
    ],
)
def test_words_that_the_schema_takes_are_read(kind, text, value):
    assert SchemaValidator(SCHEMA[kind]).is_valid(text)
    assert PARSERS[kind](text) == value


@pytest.mark.parametrize("text", ["40", " 40 ", "40 CNY", "40.0"])
def test_a_limit_on_the_command_line_may_leave_the_currency_out(text):
    assert parse_limit(text) == Money(amount=Decimal(40), currency="CNY")


@pytest.mark.parametrize("text", ["", "much", "-1", "1e3", "4,0", "40 cny"])
def test_what_is_no_limit(text):
    with pytest.raises(ValueError, match="is no amount; write it as 40 CNY"):
        parse_limit(text)


NO_MONEY = ("", "40", "CNY", "40 cny", "-1 CNY", "40 CN", "40 CNY\n", "4,0 CNY", "1e3 CNY", ". CNY")
NO_DURATION = ("", "90", "s", "-1s", "1w", "1 s s", "1.s", "1s\n", "1e3s")
NO_RATE = ("", "2", "2/", "/s", "0/s", "2/d", "-2/s", "1.5/s", "2/s\n")


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        *(("money", text) for text in NO_MONEY),
        *(("duration", text) for text in NO_DURATION),
        *(("rate", text) for text in NO_RATE),
    ],
)
def test_words_that_no_one_can_read_are_refused_by_the_schema(kind, text):
    assert not SchemaValidator(SCHEMA[kind]).is_valid(text)


@pytest.mark.parametrize("text", NO_MONEY)
def test_no_money_on_the_command_line_is_refused_with_an_example(text):
    with pytest.raises(ValueError, match="is no amount; write it as 40 CNY"):
        parse_money(text)


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        pytest.param("40", "40 CNY", id="whole"),
        pytest.param("40.00", "40 CNY", id="no zeros behind"),
        pytest.param("100", "100 CNY", id="no exponent"),
        pytest.param("0.16", "0.16 CNY", id="a part"),
        pytest.param("0", "0 CNY", id="nothing"),
    ],
)
def test_money_is_shown_as_people_write_it(amount, text):
    assert str(Money(amount=Decimal(amount), currency="CNY")) == text


PARSERS = {"duration": parse_duration, "rate": parse_rate, "money": parse_money}


@pytest.mark.parametrize(
    "text", ["-1s", "1e5s", "1e400d", "nans", "infd", "1_0s", "+5s", "s", "9" * 400 + "d"]
)
def test_a_duration_that_is_no_plain_number_and_unit_is_refused(text):
    with pytest.raises(ValueError, match="no duration"):
        parse_duration(text)


def test_a_duration_beyond_all_patience_can_be_reckoned_with():
    assert parse_duration("9" * 12 + "d") == parse_duration("36500d")
