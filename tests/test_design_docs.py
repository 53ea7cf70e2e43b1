"""docs/design/: what it names is there, and a job's life has every status."""

import re
from pathlib import Path

import pytest

from dsrun.common.models import JobStatus
from tests.torture.__main__ import parse

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted((ROOT / "docs/design").glob("*.md"))
LIFE = (ROOT / "docs/design/job-life.md").read_text(encoding="utf-8")
PROMISES = (ROOT / "docs/design/promises.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_file_that_is_named_is_there(page):
    text = page.read_text(encoding="utf-8")
    named = set(re.findall(r"(?:tests|benchmarks|docs|dsrun)/[\w/]+(?:\.py)?", text))
    named |= {f"tests/integration/{name}" for name in re.findall(r"`(test_\w+\.py)`", text)}
    assert sorted(name for name in named if not (ROOT / name).exists()) == []


def test_every_way_from_status_to_status_is_between_two_that_there_are():
    rows = re.findall(r"^\| ?(.*?) ?\| (`.+?`) \| .+ \|$", LIFE, re.MULTILINE)
    named = [word for row in rows for cell in row for word in re.findall(r"`(\w+)`", cell)]
    assert {*named} == {*JobStatus}


def test_the_drawing_has_every_status():
    drawing = LIFE.split("```text\n")[1].split("```")[0]
    assert {word for word in re.findall(r"\w+", drawing) if word in {*JobStatus}} == {*JobStatus}


def test_the_torture_takes_the_options_that_are_named(capsys):
    lines = re.findall(r"^python -m tests\.torture(.*)$", PROMISES, re.MULTILINE)
    assert len(lines) >= 8
    with pytest.raises(SystemExit):
        parse(["--help"])
    known = set(re.findall(r"--[a-z-]+", capsys.readouterr().out))
    assert {word for line in lines for word in re.findall(r"--[a-z-]+", line)} <= known
