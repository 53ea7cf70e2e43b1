"""Axes that run through a step, as they are written in a manifest."""

import pytest

from dsrun.manifest.matrix import StepSource
from dsrun.manifest.reader import read_manifest
from dsrun.service.catalog import load_catalog

CATALOG = load_catalog()
HEAD = """\
version: 1
name: book
steps:
  cast:
    operation: wanx-v1
    matrix: {who: [Mia, Mira]}
    input: {prompt: "{{ who }}"}
"""


def read(tmp_path, steps):
    path = tmp_path / "book.yaml"
    path.write_text(HEAD + steps)
    return read_manifest(path, catalog=CATALOG)


def speech(matrix):
    return f"  speech:\n    operation: wanx-v1\n    matrix: {matrix}\n    input: {{prompt: a}}\n"


@pytest.mark.parametrize(
    ("axis", "source"),
    [
        ("{step: cast}", StepSource("cast")),
        ("{step: cast, each: artifact}", StepSource("cast", each=True)),
        ("{step: cast, group_by: who}", StepSource("cast", group_by="who")),
        ("{step: cast, each: artifact, only: picks.txt}",
         StepSource("cast", each=True, only="picks.txt")),
    ],
)  # fmt: skip
def test_an_axis_runs_through_a_step_above(tmp_path, axis, source):
    manifest = read(tmp_path, speech(f"{{voice: {axis}, where: voice.who == 'Mia'}}"))
    matrix = manifest.steps[1].matrix
    assert matrix.axes[0].source == source
    assert matrix.where == "voice.who == 'Mia'"


@pytest.mark.parametrize(
    ("matrix", "where", "words"),
    [
        ("{voice: {step: casts}}", "speech.matrix.voice.step", "did you mean cast?"),
        ("{voice: {step: speech}}", "speech.matrix.voice.step", "a step that stands above: cast"),
        ("{voice: {step: later}}", "speech.matrix.voice.step", "a step that stands above: cast"),
        ("{voice: {step: cast, each: row}}", "speech.matrix.voice.each", "artifact"),
        ("{voice: {step: cast, each: artifact, group_by: who}}", "voice", "not both"),
        ("{voice: {step: cast, glob: '*'}}", "voice.glob", "allowed: each, group_by"),
        ("{voice: {file: a.csv, each: artifact}}", "voice.each", "unknown key"),
        ("{voice: {stp: cast}}", "voice.stp", "did you mean step?"),
        ("{voice: {step: cast}, n: [1], zip: [n, voice]}", "matrix.zip[1]", "cannot be zipped"),
        ("{n: [1], where: 7}", "matrix.where", "allowed: a string"),
    ],
)
def test_what_no_axis_can_be_is_told_at_its_place(tmp_path, matrix, where, words):
    manifest = read(tmp_path, speech(matrix))
    told = [(problem.where, problem.message) for problem in manifest.problems]
    assert any(where in place and words in message for place, message in told), told


def test_the_first_step_has_none_to_build_on(tmp_path):
    path = tmp_path / "book.yaml"
    path.write_text(HEAD.replace("[Mia, Mira]", "{step: cast}"))
    problems = read_manifest(path, catalog=CATALOG).problems
    words = "this step is first; write it below the step that it builds on"
    assert any(words in problem.message for problem in problems)


@pytest.mark.parametrize(
    ("was", "now", "where"),
    [
        ("    matrix", "    colour: red\n    matrix", "steps.cast.colour"),
        ("[Mia, Mira]", "Mia", "steps.cast.matrix.who"),
        ("[Mia, Mira]", "{file: no.csv}", "steps.cast.matrix.who.file"),
        ("operation: wanx-v1", "operation: wanx", "steps.cast.operation"),
        ("    operation: wanx-v1\n", "", "steps.cast.operation"),
    ],
)
def test_a_step_that_builds_on_one_with_a_fault_is_not_blamed(tmp_path, was, now, where):
    path = tmp_path / "book.yaml"
    path.write_text(HEAD.replace(was, now) + speech("{voice: {step: cast}}"))
    problems = read_manifest(path, catalog=CATALOG).problems
    assert [problem.where for problem in problems] == [where]


def test_a_step_that_stands_too_low_is_told_where_to_go(tmp_path):
    later = speech("{n: [1]}").replace("speech", "later")
    problems = read(tmp_path, speech("{voice: {step: later}}") + later).problems
    words = 'found "later", which stands below speech; move speech under it'
    assert [problem.message for problem in problems] == [words]
