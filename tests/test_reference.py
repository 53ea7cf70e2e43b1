"""docs/reference/ is made from the code as it is, says everything, and its examples are valid."""

import json
import re
import subprocess
import sys
from pathlib import Path

import click
import pytest

import dsrun
from dsrun.cli.main import cli, main
from dsrun.common.errors import ExitCode
from dsrun.service.catalog import load_catalog

ROOT = Path(__file__).resolve().parent.parent
REFERENCE = ROOT / "docs/reference"
OPERATIONS = sorted((REFERENCE / "operations").glob("*.md"), key=lambda path: path.stem)
CATALOG = load_catalog()


def page(name):
    return (REFERENCE / name).read_text(encoding="utf-8")


def told(text):
    """First cells of the rows of tables."""
    return set(re.findall(r"^\| `([^`]+)` \|", text, re.MULTILINE))


def sections(text):
    return dict(re.findall(r"^## (.+)\n((?:(?!^## ).*\n)+)", text, re.MULTILINE))


def keys_of(schema):
    """The keys of every part of a schema that has properties."""
    if isinstance(schema, dict):
        if isinstance(schema.get("properties"), dict):
            yield from schema["properties"]
        for inner in schema.values():
            yield from keys_of(inner)
    elif isinstance(schema, list):
        for inner in schema:
            yield from keys_of(inner)


def test_the_pages_are_made_from_the_code_as_it_is(tmp_path):
    subprocess.run([sys.executable, ROOT / "docs/generate.py", tmp_path], check=True)
    made, kept = (
        {p.relative_to(top): p for p in top.rglob("*.md")} for top in (tmp_path, REFERENCE)
    )
    assert made.keys() == kept.keys(), "pages come and go; run: python docs/generate.py"
    stale = [str(name) for name in made if made[name].read_bytes() != kept[name].read_bytes()]
    assert stale == [], "stale; run: python docs/generate.py"


def test_the_pages_of_manifest_and_operations_have_every_key_of_the_schema():
    text = "".join([page("manifest.md"), *(p.read_text(encoding="utf-8") for p in OPERATIONS)])
    schema = json.loads((ROOT / "schemas/manifest.json").read_text(encoding="utf-8"))
    known = told(text) | set(re.findall(r"\{(\w+): NAME\}", text))
    assert {*keys_of(schema)} - known == set()


def test_every_key_of_a_line_of_results_is_told():
    schema = json.loads((ROOT / "schemas/results.json").read_text(encoding="utf-8"))
    lines = sections(page("ledger.md"))["results.jsonl"]
    assert {*keys_of(schema)} - told(lines) == set()


@pytest.mark.parametrize("path", sorted(REFERENCE.rglob("*.md")), ids=lambda path: path.stem)
def test_nothing_outside_of_code_is_taken_for_html_or_attributes(path):
    text = re.sub(
        r"^```.*?^```$", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL
    )
    assert re.findall(r"[{<]", re.sub(r"`[^`]*`", "", text)) == []


def test_every_command_has_a_section_with_all_its_options():
    parts = sections(page("commands.md"))
    assert parts.keys() == {f"dsrun {name}" for name in cli.commands}
    for name, command in cli.commands.items():
        options = [each for each in command.params if isinstance(each, click.Option)]
        rows = re.findall(r"^\| `(-[^`]+)` \|", parts[f"dsrun {name}"], re.MULTILINE)
        words = {re.split(r"[ ,]+", row.replace("\\|", "|"))[0] for row in rows}
        assert words == {each.opts[0] for each in options}


def test_every_variable_of_an_option_is_told():
    named = set(re.findall(r"`(DSRUN_[A-Z_]+)` \|", page("commands.md")))
    known = {p.envvar for c in cli.commands.values() for p in c.params if p.envvar}
    assert named == known


def test_every_exit_code_is_told():
    rows = re.findall(r"^\| (\d+) \| `(\w+)` \|", page("exit-codes.md"), re.MULTILINE)
    assert {(int(number), name) for number, name in rows} == {(int(c), c.name) for c in ExitCode}


def test_everything_that_the_package_exports_is_told():
    text = page("python.md")
    named = set(re.findall(r"^### (\w+)$", text, re.MULTILINE)) | told(text)
    assert {*dsrun.__all__} - named == {"__version__"}


def test_every_operation_file_has_a_page_and_every_model_a_row():
    assert [path.stem for path in OPERATIONS] == sorted({CATALOG[n].family for n in CATALOG.names})
    rows = re.findall(r"^\| \[.+?\]\((.+?)\) \| `(.+?)` \|", page("operations.md"), re.MULTILINE)
    assert {name for _, name in rows} == {*CATALOG.names}
    for link, name in rows:
        assert f"| `{name}` |" in page(link)


@pytest.mark.parametrize("path", OPERATIONS, ids=lambda path: path.stem)
def test_the_examples_of_an_operation_are_valid_pipelines_of_one_job(path, tmp_path, capsys):
    text = path.read_text(encoding="utf-8")
    examples = re.findall(r"^```yaml\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    assert len(examples) == text.count("### Example") >= 1
    for number, example in enumerate(examples):
        manifest = tmp_path / f"{number}.yaml"
        manifest.write_text(example, encoding="utf-8")
        assert main(["validate", str(manifest)]) == 0, capsys.readouterr().err
        assert capsys.readouterr().err == f"{manifest}: valid, 1 job\n"


@pytest.mark.parametrize("path", OPERATIONS, ids=lambda path: path.stem)
def test_a_page_tells_price_date_and_limits_of_each_of_its_models(path):
    text = path.read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(.+?)` \| (.+?) \| (\d{4}-\d{2}) \| (.+?) \|$", text, re.MULTILINE)
    models = [CATALOG[name] for name in CATALOG.names if CATALOG[name].family == path.stem]
    assert [(name, price, date) for name, price, date, _ in rows] == [
        (one.name, str(one.price), one.price.as_of) for one in models
    ]
    assert all(
        f"{one.limits.rate.requests} request" in row[3]
        for one, row in zip(models, rows, strict=True)
    )


def test_the_table_of_the_whole_api_leads_to_every_operation_file():
    page = (ROOT / "docs/guides/coverage.md").read_text(encoding="utf-8")
    told = set(re.findall(r"\]\(\.\./reference/operations/([^)]+)\.md\)", page))
    assert told == {path.stem for path in (ROOT / "schemas/operations").glob("*.json")}
