"""Every program in examples/python does what it says, emulated."""

import runpy
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parent.parent / "examples/python"


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_the_script_prints_its_files():
    done = subprocess.run(
        [sys.executable, FOLDER / "script.py"], capture_output=True, text=True, check=True
    )
    plan, *jobs = done.stdout.splitlines()
    assert plan == "2 of 2 jobs to send, 0.32 CNY"
    assert [line.split()[0] for line in jobs] == ["succeeded", "succeeded"]
    assert all(Path(line.split()[1]).is_file() for line in jobs)


def test_the_task_gives_paths_and_fails_with_an_error_of_dsrun():
    make_posters = runpy.run_path(str(FOLDER / "airflow_task.py"))["make_posters"]
    files = make_posters(str(FOLDER / "posters.yaml"), out="made", emulate=True)
    names = [Path(file).name for file in files]
    assert names == ["a-tea-house-in-the-rain.png", "a-paper-lantern.png"]


async def test_the_notebook_runs_two_pipelines_in_one_loop():
    compare = runpy.run_path(str(FOLDER / "notebook.py"))["compare"]
    made = await compare()
    assert {name: len(files) for name, files in made.items()} == {
        "quickstart": 6,
        "python-posters": 2,
    }
