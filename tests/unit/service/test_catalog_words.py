"""Limits and prices in words."""

import dataclasses

import pytest

from dsrun.common.units import Rate
from dsrun.service.catalog import load_catalog
from dsrun.service.catalog_words import limit_words, limits_of, price_words, rate_text, rate_words
from dsrun.service.operation import Limits

WANX = load_catalog()["wanx-v1"]


def allowed(**limits):
    return dataclasses.replace(WANX, limits=Limits(**limits))


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        pytest.param({"type": "integer", "minimum": 1, "maximum": 4}, "integer, 1 to 4", id="both"),
        pytest.param({"type": "number", "minimum": 0}, "number, at least 0", id="lowest"),
        pytest.param({"type": "number", "maximum": 1}, "number, at most 1", id="highest"),
        pytest.param(
            {"type": "string", "maxLength": 800}, "string, at most 800 characters", id="length"
        ),
        pytest.param({"type": ["integer", "null"]}, "integer or null", id="two types"),
        pytest.param(
            {"type": "array", "minItems": 2, "maxItems": 3}, "array, 2 to 3 items", id="items"
        ),
        pytest.param({}, "", id="nothing"),
    ],
)
def test_limits(schema, words):
    assert limits_of(schema) == words


def test_a_price_has_its_unit_and_date():
    assert price_words(WANX) == "0.16 CNY an image (2026-06)"
    voice = load_catalog()["qwen-voice-design"]
    assert price_words(voice) == "0.2 CNY a voice (2026-06)"


def test_a_rate_has_its_span_and_the_running_tasks():
    assert rate_words(WANX) == "2 requests a second, 1 task running at once"
    slow = allowed(rate=Rate(requests=2, per_s=60))
    assert rate_words(slow) == "2 requests a minute"
    odd = allowed(rate=Rate(requests=2, per_s=6))
    assert rate_words(odd) == "2 requests in 6 s"
    single = allowed(rate=Rate(requests=1, per_s=1))
    assert rate_words(single) == "1 request a second"
    wide = allowed(rate=Rate(requests=2, per_s=1), running_tasks=5)
    assert rate_words(wide) == "2 requests a second, 5 tasks running at once"


@pytest.mark.parametrize(
    ("limits", "words"),
    [
        ({"running_tasks": 1, "queued_tasks": 500}, "1 task running at once, 500 open"),
        ({"tokens": Rate(requests=120000, per_s=6)}, "120000 tokens in 6 s"),
        (
            {"group": "kling", "group_running": 10},
            "shared by all models of kling, 10 open together",
        ),
        ({"scope": "key"}, "; counted by key"),
    ],
)
def test_limits_are_told_in_one_sentence(limits, words):
    told = limit_words(Limits(rate=Rate(requests=2, per_s=1), **limits))
    assert told.startswith("2 requests a second")
    assert words in told


@pytest.mark.parametrize(
    ("rate", "text"), [((2, 1), "2/s"), ((5, 60), "5/min"), ((9, 3600), "9/h"), ((3, 6), "3/6s")]
)
def test_a_rate_is_short_in_a_table(rate, text):
    assert rate_text(Rate(requests=rate[0], per_s=rate[1])) == text
