"""Limits and prices in words."""

import dataclasses

import pytest

from dsrun.common.units import Rate
from dsrun.service.catalog import load_catalog
from dsrun.service.catalog_words import limits_of, price_words, rate_words

WANX = load_catalog()["wanx-v1"]


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
    slow = dataclasses.replace(WANX, rate=Rate(requests=2, per_s=60), running_tasks=None)
    assert rate_words(slow) == "2 requests in 60 s"
    single = dataclasses.replace(WANX, rate=Rate(requests=1, per_s=1), running_tasks=None)
    assert rate_words(single) == "1 request a second"
    wide = dataclasses.replace(WANX, running_tasks=5)
    assert rate_words(wide) == "2 requests a second, 5 tasks running at once"
