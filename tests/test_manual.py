"""README and docs/: blocks of code are run or checked, tables are whole, links lead somewhere."""

import ast
import json
import re
import shlex
import shutil
import subprocess
from contextlib import suppress
from itertools import takewhile
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

import dsrun
from dsrun.cli.main import cli, main
from dsrun.common.errors import ExitCode
from dsrun.common.models import JobStatus
from dsrun.common.resources import read_schema
from tests.pages import (
    BLOCKS,
    DOCS,
    PAGES,
    ROOT,
    Block,
    anchors,
    blocks_of,
    commands,
    links,
    mentions,
    section,
    shell_lines,
    table,
    without_settings,
    words,
)

MANIFEST = json.loads(read_schema("manifest.json"))
RECIPES = "docs/guides/recipes.md"  # test_docs cooks them
LANGUAGES = {
    "sh", "console", "yaml", "json", "python", "csv", "text", "jinja", "dockerfile", "sql",
}  # fmt: skip
# What a reader may be asked to type beside dsrun.
PROGRAMS = {
    "docker", "dsrun", "duckdb", "exiftool", "export", "kubectl", "mkdocs", "pip", "pytest",
    "python", "python3", "sed", "sqlite3", ".",
}  # fmt: skip


def _of(language: str) -> list[Block]:
    return [block for block in BLOCKS if block.language == language]


def _id(block: Block) -> str:
    return f"{block.page}: {block.heading or 'its beginning'}"


def _is_played(block: Block) -> bool:
    """Whether a recorded session of the page reads this file."""
    played = [b for b in BLOCKS if b.page == block.page and b.language == "console"]
    return any(block.name in shlex.split(line) for b in played for line in shell_lines(b))


HOOKS = [block for block in _of("yaml") if block.text.startswith("repos:")]
YAML = [
    block
    for block in _of("yaml")
    if block.page != RECIPES and block not in HOOKS and not _is_played(block)
]


def test_every_block_says_what_it_is():
    assert {block.language for block in BLOCKS} <= LANGUAGES


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """A folder of its own, with the files of variables that commands name."""
    monkeypatch.chdir(tmp_path)
    for name in re.findall(r"--env-file (\S+)", "\n".join(commands())):
        Path(name).touch()


@pytest.mark.parametrize("line", commands())
def test_every_command_line_can_be_read(line, elsewhere):
    _read(line)


@pytest.mark.parametrize("line", mentions())
def test_every_command_that_is_mentioned_is_there_with_its_options(line, elsewhere):
    with suppress(click.MissingParameter):
        _read(line)


def _read(line: str) -> None:
    spoken = line.replace("PIPELINE", "pipeline.yaml").replace("COMMAND", "run")
    lexer = shlex.shlex(spoken, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    _, *arguments = takewhile(lambda word: word not in {">", "|", "||", "&&", ";"}, lexer)
    with suppress(click.exceptions.Exit):  # --help
        context = cli.make_context("dsrun", arguments)
        name, command, rest = cli.resolve_command(
            context, [*context._protected_args, *context.args]
        )
        command.make_context(name, rest, parent=context)


@pytest.mark.parametrize("block", [*_of("sh"), *_of("console")], ids=_id)
def test_what_a_reader_types_is_shell_and_of_known_programs(block):
    lines = shell_lines(block)
    subprocess.run(["bash", "-n", "-c", "\n".join(lines)], check=True)
    typed = [without_settings(line) for line in lines if line.strip()]
    assert {line.split()[0] for line in typed} <= PROGRAMS | {"#"}


def _whole(text: str) -> str:
    """The manifest that a fragment is a part of: the keys of a manifest, or those of a step."""
    keys = yaml.safe_load(text).keys()
    if "steps" in keys:
        return text
    step = {"operation": "wanx-v1", "input": {"prompt": "a lamp"}}
    head = "version: 1\nname: fragment\nsteps: {s: "
    if keys <= MANIFEST["properties"].keys():
        return f"{head}{json.dumps(step)}}}\n{text}"
    return f"{head}{json.dumps({**step, **yaml.safe_load(text)})}}}\n"


def _lay_out(block: Block) -> None:
    """The files that the page names, and pictures for those that its manifest uploads."""
    for other in blocks_of(ROOT / block.page):
        if other.name:
            Path(other.name).parent.mkdir(parents=True, exist_ok=True)
            Path(other.name).write_text(other.text, encoding="utf-8")
    for name in re.findall(r"\{upload: ([\w./-]+)\}", block.text):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / "examples/reference-pictures/refs/teapot.jpg", name)


@pytest.mark.parametrize("block", YAML, ids=_id)
def test_every_manifest_and_part_of_one_is_valid_without_a_warning(block, elsewhere, capsys):
    if block.text.startswith("# yaml-language-server: $schema="):
        assert yaml.safe_load(block.text) is None  # the line for editors
        return
    _lay_out(block)
    Path("manifest.yaml").write_text(_whole(block.text), encoding="utf-8")
    assert main(["validate", "manifest.yaml"]) == 0, capsys.readouterr().err
    assert "warning" not in capsys.readouterr().err


@pytest.mark.parametrize("block", _of("json"), ids=_id)
def test_every_json_is_json(block):
    json.loads(block.text)


@pytest.mark.parametrize("block", _of("python"), ids=_id)
def test_every_program_compiles_and_names_what_there_is(block):
    tree = ast.parse(block.text)
    compile(tree, block.page, "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    named = [
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == "dsrun"
    ]
    assert [name for name in named if name not in dsrun.__all__] == []


@pytest.mark.parametrize("block", HOOKS, ids=_id)
def test_a_hook_that_is_shown_is_one_that_ships(block):
    shipped = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text(encoding="utf-8"))
    shown = [hook for repo in yaml.safe_load(block.text)["repos"] for hook in repo["hooks"]]
    assert {hook["id"] for hook in shown} <= {hook["id"] for hook in shipped}


class TestSessions:
    """A recorded session shows, in order, what dsrun says today; `...` stands for more."""

    @pytest.mark.parametrize("page", sorted({block.page for block in _of("console")}))
    def test_a_page_played_from_top_to_bottom(self, page, elsewhere, capsys):
        for block in blocks_of(ROOT / page):
            if block.language == "console":
                for typed, shown in _turns(block.text):
                    _play(typed, shown, capsys)
            elif name := block.name or _named_in_prose(page, block):
                Path(name).parent.mkdir(parents=True, exist_ok=True)
                Path(name).write_text(block.text, encoding="utf-8")


def _named_in_prose(page: str, block: Block) -> str:
    """README has no room for a line of its own: `Save it as NAME:`."""
    before = (ROOT / page).read_text(encoding="utf-8").partition(f"\n{block.text}")[0]
    found = re.search(r"Save it as `([^`]+)`:\n\n```\w+$", before)
    return found[1] if found else ""


def _turns(text: str) -> list[tuple[str, list[str]]]:
    """What is typed, each with what is shown then."""
    turns: list[tuple[str, list[str]]] = []
    for line in text.splitlines():
        if line.startswith("$ "):
            turns.append((line[2:], []))
        else:
            turns[-1][1].append(line)
    return turns


def _play(typed: str, shown: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    program, *arguments = shlex.split(typed)
    if program != "dsrun":
        subprocess.run([program, *arguments], check=True)
        return
    main(arguments)
    said = capsys.readouterr()
    rest = " ".join(f"{said.err}\n{said.out}".split())
    for line in shown:
        wanted = " ".join(line.split())
        if wanted != "...":
            assert wanted in rest, typed
            rest = rest.split(wanted, 1)[1]


class TestLinks:
    @pytest.mark.parametrize("page", PAGES, ids=str)
    def test_every_link_leads_somewhere(self, page):
        for link in links(page):
            name, _, anchor = link.partition("#")
            target = (page.parent / name).resolve() if name else page
            assert target.exists(), link
            if anchor:
                assert anchor in anchors(target), link

    def test_the_site_leads_to_every_page(self):
        site = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
        config = yaml.safe_load(site)
        inside = {path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md")}
        hidden = tuple(config["not_in_nav"].split())
        assert {page for page in inside if not page.startswith(hidden)} == {*_pages(config["nav"])}

    def test_the_site_loads_nothing_from_elsewhere(self):
        config = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))
        assert config["theme"]["font"] is False
        assert config["strict"] is True


def _pages(nav: Any) -> list[str]:
    if isinstance(nav, str):
        return [nav]
    values = nav.values() if isinstance(nav, dict) else nav
    return [page for value in values for page in _pages(value)]


class TestTables:
    def test_the_exit_codes_are_all_and_these(self):
        rows = table(section("docs/guides/running.md", "How a run ends"), "code")
        assert [int(code) for code, _ in rows] == [int(code) for code in ExitCode]

    def test_the_commands_are_all_and_these(self):
        rows = table(section("docs/guides/running.md", "Commands"), "command")
        named = {shlex.split(words(cell)[0])[1] for cell, _ in rows}
        assert named - {"PIPELINE"} == set(cli.commands)

    def test_the_statuses_are_all_and_these(self):
        rows = table(section("docs/guides/run-directory.md", "Statuses"), "status")
        assert sorted(word for cell, *_ in rows for word in words(cell)) == sorted(JobStatus)

    def test_the_execution_keys_and_defaults_are_the_schemas(self):
        schema = MANIFEST["$defs"]["execution"]["properties"]
        text = (DOCS / "guides/execution.md").read_text(encoding="utf-8")
        rows = {words(key)[0]: default for key, default, _ in table(text, "key")}
        assert rows.keys() == schema.keys()
        for key, about in schema.items():
            if "default" in about:
                assert rows[key].strip("`") == str(about["default"])


def test_pictures_are_where_the_pages_say_and_no_larger_than_half_a_megabyte():
    pictures = [path for path in (DOCS / "images").iterdir() if path.is_file()]
    assert pictures
    assert [path.name for path in pictures if path.stat().st_size > 500_000] == []
