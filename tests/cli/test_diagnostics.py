"""How problems are told: on a terminal, to a program, to GitHub, and with which rows."""

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from dsrun.cli.main import main

MANIFEST = """\
version: 1
name: kites
steps:
  posters:
    operation: wanx-v1
    matrix:
      product: {file: data/products.csv}
      style: ["<anime>", "<sketch>"]
    input: {prompt: "{{ product.name }}, 100% wool: a, b"}
    parameters: {n: "{{ product.count }}", style: "{{ style }}"}
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A pipeline in a folder of its own whose data file is wrong in its third line."""
    monkeypatch.chdir(tmp_path)
    save("work/kites.yaml", MANIFEST)
    save("work/data/products.csv", "name,count\nkite,2\nlantern,7\nriver,1\n")
    return tmp_path


TOLD = """\
work/kites.yaml:10:21: steps.posters.parameters.n: found 7 in 2 of 6 jobs, first at \
work/data/products.csv:3; allowed: 1 to 4
  10 |     parameters: {n: "{{ product.count }}", style: "{{ style }}"}
     |                     ^^^^^^^^^^^^^^^^^^^^^
     = job 2: product (name "lantern", count "7"), style "<anime>"
     --> work/data/products.csv:3
   3 | lantern,7
"""


def test_files_are_named_as_they_are_found_from_here(folder, capsys):
    assert main(["validate", "work/kites.yaml"]) == 2
    assert capsys.readouterr().err == TOLD + "work/kites.yaml: 1 problem\n"


@pytest.mark.parametrize("command", ["plan", "run"])
def test_every_command_that_reads_a_manifest_tells_its_problems_so(folder, command, capsys):
    assert main([command, "work/kites.yaml", "--emulate"]) == 2
    assert capsys.readouterr() == ("", TOLD)


def test_warnings_show_their_line_too(folder, capsys):
    save("work/kites.yaml", MANIFEST.replace(": a, b", " for ${{ style }}"))
    save("work/data/products.csv", "name,count\nkite,2\n")
    assert main(["plan", "work/kites.yaml", "--json"]) == 0
    out, err = capsys.readouterr()
    assert err.splitlines()[1:] == [
        '  9 |     input: {prompt: "{{ product.name }}, 100% wool for ${{ style }}"}',
        "    |                                                        ^^^",
    ]
    (warning,) = json.loads(out)["warnings"]
    assert err.splitlines()[0] == f"warning: {warning}"


@pytest.mark.parametrize("option", [["--json"], ["--format", "json"]])
def test_json_has_the_place_and_the_rows(folder, option, capsys):
    assert main(["validate", "work/kites.yaml", *option]) == 2
    assert json.loads(capsys.readouterr().out) == [
        {
            "pipeline": "work/kites.yaml",
            "valid": False,
            "problems": [
                {
                    "file": "work/kites.yaml",
                    "line": 10,
                    "column": 21,
                    "end_column": 42,
                    "where": "steps.posters.parameters.n",
                    "message": "found 7 in 2 of 6 jobs, first at work/data/products.csv:3; "
                    "allowed: 1 to 4",
                    "jobs": {
                        "count": 2,
                        "of": 6,
                        "first": {
                            "index": 2,
                            "matrix": {
                                "product": {"name": "lantern", "count": "7"},
                                "style": "<anime>",
                            },
                            "data": [{"file": "work/data/products.csv", "line": 3}],
                        },
                    },
                }
            ],
        }
    ]


def test_github_gets_one_annotation_a_problem(folder, capsys):
    save("work/a,b.yaml", MANIFEST.replace("{n: ", '{size: "50%\\r", n: '))
    assert main(["validate", "work/kites.yaml", "work/a,b.yaml", "--format", "github"]) == 2
    assert capsys.readouterr().out.splitlines() == [
        (
            "::error file=work/kites.yaml,line=10,col=21,endColumn=42::steps.posters.parameters.n: "
            "found 7 in 2 of 6 jobs, first at work/data/products.csv:3; allowed: 1 to 4%0A"
            'job 2: product (name "lantern", count "7"), style "<anime>"'
        ),
        (
            "::error file=work/a%2Cb.yaml,line=10,col=24,endColumn=31::"
            'steps.posters.parameters.size: found "50%25\\r"; '
            "allowed: 1024*1024, 720*1280, 768*1152, 1280*720"
        ),
        (
            "::error file=work/a%2Cb.yaml,line=10,col=36,endColumn=57::steps.posters.parameters.n: "
            "found 7 in 2 of 6 jobs, first at work/data/products.csv:3; allowed: 1 to 4%0A"
            'job 2: product (name "lantern", count "7"), style "<anime>"'
        ),
    ]


def test_github_gets_warnings_and_what_has_no_line(folder, capsys):
    save("work/kites.yaml", MANIFEST.replace(": a, b", " for ${{ style }}"))
    save("work/data/products.csv", "name,count\nkite,2\n")
    assert main(["validate", "work/kites.yaml", "none.yaml", "--format", "github"]) == 2
    warning, missing = capsys.readouterr().out.splitlines()
    assert warning.startswith("::warning file=work/kites.yaml,line=9,col=56,endColumn=59::steps.")
    assert missing.startswith("::error file=none.yaml::no such file")


def test_problems_stand_in_order_of_file_and_line(folder, capsys):
    save("work/look.j2", "a\n{{ nope }} {{ x }}")
    save(
        "work/kites.yaml",
        MANIFEST.replace('style: "{{ style }}"}', 'styel: 1}\n    filename: "{{ nme }}"').replace(
            '"{{ product.name }}, 100% wool: a, b"', "{file: look.j2}"
        ),
    )
    assert main(["validate", "work/kites.yaml"]) == 2
    told = [line for line in capsys.readouterr().err.splitlines() if line.startswith("work/")]
    assert [":".join(line.split(":")[:3]) for line in told[:-1]] == [
        "work/kites.yaml:10:21",
        "work/kites.yaml:10:44",
        "work/kites.yaml:11:19",
        "work/look.j2:2:4",
    ]


@pytest.mark.parametrize(
    ("environment", "is_coloured"),
    [
        pytest.param({"TERM": "xterm-256color"}, True, id="a terminal"),
        pytest.param({"TERM": "xterm-256color", "NO_COLOR": ""}, True, id="NO_COLOR is empty"),
        pytest.param({"TERM": "xterm-256color", "NO_COLOR": "1"}, False, id="NO_COLOR"),
        pytest.param({"TERM": "dumb"}, False, id="a dumb terminal"),
    ],
)
def test_a_terminal_gets_colours_unless_it_wants_none(folder, environment, is_coloured):
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "dsrun", "validate", "work/kites.yaml"]
    kept = {key: value for key, value in os.environ.items() if key not in ("NO_COLOR", "TERM")}
    code = subprocess.run(command, stderr=theirs, env=kept | environment, check=False).returncode
    os.close(theirs)
    told = os.read(ours, 65536).decode().replace("\r\n", "\n")
    os.close(ours)
    assert code == 2
    assert ("\x1b[1;31m^" in told) == is_coloured
    if not is_coloured:
        assert told == TOLD + "work/kites.yaml: 1 problem\n"


def test_a_pipe_gets_no_colours(folder):
    command = [sys.executable, "-m", "dsrun", "validate", "work/kites.yaml"]
    done = subprocess.run(
        command, capture_output=True, env=os.environ | {"TERM": "xterm"}, check=False
    )
    assert done.stderr.decode() == TOLD + "work/kites.yaml: 1 problem\n"


def test_of_very_many_bad_jobs_the_first_are_counted(folder, capsys):
    save(
        "kites.yaml",
        MANIFEST.replace('n: "{{ product.count }}"', 'n: "{{ number }}"')
        .replace("product: {file: data/products.csv}", "number: {range: [5, 5100]}")
        .replace("{{ product.name }}", "kite"),
    )
    assert main(["validate", "kites.yaml"]) == 2
    head = capsys.readouterr().err.splitlines()[0]
    assert head == (
        "kites.yaml:10:21: steps.posters.parameters.n: found 5 to 5004 in 10,000 of the first "
        "10,000 jobs, first in job 0; allowed: 1 to 4"
    )


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        pytest.param("kite,9\n", "found 9 at work/data/products.csv:2; ", id="the only job"),
        pytest.param(
            "kite,9\nkite,9\n",
            "found 9 in all 2 jobs, first at work/data/products.csv:2; ",
            id="every job, alike",
        ),
        pytest.param(
            "kite,x\nkite,y\nkite,1\n",
            'found "x" (string), or the like, in 2 of 3 jobs, first at work/data/products.csv:2; ',
            id="in other words",
        ),
        pytest.param(
            "kite,1\nkite,2\nkite,0\n",
            "found 0 in 1 of 3 jobs, at work/data/products.csv:4; ",
            id="one of many",
        ),
    ],
)
def test_the_jobs_are_told_before_what_is_allowed(folder, rows, words, capsys):
    manifest = MANIFEST.replace('["<anime>", "<sketch>"]', '["<anime>"]')
    save("work/kites.yaml", manifest)
    save("work/data/products.csv", "name,count\n" + rows)
    assert main(["validate", "work/kites.yaml"]) == 2
    head = capsys.readouterr().err.splitlines()[0]
    assert head.startswith(f"work/kites.yaml:10:21: steps.posters.parameters.n: {words}allowed: ")


def save(name, text):
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    Path(name).write_text(text, encoding="utf-8")
