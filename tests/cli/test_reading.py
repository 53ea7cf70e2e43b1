"""What a pipeline may read: its own folder, what the user allows, and regular files alone."""

import json
import os
import shutil
from pathlib import Path

import pytest

from dsrun import api
from dsrun.common.errors import ManifestError, UsageError

SECRET = "the-secret-of-another-folder"
ROLES = {
    "data": ("matrix: {x: {file: NAME}}\n    input: {prompt: '{{ x }}'}", "txt"),
    "table": ("matrix: {x: {file: NAME}}\n    input: {prompt: '{{ x.a }}'}", "csv"),
    "prompt": ("input: {prompt: {file: NAME}}", "j2"),
    "include": ("input: {prompt: \"{% include 'NAME' %}\"}", "j2"),
    "upload": ("input: {prompt: a, ref_img: {upload: NAME}}", "png"),
}


def pipeline(folder, role, name):
    body, kind = ROLES[role]
    text = f"version: 1\nname: demo\nsteps:\n  s:\n    operation: wanx-v1\n    {body}\n"
    (folder / "demo.yaml").write_text(text.replace("NAME", f"{name}.{kind}"), encoding="utf-8")
    return kind


@pytest.fixture
def shared(work):
    """A folder beside that of the pipeline."""
    folder = work.folder.parent / "shared"
    folder.mkdir()
    for kind in ("txt", "j2"):
        (folder / f"a.{kind}").write_text(SECRET, encoding="utf-8")
    (folder / "a.csv").write_text(f"a\n{SECRET}\n", encoding="utf-8")
    (folder / "a.png").write_bytes(SECRET.encode())
    return folder


@pytest.mark.parametrize("way", ["above", "absolute", "a link", "a linked folder"])
@pytest.mark.parametrize("role", ROLES)
def test_what_lies_elsewhere_is_named_and_not_shown(work, shared, role, way):
    name = {"above": "../shared/a", "absolute": f"{shared}/a", "a link": "here"}.get(way, "in/a")
    kind = pipeline(work.folder, role, name)
    (work.folder / f"here.{kind}").symlink_to(shared / f"a.{kind}")
    (work.folder / "in").symlink_to(shared)
    for command in (["validate"], ["plan"], ["run", "--emulate", "-y"], ["explain", "s/0"]):
        outcome = work.dsrun(*command, "demo.yaml")
        assert outcome.code == 2
        assert "demo.yaml:6:" in outcome.err
        assert "lies outside the folder of the manifest" in outcome.err
        assert "--allow-files DIR" in outcome.err
        assert SECRET not in outcome.out + outcome.err


@pytest.mark.parametrize("role", ["data", "table", "prompt", "include"])
def test_what_is_allowed_for_this_run_is_read(work, shared, role, monkeypatch):
    pipeline(work.folder, role, "../shared/a")
    allow = ("--allow-files", shared)
    assert work.dsrun("validate", "demo.yaml", *allow).code == 0
    assert SECRET in work.dsrun("plan", "demo.yaml", "--emulate", "--full", *allow).out
    assert work.dsrun("run", "demo.yaml", "--emulate", "-y", *allow).code == 0
    assert work.dsrun("status", "demo.yaml", "--emulate", *allow).code == 0
    assert SECRET in work.dsrun("explain", "s/0", "demo.yaml", "--emulate", *allow).out
    assert work.dsrun("ledger", "demo.yaml", "--emulate", *allow).code == 0
    assert work.dsrun("validate", "demo.yaml").code == 2
    monkeypatch.setenv("DSRUN_ALLOW_FILES", os.pathsep.join(["/usr", str(shared)]))
    assert work.dsrun("validate", "demo.yaml").code == 0


@pytest.mark.parametrize("folder", ["", "none", "demo.yaml"])
def test_a_folder_that_is_none_is_told(work, shared, folder):
    pipeline(work.folder, "data", "../shared/a")
    assert work.dsrun("validate", "demo.yaml", "--allow-files", folder).code == 2


def test_the_folder_of_a_linked_manifest_is_where_the_link_stands(work, shared):
    """Whoever names `demo.yaml` here means files here, not those beside the link's target."""
    pipeline(shared, "data", "a")
    (work.folder / "demo.yaml").symlink_to(shared / "demo.yaml")
    assert "a.txt" in work.dsrun("validate", "demo.yaml").err
    (work.folder / "a.txt").write_text("mine", encoding="utf-8")
    assert '"mine"' in work.dsrun("plan", "demo.yaml", "--emulate", "--full").out


def test_an_operation_file_that_is_a_link_out_is_refused(work, shared):
    pipeline(work.folder, "prompt", "a")
    (work.folder / "a.j2").write_text("a", encoding="utf-8")
    (work.folder / "operations").mkdir()
    (work.folder / "operations/mine.json").symlink_to(shared / "a.txt")
    for command in (["validate", "demo.yaml"], ["schema", "manifest"]):
        outcome = work.dsrun(*command)
        assert outcome.code == 2
        assert "mine.json: lies outside the folder" in outcome.err
        assert SECRET not in outcome.err


@pytest.mark.parametrize("role", ROLES)
def test_a_pipe_is_not_waited_for(work, role):
    kind = pipeline(work.folder, role, "pipe")
    os.mkfifo(work.folder / f"pipe.{kind}")
    assert work.dsrun("validate", "demo.yaml").code == 2


@pytest.mark.parametrize("name", ["demo.yaml", "manifest.lock.json", "env", "operations/a.json"])
def test_no_other_file_may_be_a_pipe_either(work, name):
    pipeline(work.folder, "prompt", "a")
    (work.folder / "a.j2").write_text("a", encoding="utf-8")
    path = work.folder / name
    path.unlink(missing_ok=True)
    path.parent.mkdir(exist_ok=True)
    os.mkfifo(path)
    pipe = "manifest.lock.json" if name == "manifest.lock.json" else "demo.yaml"
    options = ["--env-file", "env"] if name == "env" else []
    assert work.dsrun("plan", pipe, "--emulate", *options).code == 2


class TestLock:
    """A lock file names a folder itself, so the folder alone allows nothing."""

    def lock(self, work):
        return Path(os.path.realpath(work.folder / "outputs/demo/latest")) / "manifest.lock.json"

    @pytest.fixture
    def ran(self, work):
        pipeline(work.folder, "data", "a")
        (work.folder / "a.txt").write_text("a lantern", encoding="utf-8")
        assert work.dsrun("run", "demo.yaml", "--emulate", "-y").code == 0
        return self.lock(work)

    def test_it_runs_again_from_its_copies(self, work, ran):
        (work.folder / "a.txt").unlink()
        assert work.dsrun("run", ran, "--emulate", "-y").code == 0

    def test_it_runs_again_without_copies_while_the_files_are_the_same(self, work, ran):
        shutil.rmtree(ran.parent / "inputs")
        assert work.dsrun("plan", ran, "--emulate").code == 0

    def test_one_that_was_forged_reads_nothing_of_the_folder_that_it_names(self, work, shared, ran):
        lock = json.loads(ran.read_text(encoding="utf-8"))
        shutil.rmtree(ran.parent / "inputs")
        lock["root"] = str(shared)
        ran.write_text(json.dumps(lock), encoding="utf-8")
        outcome = work.dsrun("plan", ran, "--emulate", "--full")
        assert outcome.code == 2
        assert "changed since: a.txt" in outcome.err
        assert SECRET not in outcome.out + outcome.err

    @pytest.mark.parametrize("broken", [{"files": 3}, {"root": 3}, {"run": None}, {"digest": 1}])
    def test_one_that_is_damaged_is_told(self, work, ran, broken):
        lock = json.loads(ran.read_text(encoding="utf-8")) | broken
        ran.write_text(json.dumps(lock), encoding="utf-8")
        assert "no lock file of dsrun" in work.dsrun("plan", ran, "--emulate").err


def test_a_program_says_what_may_be_read(work, shared):
    pipeline(work.folder, "data", "../shared/a")
    path = work.folder / "demo.yaml"
    with pytest.raises(ManifestError, match="lies outside"):
        api.load(path)
    loaded = api.load(path, allow_files=[str(shared)])
    assert api.plan(loaded, emulate=True, out=work.folder / "o").summary["jobs"] == 1
    done = api.run_sync(path, allow_files=[shared], emulate=True, yes=True, out=work.folder / "o")
    assert done.exit_code == 0
    with pytest.raises(UsageError, match="is no folder"):
        api.plan(path, allow_files=[work.folder / "none"])
