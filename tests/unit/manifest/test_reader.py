"""Manifests: read, checked, frozen; and lock files, which say the same again."""

import dataclasses
from pathlib import Path

import orjson
import pytest

from dsrun.common import lockfile
from dsrun.common.errors import ManifestError
from dsrun.common.resources import read_schema
from dsrun.manifest.model import FORMAT_VERSION, Text, iter_texts
from dsrun.manifest.reader import load_manifest
from dsrun.planning.plan import build_plan
from dsrun.service.catalog import load_catalog
from tests.pipelines import RUN_VALUES, one_step, plan_of, read_manifest, write

PLAIN = one_step("    input: {prompt: a}\n")


def test_a_manifest_in_full(tmp_path):
    text = one_step(
        "    matrix: {a: [x]}\n    repeat: 2\n    input: {prompt: '{{ a }}'}\n"
        "    parameters: {n: 2}\n    filename: '{{ a }}'\n",
        head="description: words\nparams: {tone: soft}\n",
    )
    manifest = read_manifest(tmp_path, text)
    (step,) = manifest.steps
    assert (manifest.name, manifest.params, manifest.root) == ("test", {"tone": "soft"}, tmp_path)
    assert manifest.source == text.encode()
    assert (step.name, step.calls.one, step.repeat) == ("s", "wanx-v1", 2)
    assert step.body == {
        "input": {"prompt": Text(source="{{ a }}", at=("steps", "s", "input", "prompt"))},
        "parameters": {"n": 2},
    }
    assert step.filename == Text(source="{{ a }}", at=("steps", "s", "filename"))
    assert manifest.pinned is None


def test_a_manifest_is_frozen(tmp_path):
    manifest = read_manifest(tmp_path, PLAIN)
    with pytest.raises(dataclasses.FrozenInstanceError):
        manifest.name = "other"


def test_the_version_of_the_format_is_the_schema_s():
    schema = orjson.loads(read_schema("frame.json"))
    assert schema["properties"]["version"]["const"] == FORMAT_VERSION


@pytest.mark.parametrize(
    "section",
    [
        pytest.param("params:\n", id="params"),
        pytest.param("execution:\n", id="execution"),
        pytest.param("description:\n", id="description"),
        pytest.param("schedule:\n", id="schedule"),
    ],
)
def test_a_section_left_empty_is_told_or_taken_but_no_crash(tmp_path, section):
    try:
        read_manifest(tmp_path, one_step("    input: {prompt: a}\n", head=section))
    except ManifestError as error:
        assert [problem.line for problem in error.problems] == [3]  # noqa: PT017


def test_a_prompt_file_is_read_beside_the_manifest_and_known_by_its_content(tmp_path):
    text = one_step("    input: {prompt: {file: sub/p.j2}}\n")
    manifest = read_manifest(tmp_path, text, files={"sub/p.j2": "\ufeffone\r\ntwo\r\n"})
    (leaf,) = iter_texts(manifest.steps[0].body)
    same = read_manifest(tmp_path / "b", text, files={"sub/p.j2": "one\ntwo\n"})
    (other,) = iter_texts(same.steps[0].body)
    assert (leaf.source, leaf.file, leaf.sha256) == ("one\ntwo\n", "sub/p.j2", other.sha256)


def test_every_missing_file_of_every_step_is_told(tmp_path):
    text = one_step("    matrix: {a: {file: a.csv}}\n    input: {prompt: {file: p.j2}}\n") + (
        "  t: {operation: wanx-v2, input: {prompt: a}}\n"
    )
    with pytest.raises(ManifestError) as caught:
        read_manifest(tmp_path, text)
    assert [problem.where for problem in caught.value.problems] == [
        "steps.s.matrix.a.file",
        "steps.s.input.prompt.file",
        "steps.t.operation",
    ]


def test_a_mapping_of_more_than_file_is_no_prompt_file(tmp_path):
    with pytest.raises(ManifestError, match=r"steps\.s\.input\.prompt: found"):
        plan_of(tmp_path, one_step("    input: {prompt: {file: a, other: b}}\n")).check()


@pytest.mark.parametrize("name", ["../p.j2", "/etc/hostname"], ids=["above", "absolute"])
def test_a_file_of_the_user_s_own_may_lie_anywhere_or_is_refused_with_its_place(tmp_path, name):
    (tmp_path / "p.j2").write_text("a lantern", encoding="utf-8")
    text = one_step(f"    input: {{prompt: {{file: {name}}}}}\n")
    try:
        manifest = read_manifest(tmp_path / "in", text)
    except ManifestError as error:
        assert "steps.s.input.prompt.file" in str(error)  # noqa: PT017
    else:
        assert [leaf.file for leaf in iter_texts(manifest.steps[0].body)] == [name]


def test_a_lock_file_makes_the_plan_that_it_was_made_from(tmp_path):
    text = one_step(
        '    matrix: {row: {file: rows.csv}}\n    input: {prompt: "{{ row.a }} {{ run.date }}"}\n'
        "    parameters: {style: <anime>}\n",
        head="params: {tone: soft}\n",
    )
    plan = plan_of(tmp_path, text, files={"rows.csv": "a\nx\ny\n"})
    again = locked(tmp_path, plan, run_values={**RUN_VALUES, "date": "2099-01-01"})
    assert again.digest == plan.digest
    assert [job.body for job in again.jobs()] == [job.body for job in plan.jobs()]


def test_a_lock_file_whose_files_changed_names_them(tmp_path):
    text = one_step("    matrix: {row: {file: rows.txt}}\n    input: {prompt: '{{ row }}'}\n")
    plan = plan_of(tmp_path, text, files={"rows.txt": "x\n"})
    write(tmp_path, {"rows.txt": "y\n"})
    with pytest.raises(ManifestError, match=r"changed since: rows\.txt"):
        locked(tmp_path, plan)


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"{}", id="empty"),
        pytest.param(b"[]", id="a list"),
        pytest.param(b"{", id="half"),
        pytest.param(b'{"manifest": 1, "root": ".", "digest": "x"}', id="a number for a manifest"),
        pytest.param(b'{"manifest": {}, "root": 1, "digest": "x"}', id="a number for a folder"),
    ],
)
def test_what_is_no_lock_file_is_told(tmp_path, content):
    (tmp_path / lockfile.NAME).write_bytes(content)
    with pytest.raises(ManifestError):
        load_manifest(tmp_path / lockfile.NAME, catalog=load_catalog())


def test_the_manifest_itself_is_given_by_any_path(tmp_path, monkeypatch):
    write(tmp_path, {"sub/p.yaml": PLAIN})
    monkeypatch.chdir(tmp_path)
    assert load_manifest(Path("sub/p.yaml"), catalog=load_catalog()).root == Path("sub")


def locked(folder, plan, *, run_values=None):
    """The plan of a lock file written as a run writes it."""
    lock = {
        "digest": plan.digest,
        "root": str(plan.manifest.root),
        "run": dict(plan.run_values),
        "files": {},
        "manifest": plan.manifest.raw,
    }
    files = {
        name: data.sha256
        for step in plan.manifest.steps
        for name, data in step.matrix.files.items()
    }
    path = folder / "run" / lockfile.NAME
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(orjson.dumps(lock | {"files": files}, option=orjson.OPT_INDENT_2))
    catalog = load_catalog()
    manifest = load_manifest(path, catalog=catalog)
    return build_plan(manifest, catalog=catalog, run_values=run_values or RUN_VALUES)
