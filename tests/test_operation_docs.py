"""docs/guides/own-operation.md: it tells every key of an operation file, and its examples run."""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from dsrun.common.resources import read_schema

ROOT = Path(__file__).resolve().parent.parent
PAGE = (ROOT / "docs/guides/own-operation.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"^```json\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
LIKE, WHOLE = map(json.loads, EXAMPLES)
SECTIONS = dict(re.findall(r"^###? (.+)\n((?:(?!^##).*\n)+)", PAGE, re.MULTILINE))
FRAME = json.loads(read_schema("operation.json"))


def keys(schema: Any) -> Iterator[str]:
    """The keys of a part of an operation file, however it is put together."""
    if isinstance(schema, list):
        for inner in schema:
            yield from keys(inner)
    if not isinstance(schema, Mapping):
        return
    if "$ref" in schema:
        name = schema["$ref"].removeprefix("#/$defs/")
        if name not in ("table", "model_table") and name not in _open:
            _open.append(name)
            yield from keys(FRAME["$defs"][name])
            _open.remove(name)
    for key, inner in schema.get("properties", {}).items():
        if key != "$comment":
            yield key
            yield from keys(inner)
    for word in ("items", "additionalProperties", "if", "then", "else", "allOf", "anyOf", "oneOf"):
        yield from keys(schema.get(word))


_open: list[str] = []
PARTS = FRAME["properties"]["x-dsrun"]["properties"]


def told(section: str) -> set[str]:
    """The keys that the tables of a section explain."""
    return set(re.findall(r"^\| `([a-z_]+)` \|", section, re.MULTILINE))


def test_every_key_of_x_dsrun_is_told():
    assert told(SECTIONS["x-dsrun"]) == PARTS.keys() - {"$comment"}


@pytest.mark.parametrize("part", sorted(PARTS.keys() - {"$comment"}))
def test_every_key_of_its_parts_is_told(part):
    known = {*keys(PARTS[part])}
    assert told(SECTIONS.get(part, "")) == known


@pytest.mark.parametrize("part", sorted(PARTS.keys() - {"$comment", "sample"} & SECTIONS.keys()))
def test_every_required_key_of_a_part_is_marked(part):
    own = FRAME["$defs"]["limits"] if part == "limits" else PARTS[part]
    assert marked(SECTIONS[part]) == {*own.get("items", own).get("required", ())}


def test_every_required_key_of_x_dsrun_is_marked():
    assert marked(SECTIONS["x-dsrun"]) == {*FRAME["properties"]["x-dsrun"]["required"]}


def marked(section: str) -> set[str]:
    """The keys that the first table of a section calls required."""
    table = section.split("| key | |")[1].partition("\n\n")[0]
    return set(re.findall(r"^\| `([a-z_]+)` \| \*\*required\*\*", table, re.MULTILINE))


@pytest.fixture
def own(work):
    def write(name, content):
        folder = work.folder / "operations"
        folder.mkdir(exist_ok=True)
        (folder / f"{name}.json").write_text(json.dumps(content), encoding="utf-8")
        return folder / f"{name}.json"

    return write


def test_a_new_model_is_ten_lines_and_runs(work, own):
    assert len(EXAMPLES[0].splitlines()) <= 10
    assert work.dsrun("operations", "--check", own("next", LIKE)).code == 0
    words = "steps: {s: {operation: wan3.0-t2i, input: {prompt: a lamp}}}"
    outcome = work.dsrun("run", work.pipeline(words), "--emulate", "--no-progress")
    assert outcome.code == 0, outcome.err
    assert work.results()[0]["cost"]["amount"] == 0.3


def test_a_new_api_is_one_file_and_runs(work, own):
    checked = work.dsrun("operations", "--check", own("my-music", WHOLE))
    assert checked.code == 0, checked.err
    words = "steps: {s: {operation: my-music, input: {prompt: A calm song}}}"
    outcome = work.dsrun("run", work.pipeline(words), "--emulate", "--no-progress")
    assert outcome.code == 0, outcome.err
    [row] = work.results()
    assert row["status"] == "succeeded"
    assert [item["media_type"] for item in row["artifacts"]] == ["audio/wav"]
    assert row["output"].keys() == {"lyrics"}
