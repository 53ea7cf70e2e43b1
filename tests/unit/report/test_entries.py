"""Lines of results.jsonl as entries and pictures of a report."""

import pytest

from dsrun.report.entries import advise, label_of


@pytest.mark.parametrize(
    ("value", "label"),
    [
        ("<anime>", "<anime>"),
        (7, "7"),
        (None, "null"),
        (True, "true"),
        ({"name": "tea house", "colour": "red"}, "tea house"),
        ({}, ""),
        (["a", 1], "a, 1"),
    ],
)
def test_a_value_of_an_axis_in_words(value, label):
    assert label_of(value) == label


@pytest.mark.parametrize(
    ("status", "code", "words"),
    [
        ("failed", "DataInspectionFailed", "reword the prompt"),
        ("failed", "data_inspection_failed", "reword the prompt"),
        ("failed", "Arrearage", "account"),
        ("failed", "NeverHeardOf", "--retry-failed"),
        ("partial", "DataInspectionFailed", "What came is kept"),
        ("unknown", "AnswerLost", "--resubmit-unknown"),
    ],
)
def test_what_to_do_about_an_error(status, code, words):
    assert words in advise(
        status, {"code": code, "message": "", "class": "job"}, again="dsrun demo.yaml"
    )


def test_a_success_needs_no_advice():
    assert advise("succeeded", None, again="dsrun demo.yaml") is None
