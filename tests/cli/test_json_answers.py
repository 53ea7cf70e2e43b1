"""`--json` answers a program on stdout, whether a command succeeds or fails."""

import pytest


def test_a_run_says_how_it_ended_and_where_its_files_are(work, emulator):
    work.posters(2)
    answer = work.dsrun("demo.yaml", "--json").answer
    assert (work.folder / answer["directory"]).resolve() == work.run_dir()
    assert (work.folder / answer["report"]).is_file()
    assert (work.folder / answer["results"]).is_file()
    assert (answer["exit_code"], answer["jobs"]["succeeded"]) == (0, 2)
    assert answer["cost"]["amount"] > 0
    assert work.dsrun("run", "--json", "-n", "demo.yaml").answer["done"] == 2


def test_a_run_that_failed_says_so(work, serve):
    serve("failed-task")
    outcome = work.dsrun(work.posters(1), "--json")
    assert (outcome.code, outcome.answer["exit_code"]) == (1, 1)
    assert outcome.answer["jobs"]["failed"] == 1


def test_the_environment_can_ask_for_it(work, emulator, monkeypatch):
    monkeypatch.setenv("DSRUN_JSON", "1")
    assert work.dsrun(work.posters(1)).answer["exit_code"] == 0
    assert work.dsrun("plan", "gone.yaml").answer["valid"] is False


def test_a_report_and_a_sheet_say_where_they_are(work, emulator):
    work.dsrun(work.posters(1))
    answer = work.dsrun("report", "outputs/demo", "--json").answer
    assert answer["report"] == str(work.run_dir() / "report.html")
    answer = work.dsrun("report", "outputs/demo", "--sheet", "s.png", "--json").answer
    assert answer["sheet"] == "s.png"


def test_init_says_what_it_wrote(work):
    answer = work.dsrun("init", "--from", "product-shots", "shots", "--json").answer
    assert answer["pipeline"] == "shots.yaml"
    assert all((work.folder / name).is_file() for name in answer["files"])
    assert answer["next"] == "dsrun shots.yaml --emulate"


@pytest.mark.parametrize(
    "command",
    ["plan", "run", "run -n", "explain posters/0", "status", "ledger", "cron --next 1"],
)
def test_problems_of_a_pipeline_are_an_answer_too(work, command):
    file = work.posters(1)
    file.write_text(file.read_text().replace("input:", "inputt:"))
    outcome = work.dsrun(*command.split(), "demo.yaml", "--json")
    assert (outcome.code, outcome.answer["exit_code"], outcome.answer["valid"]) == (2, 2, False)
    problem = outcome.answer["problems"][0]
    assert (problem["file"], problem["line"] > 0) == ("demo.yaml", True)
    assert "inputt" in str(outcome.answer["problems"])
    assert "demo.yaml:" in outcome.err


@pytest.mark.parametrize(
    ("command", "code", "words"),
    [
        ("run demo.yaml", 3, "no API key"),
        ("status demo.yaml", 3, "has not been run yet"),
        ("plan demo.yaml --only x.y.z", 2, "--only"),
        ("plan demo.yaml --sample 0", 2, "--sample"),
        ("verify demo.yaml", 2, "is a file"),
        ("report nowhere", 2, "nowhere"),
        ("init ../x", 2, "allowed: a-z"),
        ("operations nowhere", 2, "no operation, pipeline or folder nowhere"),
        ("plan demo.yaml --no-such", 2, "--no-such"),
    ],
)
def test_any_other_failure_is_one_too(work, command, code, words):
    work.posters(1)
    outcome = work.dsrun(*command.split(), "--json")
    assert (outcome.code, outcome.answer["exit_code"]) == (code, code)
    assert words in outcome.answer["error"]


def test_what_is_not_asked_for_as_json_leaves_stdout_alone(work):
    assert work.dsrun("plan", "gone.yaml").out == ""
