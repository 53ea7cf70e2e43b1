"""Every manifest of the corpus against the words that `dsrun validate` must say about it.

NAME.txt beside NAME.yaml is all of stderr, read and judged by a person: it is the specification
of a message, not a recording of one.
"""

import json
import re
from pathlib import Path

import pytest

from dsrun.cli.main import main

CORPUS = Path(__file__).parent.parent / "manifests"
VALID = sorted((CORPUS / "valid").glob("*.yaml"))
INVALID = sorted((CORPUS / "invalid").glob("*.yaml"))


def stem(path):
    return path.stem


@pytest.mark.parametrize("path", VALID, ids=stem)
def test_a_valid_manifest_exits_0_and_counts_its_jobs(path, monkeypatch, capsys):
    monkeypatch.chdir(path.parent)
    code = main(["validate", path.name])
    stdout, stderr = capsys.readouterr()
    assert (stderr, code, stdout) == (expected(path), 0, "")


@pytest.mark.parametrize("path", INVALID, ids=stem)
def test_an_invalid_manifest_exits_2_and_names_every_problem(path, monkeypatch, capsys):
    monkeypatch.chdir(path.parent)
    code = main(["validate", path.name])
    stdout, stderr = capsys.readouterr()
    assert (stderr, code, stdout) == (expected(path), 2, "")


@pytest.mark.parametrize("path", VALID, ids=stem)
def test_a_valid_manifest_has_a_plan_of_as_many_jobs(path, monkeypatch, capsys):
    monkeypatch.chdir(path.parent)
    assert main(["validate", "--json", path.name]) == 0
    (report,) = json.loads(capsys.readouterr().out)
    assert main(["plan", "--json", "--full", path.name]) == 0
    plan = json.loads(capsys.readouterr().out)
    assert plan["jobs"] == report["jobs"]
    if "{{ run." not in path.read_text(encoding="utf-8-sig"):  # of the moment of each command
        assert plan["digest"] == report["digest"]
    assert len({job["job_id"] for job in plan["job_list"]}) == plan["jobs"]


@pytest.mark.parametrize(
    "value",
    [
        pytest.param("123456789012345678901234567890", id="an integer past 64 bits"),
        pytest.param('"\\x7f\\x85\\u2028\\u2029"', id="odd signs"),
        pytest.param(
            '{z: 1, a: [1.0, 1.0e+300, -0.0, 9007199254740993, null, true, "\\0 {{ x }} 灯🏮"]}',
            id="every kind of value",
        ),
    ],
)
def test_what_is_valid_can_be_run_and_its_lock_file_gives_the_same_plan(
    value, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    Path("p.yaml").write_text(
        f"""\
version: 1
name: locked
params: {{value: {value}}}
steps:
  posters:
    operation: wanx-v1
    matrix: {{axis: [{value}]}}
    input: {{prompt: "a {{{{ params.value | tojson }}}} and {{{{ axis | tojson }}}}"}}
""",
        encoding="utf-8",
    )
    assert main(["validate", "--json", "p.yaml"]) == 0
    (report,) = json.loads(capsys.readouterr().out)
    assert main(["run", "--emulate", "--quiet", "p.yaml"]) == 0
    (lock,) = Path("outputs/locked").glob("emulated-*/manifest.lock.json")
    capsys.readouterr()
    assert main(["validate", "--json", str(lock)]) == 0
    (again,) = json.loads(capsys.readouterr().out)
    assert (again["digest"], again["jobs"]) == (report["digest"], 1)


@pytest.mark.parametrize("change", ["edited", "gone"])
def test_a_lock_file_runs_what_was_run_whatever_became_of_the_files(
    change, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    files = {
        "data/products.csv": "name\ncup\npot\n",
        "prompts/main.j2": "a {{ product.name }}, {% include 'prompts/look.j2' %}",
        "prompts/look.j2": "soft light",
    }
    for name, text in files.items():
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).write_text(text, encoding="utf-8")
    Path("p.yaml").write_text(
        """\
version: 1
name: locked
steps:
  posters:
    operation: wanx-v1
    matrix: {product: {file: data/products.csv}}
    input: {prompt: {file: prompts/main.j2}}
""",
        encoding="utf-8",
    )
    assert main(["run", "--emulate", "--quiet", "p.yaml"]) == 0
    (lock,) = Path("outputs/locked").glob("emulated-*/manifest.lock.json")
    for name in files:
        if change == "gone":
            Path(name).unlink()
        else:
            Path(name).write_text("name\npan\n", encoding="utf-8")
    again = Path("again")  # copies of copies will do
    assert main(["run", "--emulate", "--quiet", "--out", str(again), str(lock)]) == 0
    (second,) = again.glob("locked/emulated-*/manifest.lock.json")
    capsys.readouterr()
    assert main(["plan", "--json", "--full", "--emulate", "--out", str(again), str(second)]) == 0
    plan = json.loads(capsys.readouterr().out)
    assert (plan["jobs"], plan["done"]) == (2, 2)
    prompts = [job["request"]["input"]["prompt"] for job in plan["job_list"]]
    assert prompts == ["a cup, soft light", "a pot, soft light"]


def test_every_manifest_has_its_expected_words_and_every_words_their_manifest():
    manifests = {path.with_suffix("") for path in (*VALID, *INVALID)}
    words = {path.with_suffix("") for path in CORPUS.glob("*/*.txt")}
    assert manifests == words


def test_problems_of_every_stage_are_told_in_one_go(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("p.yaml").write_text(
        """\
version: 1
name: stages
descripton: the shape of the manifest
steps:
  files:
    operation: wanx-v1
    matrix:
      product: {file: no-such.csv}
    input: {prompt: "{{ product.name }}"}
  templates:
    operation: wanx-v1
    input: {prompt: "{{ 1 + }}"}
  leaves:
    operation: wanx-v1
    input:
      prompt: "{{ subject }}"
      negative_prompt: "{{ mood }}"
    parameters:
      n: 9
  names:
    operation: wanx-v1
    input: {prompt: a paper lantern}
    parameters: {style: <oil>}
    filename: ../poster
""",
        encoding="utf-8",
    )
    assert main(["validate", "p.yaml"]) == 2
    told = capsys.readouterr().err.splitlines()
    heads = [line for line in told[:-1] if line.startswith("p.yaml:")]
    shape, file, syntax = "3:1", "8:23", "12:29"
    leaves, names = ["16:19", "17:28", "19:10"], ["23:25", "24:15"]
    places = [":".join(line.split(":")[1:3]) for line in heads]
    assert places == [shape, file, syntax, *leaves, *names]
    assert told[-1] == "p.yaml: 8 problems"


def test_several_pipelines_are_all_checked_and_one_bad_one_decides(monkeypatch, capsys):
    monkeypatch.chdir(CORPUS)
    pipelines = ["valid/smallest.yaml", "invalid/n-five.yaml", "valid/repeat.yaml"]
    assert main(["validate", *pipelines]) == 2
    assert capsys.readouterr().err.splitlines() == [
        "valid/smallest.yaml: valid, 1 job",
        "invalid/n-five.yaml:8:10: steps.posters.parameters.n: found 5; allowed: 1 to 4",
        "  8 |       n: 5",
        "    |          ^",
        "invalid/n-five.yaml: 1 problem",
        "valid/repeat.yaml: valid, 3 jobs",
    ]


def test_files_are_found_beside_the_manifest_from_any_folder(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    path = CORPUS / "valid" / "csv-with-bom.yaml"
    assert main(["validate", str(path)]) == 0
    assert capsys.readouterr().err == f"{path}: valid, 2 jobs\n"


def test_a_missing_manifest_exits_2_and_names_a_way_on(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["validate", "no-such.yaml"]) == 2
    assert capsys.readouterr().err == (
        "no-such.yaml: no such file; `dsrun init` writes a pipeline to start from\n"
        "no-such.yaml: 1 problem\n"
    )


def test_without_an_argument_the_folder_s_own_dsrun_yaml_is_checked(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("dsrun.yaml").write_bytes((CORPUS / "valid" / "smallest.yaml").read_bytes())
    assert main(["validate"]) == 0
    assert capsys.readouterr().err == "dsrun.yaml: valid, 1 job\n"


def test_a_folder_in_place_of_a_manifest_exits_2(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("folder.yaml").mkdir()
    assert main(["validate", "folder.yaml"]) == 2
    assert capsys.readouterr().err.startswith("folder.yaml: cannot be read: ")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        pytest.param(b"", "p.yaml:1:1: the file holds no YAML value\n", id="empty"),
        pytest.param(
            b"version: 1\nname: caf\xe9\n", "p.yaml:2:1: not UTF-8: byte 0xe9", id="latin-1"
        ),
        pytest.param(b"\x89PNG\r\n\x1a\n\x00", "p.yaml:1:1: not UTF-8: byte 0x89", id="picture"),
        pytest.param(b"version: 1\nname: a\x00b\n", "p.yaml:2:8: not YAML: ", id="nul"),
        pytest.param(
            b'version: 1\nname: "\\ud83c"\n',
            "p.yaml:2:",
            id="surrogate",
        ),
    ],
)
def test_bytes_that_are_no_manifest_exit_2_with_their_place(
    content, words, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    Path("p.yaml").write_bytes(content)
    assert main(["validate", "p.yaml"]) == 2
    assert capsys.readouterr().err.startswith(words)


def test_json_has_the_same_problems_as_the_words(monkeypatch, capsys):
    monkeypatch.chdir(CORPUS / "invalid")
    assert main(["validate", "--json", "seed-overflow.yaml"]) == 2
    stdout = capsys.readouterr().out
    assert json.loads(stdout) == [
        {
            "pipeline": "seed-overflow.yaml",
            "valid": False,
            "problems": [
                {
                    "file": "seed-overflow.yaml",
                    "line": 9,
                    "column": 13,
                    "end_column": 23,
                    "where": "steps.posters.parameters.seed",
                    "message": "found 2147483646; allowed: at most 2147483645 with n = 3, since "
                    "the pictures use seed to seed+n-1 and 2147483647 is the largest seed",
                    "jobs": None,
                }
            ],
        }
    ]


def test_json_of_a_valid_manifest_has_its_jobs_and_digest(monkeypatch, capsys):
    monkeypatch.chdir(CORPUS / "valid")
    assert main(["validate", "--json", "exclude-matches-nothing.yaml"]) == 0
    (report,) = json.loads(capsys.readouterr().out)
    assert report.keys() == {"pipeline", "valid", "problems", "jobs", "digest", "warnings"}
    assert (report["valid"], report["problems"], report["jobs"]) == (True, [], 1)
    assert re.fullmatch("[0-9a-f]{64}", report["digest"])
    assert len(report["warnings"]) == 1


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        pytest.param("tone=noir", None, id="text"),
        pytest.param("count=4", None, id="integer"),
        pytest.param("strength=1", None, id="an integer where the manifest has a number"),
        pytest.param("tone=", None, id="empty text"),
        pytest.param("tone=a=b", None, id="the value may hold the sign"),
        pytest.param(
            "tune=noir",
            "p.yaml: --set tune: unknown param (did you mean tone?); "
            "allowed: count, strength, tone",
            id="unknown",
        ),
        pytest.param(
            "count=two",
            'p.yaml: --set count: found "two"; allowed: integer, as in the manifest',
            id="wrong type",
        ),
        pytest.param("tone", "--set tone: write it as KEY=VALUE", id="no sign"),
    ],
)
def test_set_replaces_a_param_typed_as_the_manifest_has_it(
    setting, words, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    Path("p.yaml").write_text(
        """\
version: 1
name: set
params: {tone: soft, count: 2, strength: 0.5}
steps:
  posters:
    operation: wanx-v1
    input: {prompt: "a lantern {{ params.tone }}"}
    parameters: {n: "{{ params.count }}", ref_strength: "{{ params.strength }}"}
""",
        encoding="utf-8",
    )
    code = main(["validate", "p.yaml", "--set", setting])
    stderr = capsys.readouterr().err
    if words is None:
        assert (code, stderr) == (0, "p.yaml: valid, 1 job\n")
    else:
        assert (code, stderr.splitlines()[0]) == (2, words)


def expected(path):
    return path.with_suffix(".txt").read_text(encoding="utf-8")
