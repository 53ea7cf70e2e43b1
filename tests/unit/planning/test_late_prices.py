"""What a request costs at most while a text that its price counts is not known."""

import json

import pytest

from dsrun.common.late import Late, LateFilter, LateText
from dsrun.common.resources import read_schema
from dsrun.planning.late_prices import LatePrices, needed_now
from dsrun.service.operation_file import parse_operation
from dsrun.service.request import planned_units

JOB = "0" * 64
TTS = json.loads(read_schema("operations/qwen3-tts.json"))


def operation(*, units, limit=20, amount="1"):
    """An operation that pays for units of its request."""
    schema = json.loads(json.dumps(TTS))
    text = schema["properties"]["input"]["properties"]["text"]
    text.pop("maxLength")
    if limit is not None:
        text["maxLength"] = limit
    schema["x-dsrun"]["price"]["items"] = [{"unit": "piece", "amount": amount, "units": units}]
    schema["x-dsrun"]["limits"] = {"requests": 1, "per_s": 1}
    return parse_operation("tts", schema)


def late(*filters):
    return Late(job_id=JOB, at="/output/text", filters=filters)


def cost(value, **about):
    """The cost of a request with this text, and whether it is a bound."""
    of = operation(**about)
    at = ("input", "text")
    form = value if isinstance(value, str) else value.as_json()
    request = {"model": "m", "input": {"text": form, "voice": "v"}}
    values = {} if isinstance(value, str) else {at: value}
    priced = LatePrices(of).priced(request, values)
    units = planned_units(priced.request, of)
    return (None if units is None else of.price.of(units).amount), priced.is_bound


CHARS = {"chars": ["/input/text"]}
WIDE = {**CHARS, "wide": 2}
TOKENS = {"tokens": ["/input/text"]}
CUT = LateFilter("truncate", (5, True, "", 0))


@pytest.mark.parametrize(
    ("value", "units", "amount"),
    [
        ("abc", CHARS, 3),
        (late(), CHARS, 20),
        (LateText(("abc", late())), CHARS, 20),
        (LateText(("abc", late(), late())), CHARS, 20),
        (late(), WIDE, 40),
        (LateText(("abc", late())), WIDE, 37),
        (late(), TOKENS, 80),
        (LateText(("abc", late())), TOKENS, 3 + 17 * 4),
        (late(CUT), CHARS, 5),
        (late(CUT, LateFilter("trim")), CHARS, 5),
        (LateText(("abc", late(CUT), late(CUT))), CHARS, 13),
        (LateText(("abc", late(CUT), late())), CHARS, 20),
        (late(LateFilter("truncate", (5,))), CHARS, 10),
        (late(LateFilter("truncate", (400,))), CHARS, 20),
        (late(CUT, LateFilter("upper")), CHARS, 20),
        (late(CUT, LateFilter("replace", ("a", "aaaa"))), CHARS, 20),
        (late(LateFilter("replace", ("a", "aaaa")), CUT), CHARS, 5),
        (late(LateFilter("truncate", ("5",))), CHARS, 20),
        (late(LateFilter("truncate", (1, True, "...", 0))), CHARS, 20),
        (late(), {"count": True, "times": CHARS}, 20),
    ],
)
def test_a_late_text_counts_at_most_what_may_still_come(value, units, amount):
    assert cost(value, units=units) == (amount, not isinstance(value, str))


@pytest.mark.parametrize("units", [CHARS, WIDE, TOKENS])
@pytest.mark.parametrize("value", [late(), LateText(("abc", late()))])
def test_without_a_limit_nobody_can_tell(value, units):
    assert cost(value, units=units, limit=None) == (None, True)


def test_without_a_limit_what_truncate_leaves_is_one():
    assert cost(late(CUT), units=CHARS, limit=None) == (5, True)


def test_without_a_limit_the_price_s_own_bound_counts():
    assert cost(late(), units={**CHARS, "most": 7}, limit=None) == (7, True)


def test_what_the_price_does_not_count_bounds_nothing():
    assert cost(late(), units={"count": True}) == (1, False)


@pytest.mark.parametrize(
    ("units", "amount"),
    [
        ({"value": "/parameters/seconds"}, "1"),
        ({"items": "/parameters/seconds"}, "1"),
        ({"count": True}, {"by": ["/parameters/seconds"], "table": {"*": "1"}}),
        ({"count": True, "times": {"value": "/parameters/seconds"}}, "1"),
    ],
)
def test_what_a_price_looks_up_or_multiplies_must_be_known(units, amount):
    assert ("parameters", "seconds") in set(needed_now(operation(units=units, amount=amount)))


def test_a_text_that_a_price_counts_may_be_late():
    assert ("input", "text") not in set(needed_now(operation(units=CHARS)))
