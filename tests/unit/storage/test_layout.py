"""The output directory as paths."""

from pathlib import Path

import pytest

from dsrun.storage.layout import RunLayout, run_dirs

DIGEST = "3f9c0a1b2c4d" + "0" * 52


def test_a_run_is_named_by_pipeline_and_digest():
    layout = RunLayout.for_plan(out=Path("outputs"), name="lanterns", digest=DIGEST, emulated=False)
    assert layout.run_dir == Path("outputs/lanterns/3f9c0a1b2c4d")
    assert layout.latest == Path("outputs/lanterns/latest")
    assert layout.ledger == layout.run_dir / "ledger.sqlite3"
    assert layout.results == layout.run_dir / "results.jsonl"


def test_an_emulated_run_never_shares_a_folder_with_a_real_one():
    layout = RunLayout.for_plan(out=Path("outputs"), name="lanterns", digest=DIGEST, emulated=True)
    assert layout.run_dir == Path("outputs/lanterns/emulated-3f9c0a1b2c4d")


@pytest.mark.parametrize(
    ("target", "is_real"),
    [("3f9c0a1b2c4d", True), ("emulated-3f9c0a1b2c4d", False), (None, False)],
    ids=["real", "emulated", "none yet"],
)
def test_latest_is_real_only_where_it_names_a_real_run(tmp_path, target, is_real):
    layout = RunLayout.for_plan(out=tmp_path, name="lanterns", digest=DIGEST, emulated=True)
    layout.pipeline_dir.mkdir()
    if target:
        layout.latest.symlink_to(target)
    assert layout.latest_is_real() is is_real


@pytest.mark.parametrize("emulated", [False, True])
def test_a_run_directory_alone_says_all_that_its_plan_said(emulated):
    planned = RunLayout.for_plan(out=Path("o"), name="lanterns", digest=DIGEST, emulated=emulated)
    found = RunLayout.of(planned.run_dir)
    assert found == planned
    assert (found.out, found.name, found.emulated) == (Path("o"), "lanterns", emulated)


@pytest.mark.parametrize("run_dir", [Path(), Path("copy of a run"), Path("/")])
def test_any_folder_can_be_looked_at_as_a_run_directory(run_dir):
    layout = RunLayout.of(run_dir)
    assert layout.ledger == run_dir / "ledger.sqlite3"
    assert layout.lockfile == run_dir / "manifest.lock.json"
    assert not layout.emulated


def test_run_directories_are_listed_once_whatever_links_lead_to_them(tmp_path):
    for name in ("b/2", "a/1", "a/emulated-1", "a/empty"):
        (tmp_path / name).mkdir(parents=True)
        if "empty" not in name:
            RunLayout.of(tmp_path / name).ledger.touch()
    (tmp_path / "a/latest").symlink_to("1")
    RunLayout.of(tmp_path / "a/1").lock.touch()
    assert run_dirs(tmp_path) == [tmp_path / name for name in ("a/1", "a/emulated-1", "b/2")]
    assert run_dirs(tmp_path, pipeline="b") == [tmp_path / "b/2"]
    assert run_dirs(tmp_path, holding=".lock") == [tmp_path / "a/1"]
