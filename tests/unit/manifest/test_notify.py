"""The notify section: what is wrong with it is told before anything runs."""

from pathlib import Path

import pytest

from dsrun.common.models import JobStatus
from dsrun.common.run_summary import RunEnd
from dsrun.manifest.notify import DEFAULT_ON, FromEnvironment, read_notify


def read(section, tmp_path):
    problems = []
    notify = read_notify(
        section, root=tmp_path, complain=lambda at, words: problems.append((at, words))
    )
    return notify, problems


def end(outcome="failure", **others):
    known = {
        "pipeline": "p", "outcome": outcome, "exit_code": 1, "reason": None, "host": "h",
        "emulated": False, "started_at": "", "ended_at": "", "duration_s": 1.0,
        "directory": "/d", "results": "/d/results.jsonl", "report": None,
        "jobs": {JobStatus.FAILED: 2}, "errors": (("Bad", 'a "word"', 2),),
    }  # fmt: skip
    return RunEnd(**(known | others))


def test_no_section_is_no_notice(tmp_path):
    assert read(None, tmp_path) == (None, [])


def test_failure_and_recovery_are_told_where_nothing_is_said(tmp_path):
    notify, problems = read({"command": ["true"]}, tmp_path)
    assert problems == []
    assert notify.on == DEFAULT_ON
    told = {word: notify.wants(end(word)) for word in ("failure", "recovery", "success")}
    assert told == {"failure": True, "recovery": True, "success": False}


@pytest.mark.parametrize("outcome", ["success", "failure", "recovery", "interrupted"])
def test_always_is_every_end(tmp_path, outcome):
    notify, _ = read({"on": "always", "command": ["true"]}, tmp_path)
    assert notify.wants(end(outcome))


def test_one_word_or_a_list_say_when(tmp_path):
    one, _ = read({"on": "recovery", "command": ["true"]}, tmp_path)
    many, _ = read({"on": ["recovery"], "command": ["true"]}, tmp_path)
    assert one.on == many.on == {"recovery"}


def test_values_may_stand_in_the_environment(tmp_path):
    section = {"url": {"env": "HOOK"}, "headers": {"X": {"env": "WORD"}, "Y": "plain"}}
    notify, problems = read(section, tmp_path)
    assert problems == []
    assert notify.url == FromEnvironment(name="HOOK")
    assert notify.headers == {"X": FromEnvironment(name="WORD"), "Y": "plain"}


def test_without_a_payload_all_that_is_known_is_sent(tmp_path):
    notify, _ = read({"command": ["true"]}, tmp_path)
    assert notify.payload_of(end()) == end().as_json()


def test_a_payload_is_a_template_in_all_its_texts_and_keeps_types(tmp_path):
    payload = {
        "text": "{{ pipeline }}: {{ errors[0].message }}",
        "rows": ["{{ jobs.failed }}", 3, None],
    }
    notify, _ = read({"command": ["true"], "payload": payload}, tmp_path)
    assert notify.payload_of(end()) == {"text": 'p: a "word"', "rows": [2, 3, None]}


@pytest.mark.parametrize(
    ("section", "at", "words"),
    [
        ({}, ("notify",), "url, command"),
        ({"url": "hooks.example/x"}, ("notify", "url"), "{env: NAME}"),
        ({"url": "file:///etc/passwd"}, ("notify", "url"), "no http address"),
        ({"url": "http://[x"}, ("notify", "url"), "no http address"),
        ({"command": ["x"], "payload": "{{ pipelin }}"}, ("notify", "payload"), "pipelin"),
        ({"command": ["x"], "payload": {"a": ["{% if %}"]}}, ("notify", "payload"), "template"),
        ({"command": ["x"], "payload": "{{ env.KEY }}"}, ("notify", "payload"), "a notice has"),
    ],
)
def test_a_problem_says_where_and_what_is_allowed(tmp_path, section, at, words):
    _, ((place, told),) = read(section, Path(tmp_path))
    assert place == at
    assert words in told
