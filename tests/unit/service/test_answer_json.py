"""JSON of a foreign server: what can be carried is, the rest is no answer."""

import json
from dataclasses import replace

import pytest

from dsrun.service.answer_json import LONGEST_WORDS, parse_answer
from dsrun.service.catalog import load_catalog
from dsrun.service.classify import error_of
from dsrun.service.operation import ArtifactSpec
from dsrun.service.replies import request_id_of
from dsrun.service.results import read_results

WANX = load_catalog()["wanx-v1"]


@pytest.mark.parametrize("value", [{}, {"output": {"task_id": "t"}}, [1, [2]], "text", None, 1.5])
def test_an_answer_is_its_json(value):
    assert parse_answer(json.dumps(value).encode()) == value


@pytest.mark.parametrize("body", [b"", b"<html>", b'{"a":', b'{"a": "\xff"}', b'"\\ud800"', b"NaN"])
def test_what_is_no_json_is_none(body):
    assert parse_answer(body) is None


@pytest.mark.parametrize(
    ("levels", "is_read"), [(90, True), (100, True), (101, False), (300, False), (10**6, False)]
)
@pytest.mark.parametrize(("opening", "closing"), [(b"[", b"]"), (b'{"a":', b"}")])
def test_no_answer_is_deeper_than_a_ledger_can_write(levels, is_read, opening, closing):
    body = opening * levels + b"1" + closing * levels
    assert (parse_answer(body) is not None) is is_read


def test_a_wide_answer_is_not_a_deep_one():
    assert len(parse_answer(b"[" + b",".join([b"[1]"] * 10_000) + b"]")) == 10_000


@pytest.mark.parametrize("item", [b"[]", b"{}", b"0", b'""', b'{"a":[]}'])
def test_no_answer_has_more_values_than_memory_can_hold(item):
    assert parse_answer(b"[" + b",".join([item] * 100_001) + b"]") is None


def test_a_text_may_be_long_and_have_any_signs():
    text = "a,[{" * 10_000 + "A" * 10_000_000
    assert parse_answer(json.dumps({"data": text}).encode()) == {"data": text}


def test_words_of_errors_are_cut_wherever_they_stand():
    long = "no " * 10_000
    spec = {"media": "image", "each": "/output/results/*", "at": "/url"}
    one = ArtifactSpec(**spec, error=("/code", "/message"))
    item = {"code": long, "message": long}
    [missing] = read_results(replace(WANX, artifacts=(one,)), {"output": {"results": [item]}})
    body = {"code": long, "message": long, "request_id": long}
    told = [*error_of({"error": {"msg": long}}), *error_of(body), request_id_of(body, {})]
    kept = [text for text in (missing.code, missing.message, *told) if text]
    assert {len(text) for text in kept} == {LONGEST_WORDS}
    assert all(text.startswith("no no") and text.endswith(" ...") for text in kept)


def test_what_was_paid_for_is_never_cut():
    long = "no " * 10_000
    payload = {"output": {"message": long, "results": [{"code": long, "request_id": long}]}}
    assert parse_answer(json.dumps(payload).encode()) == payload


def test_words_that_are_no_text_stay():
    body = {"code": 1, "message": {"content": "x" * 10_000}}
    assert parse_answer(json.dumps(body).encode()) == body
