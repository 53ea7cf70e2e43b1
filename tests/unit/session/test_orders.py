"""What may be ordered of a run, in the words of a command line."""

import pytest

from dsrun.common.errors import UsageError
from dsrun.common.units import Rate, parse_rate
from dsrun.session.orders import (
    Changes,
    read_changes,
    read_words,
    settings_in,
    slower,
    value_of,
    words_of,
)


def test_settings_come_back_as_they_were_typed():
    settings = read_words(["concurrency=8", "rate=100/min", "max_cost=40 CNY"])
    value = value_of(settings)
    assert settings_in(value) == settings
    assert words_of("set", value) == "set concurrency=8 rate=100/min max_cost=40 CNY"
    assert words_of("pause", None) == "pause"
    changes = read_changes(settings)
    assert (changes.concurrency, changes.rate) == (8, parse_rate("100/min"))
    assert str(changes.max_cost) == "40 CNY"


def test_what_is_not_set_stays():
    assert read_changes({"concurrency": "3"}) == Changes(concurrency=3)


@pytest.mark.parametrize("value", [None, "", "[]", "{", "3"])
def test_settings_of_a_spoiled_order_are_refused(value):
    with pytest.raises(UsageError, match="cannot be read"):
        settings_in(value)


@pytest.mark.parametrize(
    "settings",
    [{"concurrency": None}, {"concurrency": [8]}, {"concurrency": True}, {"rate": 2}, {"rate": {}},
     {"max_cost": None}, {"max_cost": -1}, {"max_cost": "NaN"}, {"rate": "1e9/s"}, {}],
)  # fmt: skip
def test_values_of_a_spoiled_order_are_refused(settings):
    with pytest.raises(UsageError):
        read_changes(settings)


@pytest.mark.parametrize(
    ("bound", "wanted", "given"),
    [("2/s", "1/s", "1/s"), ("2/s", "2/s", "2/s"), ("2/s", "100/min", "100/min"),
     ("2/s", "3/s", "2/s"), ("10/min", "1/s", "10/min"), ("120/min", "2/s", "120/min")],
)  # fmt: skip
def test_the_slower_rate_is_in_force(bound, wanted, given):
    rate = slower(parse_rate(bound), parse_rate(wanted))
    assert rate == parse_rate(given)
    assert isinstance(rate, Rate)
