"""README is a front page: short, with the commands of a newcomer and one manifest that runs."""

import re
import tomllib
from pathlib import Path

import yaml

import dsrun
from dsrun.cli.main import main
from tests.pages import BLOCKS, ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")
MINE = [block for block in BLOCKS if block.page == "README.md"]


def test_it_is_no_longer_than_200_lines():
    assert len(README.splitlines()) <= 200


def test_the_commands_of_a_newcomer_stand_under_their_headings():
    run = next(block for block in MINE if block.heading == "Run it")
    assert run.text.splitlines() == [
        "python3 -m venv .venv",
        ". .venv/bin/activate",
        "pip install .",
        "dsrun examples/quickstart.yaml --emulate",
    ]
    tests = next(block for block in MINE if block.heading == "Run the tests")
    assert tests.text.splitlines()[-2:] == [
        'pip install -e ".[test]"',
        "pytest -n 8 --dist worksteal",
    ]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert "pytest>=8.3" in project["project"]["optional-dependencies"]["test"]


def test_the_manifest_runs_and_shows_a_matrix_a_step_on_a_step_and_models_side_by_side(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    (block,) = (block for block in MINE if block.language == "yaml")
    assert len(block.text.splitlines()) <= 22
    posters, films = yaml.safe_load(block.text)["steps"].values()
    assert len(posters["operation"]) == 3
    assert len(posters["matrix"]) == 2
    assert films["matrix"]["poster"] == {"step": "posters"}
    Path("lanterns.yaml").write_text(block.text, encoding="utf-8")
    assert main(["run", "lanterns.yaml", "--emulate", "--quiet"]) == 0
    assert "warning" not in capsys.readouterr().err
    assert len([*Path("outputs").glob("lanterns/emulated-*/artifacts/posters/**/*.png")]) == 12
    assert len([*Path("outputs").glob("lanterns/emulated-*/artifacts/films/**/*.mp4")]) == 2


def test_the_licence_is_the_one_that_the_wheel_names():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert (project["license"], project["license-files"]) == ("MIT", ["LICENSE"])
    assert (ROOT / "LICENSE").read_text(encoding="utf-8").startswith("MIT License\n")


def test_the_changelog_begins_with_this_version():
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert (
        re.search(r"^## \[(.+?)\] - \d{4}-\d{2}-\d{2}$", text, re.MULTILINE)[1] == dsrun.__version__
    )
