"""What a stranger installs: the wheel, in an empty environment, used from another folder."""

import json
import os
import shutil
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PARTS_OF_PAGES = (".j2", ".js", ".css")

FOLDERS = ["audiobook", "dub", "model-shootout", "product-set", "storyboard"]

pytestmark = pytest.mark.timeout(300)  # whichever comes first makes the wheel for the rest


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Built from a copy, so that nothing is left in the checkout."""
    source = tmp_path_factory.mktemp("source") / "dsrun"
    ignored = shutil.ignore_patterns(".*", "outputs", "build", "dist", "*.egg-info", "__pycache__")
    shutil.copytree(ROOT, source, ignore=ignored)
    out = tmp_path_factory.mktemp("wheel")
    _run(
        [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", str(out), str(source)]
    )
    (built,) = out.glob("dsrun-*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """The dsrun command of an environment that holds nothing but the wheel and what it asks for."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder)
    python = str(folder / "bin/python")
    _run([sys.executable, "-m", "pip", "--python", python, "install", "--quiet", str(wheel)])
    return folder / "bin/dsrun"


def test_the_wheel_holds_every_module_schema_and_pipeline(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    for folder, pattern in (
        ("dsrun", "*.py"),
        ("dsrun", "*.js"),
        ("dsrun", "*.css"),
        ("schemas", "*.json"),
        ("pipelines", "*.*"),
    ):
        for path in (ROOT / folder).rglob(pattern):
            inside = path.relative_to(ROOT).as_posix()
            if "__pycache__" not in inside:
                assert (inside if folder == "dsrun" else f"dsrun/{inside}") in names
    pages = [path for path in (ROOT / "dsrun/report").rglob("*") if path.suffix in PARTS_OF_PAGES]
    assert pages
    assert {path.relative_to(ROOT).as_posix() for path in pages} <= names
    assert "dsrun/py.typed" in names
    assert [name for name in names if name.endswith(".dist-info/licenses/LICENSE")]
    assert not [name for name in names if name.endswith(".pyc") or name.startswith("tests")]


def test_the_quickstart_runs_from_another_folder(installed, tmp_path):
    shutil.copy(ROOT / "examples/quickstart.yaml", tmp_path)
    outcome = _run([str(installed), "quickstart.yaml", "--emulate"], cwd=tmp_path)
    run_dir = tmp_path / outcome.stdout.strip()
    assert len(list(run_dir.glob("artifacts/**/*.png"))) == 6
    assert len((run_dir / "results.jsonl").read_text(encoding="utf-8").splitlines()) == 6


@pytest.mark.parametrize("source", ["starter", "product-shots", "style-sheet", "voice-casting"])
def test_every_pipeline_that_ships_can_be_copied_and_is_valid(installed, tmp_path, source):
    _run([str(installed), "init", "mine", "--from", source], cwd=tmp_path)
    _run([str(installed), "validate", "mine.yaml"], cwd=tmp_path)


@pytest.mark.parametrize("source", FOLDERS)
def test_every_folder_that_ships_can_be_copied_and_tried(installed, tmp_path, source):
    _run([str(installed), "init", "mine", "--from", source], cwd=tmp_path)
    outcome = _run([str(installed), "mine/pipeline.yaml", "--emulate", "--json"], cwd=tmp_path)
    jobs = json.loads(outcome.stdout)["jobs"]
    assert jobs["succeeded"] == sum(jobs.values()) > 10


def _run(command, cwd=None):
    """A command that must succeed, in an environment without this checkout's settings."""
    clean = {
        k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "DSRUN", "VIRTUAL"))
    }
    outcome = subprocess.run(
        command, cwd=cwd, env=clean, capture_output=True, text=True, check=False, timeout=280
    )
    assert outcome.returncode == 0, f"{command}: {outcome.stdout}{outcome.stderr}"
    return outcome
