"""What a run is asked for: both faces build one RunOptions, which checks its own ranges."""

import datetime as dt
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

import dsrun
from dsrun.cli.main import main
from dsrun.common.errors import UsageError
from dsrun.common.models import JobStatus
from dsrun.common.units import Money
from dsrun.session.options import PlanOptions, RunOptions, run_options
from dsrun.session.ranges import Range

PIPELINE = Path("p.yaml")


@pytest.mark.parametrize(
    ("words", "allowed"),
    [
        ({"sample": 0}, "--sample 0; allowed: at least 1"),
        ({"limit": -3}, "--limit -3; allowed: at least 1"),
        ({"concurrency": 0}, "--max-concurrency 0; allowed: 1 to 10000"),
        ({"concurrency": 10_001}, "--max-concurrency 10001; allowed: 1 to 10000"),
        ({"if_running": "hope"}, "--if-running hope; allowed: fail, skip, wait"),
        ({"date": "1969-12-31"}, "--date 1969-12-31; allowed: a year of 1970 to 2999"),
        ({"date": dt.date(3000, 1, 1)}, "--date 3000-01-01; allowed: a year of 1970 to 2999"),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else "",
)
def test_a_value_out_of_range_is_refused_by_its_flag(words, allowed):
    with pytest.raises(UsageError) as raised:
        run_options(pipeline=PIPELINE, **words)
    assert str(raised.value) == allowed


@pytest.mark.parametrize(
    "words",
    [
        {"sample": 1, "limit": 1}, {"concurrency": 1}, {"concurrency": 10_000},
        {"date": "1970-01-01"}, {"date": "2999-12-31"}, {"if_running": "wait"},
    ],
    ids=str,
)  # fmt: skip
def test_the_ends_of_a_range_belong_to_it(words):
    assert run_options(pipeline=PIPELINE, **words).pipeline == PIPELINE


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"sample": 0}, "run_sync: sample=0; allowed: at least 1"),
        ({"concurrency": 0}, "run_sync: concurrency=0; allowed: 1 to 10000"),
        ({"if_running": "hope"}, "run_sync: if_running='hope'; allowed: fail, skip, wait"),
        ({"date": "1500-01-01"}, "run_sync: date='1500-01-01'; allowed: a year of 1970 to 2999"),
        ({"date": "soon"}, "date: 'soon' is no day such as 2026-11-01"),
        ({"allow_files": "nowhere"}, "allow_files: nowhere is no folder"),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else "",
)
def test_the_python_api_names_the_keyword(words, message):
    with pytest.raises(dsrun.UsageError) as raised:
        dsrun.run_sync(PIPELINE, **words)
    assert str(raised.value) == message


@pytest.mark.parametrize(
    ("words", "flag"),
    [
        (["--sample", "0"], "--sample"),
        (["--limit", "0"], "--limit"),
        (["-j", "10001"], "--max-concurrency"),
        (["--if-running", "hope"], "--if-running"),
        (["--date", "1500-01-01"], "--date"),
        (["--max-cost", "much"], "--max-cost"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_the_command_line_names_the_flag(capsys, words, flag):
    assert main(["run", "p.yaml", *words]) == 2
    assert flag in capsys.readouterr().err


def test_a_change_of_valid_options_is_checked_too():
    with pytest.raises(UsageError, match="--date"):
        replace(PlanOptions(pipeline=PIPELINE), day=dt.date(1, 1, 1))


def test_both_faces_spell_the_same_options():
    of_command = run_options(
        pipeline=PIPELINE, out=Path("outputs"), set_params={"tone": "noir", "count": "3"},
        allow_files=(), date=dt.datetime(2026, 11, 1), steps=("posters",), max_cost="40 CNY",
    )  # fmt: skip
    of_call = run_options(
        pipeline="p.yaml", set_params={"tone": "noir", "count": 3}, date="2026-11-01",
        steps=["posters"], max_cost=Money(amount=Decimal(40), currency="CNY"),
    )  # fmt: skip
    assert of_command == of_call


@pytest.mark.parametrize(
    ("words", "again"),
    [
        ({}, set()),
        (
            {"retry_failed": True},
            {JobStatus.FAILED, JobStatus.CANCELLED, JobStatus.PARTIAL, JobStatus.SKIPPED},
        ),
        ({"resubmit_unknown": True}, {JobStatus.UNKNOWN}),
    ],
    ids=["nothing", "retry_failed", "resubmit_unknown"],
)
def test_what_is_sent_again(words, again):
    assert RunOptions(pipeline=PIPELINE, **words).sent_again == again


def test_a_range_says_what_it_allows():
    assert [str(Range(1)), str(Range(1, 366))] == ["at least 1", "1 to 366"]
