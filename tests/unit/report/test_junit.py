"""The names of the cases of a JUnit report."""

import pytest

from dsrun.common.models import JobStatus
from dsrun.report.junit import junit_report


@pytest.mark.parametrize(
    ("matrix", "name"),
    [
        ({"product": {"name": "cup", "colour": "red"}}, "4: product=cup"),
        ({"tags": ["red", 1], "on": True, "off": None}, "4: tags=red, 1, on=true, off=null"),
        ({"style": "<anime>", "seed": 7}, "4: style=&lt;anime&gt;, seed=7"),
        ({"nested": {"a": {"b": 1.5}}}, "4: nested=1.5"),
        ({}, "4"),
    ],
    ids=["a row of a file", "no words of Python", "texts", "nested", "no axes"],
)
def test_a_case_is_named_as_the_report_names_its_row(matrix, name):
    line = {
        "step": "s", "index": 4, "matrix": matrix, "status": "succeeded", "error": None,
        "submitted_at": None, "ended_at": None,
    }  # fmt: skip
    report = b"".join(junit_report("demo", {"s": {JobStatus.SUCCEEDED: 1}}, [line])).decode()
    assert f'<testcase name="{name}" classname="demo.s"' in report


@pytest.mark.parametrize(
    ("status", "error", "words"),
    [
        ("waiting", None, "waiting: not ended"),
        ("skipped", "cast 3 has no output voice", "skipped: cast 3 has no output voice"),
    ],
)
def test_a_job_that_was_not_run_is_skipped_with_its_reason(status, error, words):
    line = {
        "step": "s", "index": 0, "matrix": {}, "status": status, "submitted_at": None,
        "ended_at": None, "error": error and {"code": "ParentMissing", "message": error},
    }  # fmt: skip
    report = b"".join(junit_report("demo", {"s": {JobStatus(status): 1}}, [line])).decode()
    assert 'failures="0" errors="0" skipped="1"' in report
    assert f'<skipped message="{words}" />' in report
