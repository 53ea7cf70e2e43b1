"""The output directory as paths."""

from pathlib import Path

import pytest

from dsrun.storage.layout import RunLayout

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
