"""What a table or a list of prompts makes: jobs for what is meant, and words for the rest."""

import json

import pytest

MANIFEST = """\
version: 1
name: demo
steps:
  s:
    operation: wanx-v1
    matrix: {p: {file: NAME}}
    input: {prompt: "PROMPT"}
"""


def pipeline(work, name, content, prompt="{{ p }}, oil painting"):
    (work.folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    path = work.folder / "demo.yaml"
    path.write_text(MANIFEST.replace("NAME", name).replace("PROMPT", prompt), encoding="utf-8")
    return "demo.yaml"


def prompts(work, path):
    outcome = work.dsrun("plan", path, "--json", "--full")
    assert outcome.code == 0, outcome.err
    return [job["request"]["input"]["prompt"] for job in json.loads(outcome.out)["job_list"]]


@pytest.mark.parametrize(
    ("name", "content", "found", "place"),
    [
        pytest.param(
            "p.csv", "prompt,size\na cat,1\n", "a mapping (prompt, size)", "p.csv:2", id="csv row"
        ),
        pytest.param(
            "p.yaml",
            "- a cat\n- [red, blue]\n- a dog\n",
            "a list inside a text in 1 of 3 jobs, at",
            "p.yaml:2",
            id="list",
        ),
        pytest.param(
            "p.yaml",
            "- a cat\n-\n- a dog\n-\n",
            "null inside a text in 2 of 4 jobs, first at",
            "p.yaml:2",
            id="an empty dash",
        ),
        pytest.param(
            "p.json", "[null, null]", "null inside a text in all 2 jobs", "p.json:1", id="all"
        ),
        pytest.param("p.jsonl", '"a"\n{}\n', "an empty mapping", "p.jsonl:2", id="empty"),
    ],
)
def test_what_has_no_spelling_in_a_text_is_told_with_place_and_row(
    work, name, content, found, place
):
    path = pipeline(work, name, content)
    for command in (["validate"], ["run", "--emulate", "-y"]):
        outcome = work.dsrun(*command, path)
        assert outcome.code == 2
        assert outcome.err.startswith("demo.yaml:7:25: steps.s.input.prompt: found ")
        assert f"found {found}" in outcome.err
        assert place in outcome.err
        assert "; allowed: texts, numbers, true and false; " in outcome.err
    assert not (work.folder / "outputs").exists()


def test_each_kind_of_value_without_a_spelling_is_told_with_its_own_row(work):
    path = pipeline(work, "p.json", '["a",\n null,\n ["b"],\n ["c"]]')
    told = work.dsrun("validate", path).err
    assert "found null inside a text in 1 of 4 jobs, at p.json:2;" in told
    assert "found a list inside a text in 2 of 4 jobs, first at p.json:3;" in told


def test_a_boolean_is_written_as_json_writes_it_and_a_small_number_in_full(work):
    path = pipeline(work, "p.yaml", "- true\n- 0.00001\n- 1.50\n- 2026-11-27\n")
    heads = [prompt.removesuffix(", oil painting") for prompt in prompts(work, path)]
    assert heads == ["true", "0.00001", "1.5", "2026-11-27"]


def test_blank_rows_of_a_spreadsheet_make_no_job_and_are_said(work):
    path = pipeline(
        work, "p.csv", 'a,b,,\n1,x,,\n,,,\n"","",,\n2,y,,\n', prompt="{{ p.a }} {{ p.b }}"
    )
    assert prompts(work, path) == ["1 x", "2 y"]
    told = work.dsrun("validate", path).err.splitlines()
    assert told[0] == (
        "warning: p.csv:3:1: 2 blank rows (3, 4); skipped: what is blank makes no job"
    )


def test_a_quote_in_tsv_is_a_character(work):
    content = 'prompt\tkind\n"a sign\tx\na cat\ty\nsays go"\tz\n'
    path = pipeline(work, "p.tsv", content, prompt="{{ p.prompt }} {{ p.kind }}")
    assert prompts(work, path) == ['"a sign x', "a cat y", 'says go" z']


def test_a_list_saved_as_gbk_is_doubted_and_comments_are_told_once(work):
    content = b"# animals\n" + "一只猫\n".encode("gbk") + b"# more\na dog\n"
    path = pipeline(work, "p.txt", content)
    outcome = work.dsrun("validate", path)
    assert outcome.code == 0
    warnings = [line for line in outcome.err.splitlines() if line.startswith("warning: ")]
    assert [line.split(": ")[1] for line in warnings] == ["p.txt:2:1", "p.txt:1:1"]
    assert "一只猫" in warnings[0]
    assert "2 rows begin with # (1, 3)" in warnings[1]


@pytest.mark.parametrize("place", ["manifest", "prompt file", "included file"])
def test_every_file_of_a_pipeline_is_looked_at(work, place):
    words = "一只猫".encode("gbk")
    body = {
        "manifest": b"prompt: " + words,
        "prompt file": b"prompt: {file: a.j2}",
        "included file": b"prompt: \"{% include 'a.j2' %}\"",
    }[place]
    (work.folder / "a.j2").write_bytes(words)
    head = b"version: 1\nname: demo\nsteps:\n  s:\n    operation: wanx-v1\n    input:\n      "
    (work.folder / "demo.yaml").write_bytes(head + body + b"\n")
    told = work.dsrun("validate", "demo.yaml").err
    where = "demo.yaml:7:15" if place == "manifest" else "a.j2:1:1"
    assert told.startswith(f"warning: {where}: reads ")
