"""What README.md and CHANGELOG.md say is what the code does."""

import json
import re
import shlex
import tomllib
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import click
import pytest

import dsrun
from dsrun.cli.main import cli, main
from dsrun.common.errors import ExitCode
from dsrun.common.models import JobStatus
from dsrun.common.resources import read_schema

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


class Block(NamedTuple):
    """A fenced block: the heading that it stands under, its language, its text."""

    heading: str
    language: str
    text: str


def _blocks() -> list[Block]:
    found, heading = [], ""
    for match in re.finditer(
        r"^## ([^\n]+)$|^```(\w*)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL
    ):
        if match[1]:
            heading = match[1]
        else:
            found.append(Block(heading, match[2], match[3]))
    return found


BLOCKS = _blocks()
MANIFESTS = [b.text for b in BLOCKS if b.language == "yaml" and b.text.startswith("version:")]


def _command_lines() -> list[str]:
    """Command lines of dsrun, in blocks and between backticks."""
    lines = [line for b in BLOCKS if b.language == "sh" for line in b.text.splitlines()]
    for block in BLOCKS:
        if block.language == "console":
            lines += [line[2:] for line in block.text.splitlines() if line.startswith("$ ")]
    prose = re.sub(r"^```.*?^```$", "", README, flags=re.MULTILINE | re.DOTALL)
    lines += re.findall(r"`(dsrun [^`]+)`", prose)
    return sorted({line for line in lines if line.startswith("dsrun ")})


def _table(heading: str, first: str) -> list[list[str]]:
    """The rows of the table under a heading whose first column has this title."""
    section = README.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    rows = section.split(f"| {first} |", 1)[1].split("\n\n")[0].splitlines()[2:]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]


def _words(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


@pytest.mark.parametrize("line", _command_lines())
def test_every_command_line_can_be_read(line):
    spoken = line.replace("PIPELINE", "pipeline.yaml").replace("COMMAND", "run")
    spoken = re.sub(r" > \S+$", "", spoken)
    arguments = shlex.split(spoken, comments=True)[1:]
    with suppress(click.exceptions.Exit):  # --help
        context = cli.make_context("dsrun", arguments)
        name, command, rest = cli.resolve_command(
            context, [*context._protected_args, *context.args]
        )
        command.make_context(name, rest, parent=context)


def test_the_two_commands_of_a_newcomer_stand_under_their_headings():
    run = next(block for block in BLOCKS if block.heading == "Run it")
    assert run.text.splitlines() == [
        "pip install .",
        "dsrun examples/quickstart.yaml --emulate",
    ]
    tests = next(block for block in BLOCKS if block.heading == "Run the tests")
    assert tests.text.splitlines()[-2:] == [
        'pip install -e ".[test]"',
        "pytest -n 8 --dist worksteal",
    ]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert "pytest>=8.3" in project["project"]["optional-dependencies"]["test"]


@pytest.mark.parametrize("text", MANIFESTS)
def test_every_whole_manifest_is_valid(text, tmp_path, capsys):
    (tmp_path / "products.csv").write_text("name,colour\npaper lantern,red\nkite,blue\n")
    (tmp_path / "cast.csv").write_text(
        "name,description,sample,language\nMira,a calm and low voice,Good evening.,en\n"
    )
    (tmp_path / "script.csv").write_text("chapter,number,speaker,text\n1,1,Mira,It rained.\n")
    (tmp_path / "prompts").mkdir()
    (tmp_path / "prompts/negative.j2").write_text("text, {{ style }} frame\n")
    manifest = tmp_path / "manifest.yaml"
    manifest.write_text(text, encoding="utf-8")
    assert main(["validate", str(manifest)]) == 0
    assert "warning" not in capsys.readouterr().err


def test_there_is_a_whole_manifest():
    assert MANIFESTS


def test_the_recorded_runs_are_of_the_quickstart_as_it_is(capsys):
    assert main(["plan", str(ROOT / "examples/quickstart.yaml"), "--json"]) == 0
    digest = json.loads(capsys.readouterr().out)["digest"][:12]
    recorded = "".join(block.text for block in BLOCKS if block.heading == "Run it")
    assert set(re.findall(r"(?:emulated-|digest )([0-9a-f]{12})", recorded)) == {digest}


def test_the_recorded_problem_is_told_in_these_words(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["init", "posters"]) == 0
    manifest = Path("posters.yaml")
    text = manifest.read_text(encoding="utf-8").replace('"{{ style }}"', '"<watercolour>"')
    manifest.write_text(text, encoding="utf-8")
    capsys.readouterr()
    assert main(["validate", "posters.yaml"]) == 2
    (block,) = (b for b in BLOCKS if b.language == "console" and "<watercolour>" in b.text)
    told = block.text.partition("\n")[2]
    assert told.split() == capsys.readouterr().err.split()


def test_the_exit_codes_are_all_and_these():
    assert [int(code) for code, _ in _table("Exit codes", "code")] == [int(c) for c in ExitCode]


def test_the_commands_are_all_and_these():
    named = {shlex.split(_words(cell)[0])[1] for cell, _ in _table("Commands", "command")}
    assert named - {"PIPELINE"} == set(cli.commands)


def test_the_statuses_are_all_and_these():
    named = [word for cell, *_ in _table("What comes out", "status") for word in _words(cell)]
    assert sorted(named) == sorted(JobStatus)


def test_the_execution_keys_and_defaults_are_the_schemas():
    schema = json.loads(read_schema("manifest.json"))["$defs"]["execution"]["properties"]
    rows = {_words(key)[0]: default for key, default, _ in _table("The manifest", "key")}
    assert rows.keys() == schema.keys()
    for key, about in schema.items():
        if "default" in about:
            assert rows[key].strip("`") == str(about["default"])


def test_the_changelog_begins_with_this_version():
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert (
        re.search(r"^## \[(.+?)\] - \d{4}-\d{2}-\d{2}$", text, re.MULTILINE)[1] == dsrun.__version__
    )
