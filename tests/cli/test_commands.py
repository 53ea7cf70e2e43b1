"""Every command and option: exit code, stdout, stderr and the tree that is left."""

import json
import os
import pty
import re
import signal
import subprocess
import sys
import termios
from pathlib import Path

import click
import pytest
from jsonschema import Draft202012Validator

from dsrun import __version__
from dsrun.cli.main import cli, main
from dsrun.emulator import FAULTS

PARAMS = """
params: {tone: noon sun, count: 2, warm: false, ratio: 0.5, tags: [a, b]}
steps:
  posters:
    operation: wanx-v1
    input: {prompt: "{{ params.tone }} {{ params.warm }} {{ params.ratio }} {{ params.tags }}"}
    parameters: {n: "{{ params.count }}"}
"""
TWO_STEPS = """
steps:
  posters:
    operation: wanx-v1
    matrix: {number: [0, 1]}
    input: {prompt: "a lantern {{ number }}"}
  voices:
    operation: qwen-voice-design
    input:
      target_model: qwen3-tts-vd-2026-01-26
      voice_prompt: A calm voice
      preview_text: Good evening.
"""
COMMANDS = [
    "emulate",
    "init",
    "ledger",
    "operations",
    "plan",
    "run",
    "schema",
    "status",
    "validate",
    "verify",
]
PLAN_KEYS = {"digest", "jobs", "done", "cached", "to_send", "cost", "shortest_time_s"}
JOB_KEYS = {"job_id", "step", "index", "matrix", "request", "reason"}
STATUSES = {
    "pending",
    "submitting",
    "submitted",
    "succeeded",
    "partial",
    "failed",
    "cancelled",
    "unknown",
}


class TestHelp:
    def test_lists_every_command(self, work):
        outcome = work.dsrun("--help")
        assert outcome.code == 0
        assert outcome.err == ""
        listed = set(re.findall(r"^  ([a-z]+)  ", outcome.out, re.MULTILINE))
        assert set(COMMANDS) <= listed

    @pytest.mark.parametrize("flag", ["--help", "-h"])
    @pytest.mark.parametrize("command", COMMANDS)
    def test_every_command_has_it(self, work, command, flag):
        outcome = work.dsrun(command, flag)
        assert outcome.code == 0
        assert outcome.out.startswith(f"Usage: dsrun {command}")

    def test_version_is_that_of_the_package(self, work):
        outcome = work.dsrun("--version")
        assert (outcome.code, outcome.err) == (0, "")
        assert __version__ in outcome.out

    def test_the_module_is_the_command(self, work):
        outcome = work.spawn("--version").end()
        assert outcome.code == 0
        assert outcome.out.startswith("dsrun")


class TestShellCompletion:
    """What the script of `_DSRUN_COMPLETE=bash_source dsrun` asks for at the Tab key."""

    @pytest.mark.parametrize(
        ("typed", "offered"),
        [
            ("dsrun pl", {"file,pl", "plain,plan"}),
            ("dsrun --ver", {"file,--ver", "plain,--version"}),
            ("dsrun demo.yaml --max-c", {"plain,--max-concurrency", "plain,--max-cost"}),
            ("dsrun not-there-yet --max-co", {"plain,--max-concurrency", "plain,--max-cost"}),
            ("dsrun plan demo.yaml --fu", {"plain,--full"}),
            ("dsrun run --if-running s", {"plain,skip"}),
        ],
    )
    def test_offers(self, work, typed, offered):
        words = {"COMP_WORDS": typed, "COMP_CWORD": str(typed.count(" "))}
        done = subprocess.run(
            [Path(sys.executable).with_name("dsrun")],
            env=os.environ | words | {"_DSRUN_COMPLETE": "bash_complete"},
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        assert (set(done.stdout.split()), done.stderr) == (offered, "")


class TestWrongWords:
    @pytest.mark.parametrize(
        ("line", "words"),
        [
            ("--emulat demo.yaml", "--emulate"),
            ("run demo.yaml --dry", "--dry-run"),
            ("plan demo.yaml --ful", "--full"),
            ("run demo.yaml --limit 0", "--limit"),
            ("run demo.yaml --limit many", "--limit"),
            ("run demo.yaml -j 0", "--max-concurrency"),
            ("run demo.yaml --if-running maybe", "wait"),
            ("run demo.yaml --max-cost much", "40 CNY"),
            ("run demo.yaml --max-cost lots", "40 CNY"),
            ("run demo.yaml --set tone", "KEY=VALUE"),
            ("run demo.yaml --step poster", "posters"),
            ("plan demo.yaml --step poster", "posters"),
            ("run demo.yaml --set ton=noir", "tone"),
            ("run demo.yaml --set count=many", "integer"),
            ("run demo.yaml --set warm=2", "boolean"),
            ("demo.yaml other.yaml", "other.yaml"),
            ("schema wanx", "wanx-v1"),
            ("schema nothing", "manifest"),
            ("init Bad_Name", "a-z"),
            ("verify", "DIRECTORY"),
            ("emulate --fault lost-anser", "lost-answer"),
            ("emulate --fault lost-answer=2", "probability"),
            ("emulate --port 99999999", "--port"),
        ],
    )
    def test_are_told_with_what_is_right_and_exit_2(self, work, emulator, line, words):
        work.pipeline(PARAMS)
        outcome = work.dsrun(*line.split())
        assert outcome.code == 2
        assert outcome.out == ""
        assert words in outcome.err
        assert emulator.requests() == []
        assert not (work.folder / "outputs").exists()

    def test_an_unknown_command_is_taken_for_a_pipeline_and_gets_a_hint(self, work):
        outcome = work.dsrun("staus")
        assert outcome.code == 2
        assert "staus" in outcome.err
        assert "status" in outcome.err

    @pytest.mark.parametrize("command", ["run", "plan", "validate", "status", "ledger"])
    def test_a_missing_pipeline_is_named(self, work, command):
        outcome = work.dsrun(command, "nothing.yaml")
        assert outcome.code == 2
        assert "nothing.yaml: no such file" in outcome.err

    @pytest.mark.parametrize("command", ["run", "plan", "validate", "status"])
    def test_an_invalid_pipeline_is_told_with_its_places(self, work, command):
        work.pipeline("steps:\n  posters:\n    operation: wanx-v2\n    inputt: {}")
        outcome = work.dsrun(command, "demo.yaml")
        assert outcome.code == 2
        assert re.search(r"demo\.yaml:6:\d+: .*inputt", outcome.err)


class TestDefaults:
    def test_without_arguments_the_pipeline_of_the_folder_is_run(self, work, emulator):
        work.posters(1).rename("dsrun.yaml")
        assert work.dsrun().code == 0
        assert emulator.paid() == 1

    @pytest.mark.parametrize("command", ["plan", "validate"])
    def test_other_commands_find_it_too(self, work, command):
        work.posters(1).rename("dsrun.yaml")
        assert work.dsrun(command).code == 0

    def test_without_one_a_beginner_is_told_what_to_do(self, work):
        outcome = work.dsrun()
        assert outcome.code == 2
        assert "dsrun.yaml" in outcome.err
        assert "dsrun init" in outcome.err

    def test_a_pipeline_alone_is_run(self, work, emulator):
        assert work.dsrun(work.posters(1)).code == 0
        assert emulator.paid() == 1

    @pytest.mark.parametrize(
        "line",
        [
            "demo.yaml -o there --limit 1",
            "-o there --limit 1 demo.yaml",
            "--limit=1 demo.yaml --out there",
            "run -o there demo.yaml --limit 1",
            "run demo.yaml --out=there --limit 1",
        ],
    )
    def test_options_stand_before_or_after_the_pipeline(self, work, emulator, line):
        work.posters(2)
        assert work.dsrun(*line.split()).code == 0
        assert emulator.paid() == 1
        assert (work.folder / "there" / "demo" / "latest").exists()


class TestKey:
    def test_without_one_both_ways_out_are_named(self, work):
        outcome = work.dsrun(work.posters(1))
        assert outcome.code == 3
        assert outcome.out == ""
        assert "DASHSCOPE_API_KEY" in outcome.err
        assert "--emulate" in outcome.err
        assert not (work.folder / "outputs").exists()

    def test_is_read_from_the_file_that_is_named(self, work, emulator, monkeypatch, key):
        monkeypatch.delenv("DASHSCOPE_API_KEY")
        (work.folder / "key.txt").write_text(f"{key}\n")
        monkeypatch.setenv("DASHSCOPE_API_KEY_FILE_PATH", "key.txt")
        assert work.dsrun(work.posters(1)).code == 0

    def test_is_read_from_the_home_of_the_official_package(self, work, emulator, monkeypatch, key):
        monkeypatch.delenv("DASHSCOPE_API_KEY")
        folder = Path.home() / ".dashscope"
        folder.mkdir()
        (folder / "api_key").write_text(key)
        assert work.dsrun(work.posters(1)).code == 0

    def test_a_named_file_that_is_missing_is_told(self, work, emulator, monkeypatch):
        monkeypatch.delenv("DASHSCOPE_API_KEY")
        monkeypatch.setenv("DASHSCOPE_API_KEY_FILE_PATH", "nowhere.txt")
        outcome = work.dsrun(work.posters(1))
        assert outcome.code == 3
        assert "nowhere.txt" in outcome.err

    def test_one_that_cannot_be_a_key_is_not_sent_and_not_shown(self, work, emulator, monkeypatch):
        monkeypatch.setenv("DASHSCOPE_API_KEY", "sk-half secret")
        outcome = work.dsrun(work.posters(1))
        assert outcome.code == 3
        assert "half" not in outcome.err
        assert emulator.requests() == []

    def test_plan_and_validate_need_none(self, work):
        pipeline = work.posters(1)
        assert work.dsrun("plan", pipeline).code == 0
        assert work.dsrun("validate", pipeline).code == 0

    def test_a_second_name_of_the_base_url_is_known(self, work, emulator, monkeypatch):
        monkeypatch.delenv("DASHSCOPE_HTTP_BASE_URL")
        monkeypatch.setenv("DASHSCOPE_BASE_URL", emulator.base_url + "/")
        assert work.dsrun(work.posters(1)).code == 0
        assert emulator.paid() == 1

    def test_a_base_url_that_is_none_is_told(self, work, emulator, monkeypatch):
        monkeypatch.setenv("DASHSCOPE_HTTP_BASE_URL", "dashscope.aliyuncs.com/api/v1")
        outcome = work.dsrun(work.posters(1))
        assert outcome.code == 3
        assert "DASHSCOPE_HTTP_BASE_URL" in outcome.err


class TestEmulate:
    """`--emulate` needs nothing: no key, no service."""

    def test_writes_to_a_directory_of_its_own(self, work):
        outcome = work.dsrun(work.posters(1), "--emulate")
        assert outcome.code == 0
        assert work.run_dir().name.startswith("emulated-")
        assert len(work.files()) == 1
        assert "emulated" in outcome.err

    def test_never_stands_in_for_a_real_result(self, work, emulator):
        pipeline = work.posters(1)
        work.dsrun(pipeline, "--emulate")
        assert emulator.requests() == []
        assert work.dsrun(pipeline).code == 0
        assert emulator.paid() == 1
        assert not work.run_dir().name.startswith("emulated-")

    def test_a_second_one_makes_nothing_anew(self, work):
        pipeline = work.posters(1)
        work.dsrun(pipeline, "--emulate")
        results = work.results()
        assert work.dsrun(pipeline, "--emulate").code == 0
        assert work.results() == results

    def test_plan_and_status_know_it(self, work):
        pipeline = work.posters(1)
        work.dsrun(pipeline, "--emulate")
        assert work.dsrun("plan", pipeline, "--emulate", "--json").answer["done"] == 1
        assert work.dsrun("plan", pipeline, "--json").answer["done"] == 0
        status = work.dsrun("status", pipeline, "--emulate", "--json").answer
        assert status["jobs"]["succeeded"] == 1

    def test_the_served_one_can_be_used_as_it_says(self, work, monkeypatch):
        child = work.spawn("emulate", "--port", "0", "--task-time", "0.05", "--no-limits")
        child.wait_for_answer("DASHSCOPE_API_KEY=")
        for name, value in re.findall(r"export (\w+)=(\S+)", child.answered()):
            monkeypatch.setenv(name, value)
        assert work.dsrun(work.posters(1)).code == 0
        child.send(signal.SIGTERM)
        outcome = child.end()
        assert outcome.code == 0
        assert outcome.err == ""

    def test_the_served_one_lists_its_faults(self, work):
        outcome = work.dsrun("emulate", "--fault", "list")
        assert outcome.code == 0
        assert all(name in outcome.out for name in FAULTS)

    def test_a_port_in_use_is_told(self, work, emulator):
        port = emulator.base_url.split(":")[2].partition("/")[0]
        outcome = work.dsrun("emulate", "--port", port)
        assert outcome.code == 3
        assert port in outcome.err


class TestValidate:
    def test_says_how_many_jobs_there_are(self, work):
        outcome = work.dsrun("validate", work.posters(3))
        assert outcome.code == 0
        assert "3 jobs" in outcome.out + outcome.err

    def test_touches_nothing(self, work):
        before = sorted(work.folder.parent.rglob("*"))
        work.dsrun("validate", work.posters(3))
        assert sorted(set(work.folder.parent.rglob("*")) - set(before)) == [
            work.folder / "demo.yaml"
        ]

    def test_checks_every_pipeline_and_tells_all_problems(self, work):
        work.posters(1)
        work.pipeline("steps: {a: {operation: wanx-v1, input: {}}}", path="one.yaml")
        work.pipeline("steps: {a: {operation: wanx-v1, input: {promt: x}}}", path="two.yaml")
        outcome = work.dsrun("validate", "one.yaml", "demo.yaml", "two.yaml", "none.yaml")
        assert outcome.code == 2
        for words in ("one.yaml", "two.yaml", "promt", "none.yaml: no such file"):
            assert words in outcome.err

    def test_json_has_the_problems_with_their_places(self, work):
        work.posters(1)
        work.pipeline("steps: {a: {operation: wanx-v1, input: {promt: x}}}", path="bad.yaml")
        outcome = work.dsrun("validate", "demo.yaml", "bad.yaml", "--json")
        assert outcome.code == 2
        good, bad = outcome.answer
        assert (good["valid"], good["jobs"], good["problems"]) == (True, 1, [])
        assert bad["valid"] is False
        keys = {"file", "line", "column", "end_column", "where", "message", "jobs"}
        assert bad["problems"][0].keys() == keys

    def test_checks_every_job_and_not_only_the_file(self, work):
        steps = """
steps:
  posters:
    operation: wanx-v1
    matrix: {size: [1024*1024, 1*1]}
    input: {prompt: a lantern}
    parameters: {size: "{{ size }}"}
"""
        outcome = work.dsrun("validate", work.pipeline(steps))
        assert outcome.code == 2
        assert "1*1" in outcome.err
        assert "720*1280" in outcome.err


class TestPlan:
    def test_json_has_the_keys_of_the_contract(self, work):
        plan = work.dsrun("plan", work.posters(3, pictures=2), "--json").answer
        assert plan.keys() >= PLAN_KEYS
        assert (plan["jobs"], plan["done"], plan["cached"], plan["to_send"]) == (3, 0, 0, 3)
        assert plan["cost"] == {"amount": pytest.approx(0.96), "currency": "CNY"}
        assert "job_list" not in plan

    def test_full_lists_every_job(self, work):
        plan = work.dsrun("plan", work.posters(12), "--json", "--full").answer
        assert plan.keys() >= PLAN_KEYS
        assert [job["index"] for job in plan["job_list"]] == list(range(12))
        assert all(job.keys() >= JOB_KEYS for job in plan["job_list"])
        first = plan["job_list"][0]
        assert first["request"]["input"] == {"prompt": "a lantern 0"}
        assert first["matrix"] == {"number": 0}
        assert re.fullmatch(r"[0-9a-f]{64}", first["job_id"])

    def test_the_shortest_time_follows_from_the_published_rate(self, work):
        plan = work.dsrun("plan", work.posters(21, rate=None), "--json").answer
        assert plan["shortest_time_s"] == pytest.approx(9.5, abs=0.5)

    def test_touches_nothing_and_asks_nobody(self, work, emulator):
        work.posters(3)
        before = sorted(work.folder.parent.rglob("*"))
        assert work.dsrun("plan", "demo.yaml", "--full").code == 0
        assert sorted(work.folder.parent.rglob("*")) == before
        assert emulator.requests() == []

    def test_text_goes_to_stdout_and_shows_the_cost(self, work):
        outcome = work.dsrun("plan", work.posters(8, rate=None))
        assert outcome.code == 0
        assert outcome.err == ""
        assert "1.28 CNY" in outcome.out
        assert "a lantern 0" in outcome.out
        assert "a lantern 7" not in outcome.out
        assert "a lantern 7" in work.dsrun("plan", "demo.yaml", "--full").out

    def test_warnings_go_to_stderr_and_leave_json_alone(self, work):
        steps = """
steps:
  posters:
    operation: wanx-v1
    matrix:
      number: [1, 2]
      exclude: [{number: 3}]
    input: {prompt: "a lantern {{ number }}"}
"""
        outcome = work.dsrun("plan", work.pipeline(steps), "--json")
        assert outcome.code == 0
        assert "warning" in outcome.err
        assert outcome.answer["jobs"] == 2

    def test_knows_what_is_done(self, work, emulator):
        pipeline = work.posters(3)
        work.dsrun(pipeline, "--limit", "1")
        plan = work.dsrun("plan", pipeline, "--json", "--full").answer
        assert (plan["jobs"], plan["done"], plan["to_send"]) == (3, 1, 2)
        assert plan["cost"]["amount"] == pytest.approx(0.32)
        reasons = [job["reason"] for job in plan["job_list"]]
        assert reasons[0] == "done"
        assert reasons[1] == reasons[2] != "done"

    def test_dry_run_is_plan(self, work, emulator):
        pipeline = work.posters(2)
        assert work.dsrun(pipeline, "-n").out == work.dsrun("plan", pipeline).out
        assert work.dsrun(pipeline, "--dry-run").code == 0
        assert emulator.requests() == []
        assert not (work.folder / "outputs").exists()

    def test_limit_and_step_select(self, work):
        pipeline = work.pipeline(TWO_STEPS)
        assert work.dsrun("plan", pipeline, "--json", "--limit", "1").answer["jobs"] == 1
        plan = work.dsrun("plan", pipeline, "--json", "--full", "--step", "voices").answer
        assert (plan["jobs"], plan["cost"]["amount"]) == (1, pytest.approx(0.2))
        assert [job["step"] for job in plan["job_list"]] == ["voices"]

    def test_equal_rows_count_once(self, work):
        steps = """
steps:
  posters:
    operation: wanx-v1
    matrix: {copy: [front, back]}
    input: {prompt: a lantern}
    filename: "{{ copy }}"
"""
        plan = work.dsrun("plan", work.pipeline(steps), "--json").answer
        assert (plan["jobs"], plan["to_send"]) == (1, 1)

    def test_a_reader_that_goes_away_early_is_no_failure(self, work):
        work.posters(3000, rate=None)
        plan = subprocess.Popen(
            [*work.command, "plan", "demo.yaml", "--full"],
            cwd=work.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        plan.stdout.readline()
        plan.stdout.close()
        with plan.stderr:
            words = plan.stderr.read()
        assert (plan.wait(), words) == (0, b"")


class TestStatus:
    def test_json_has_the_keys_of_the_contract(self, work, emulator):
        pipeline = work.posters(3)
        work.dsrun(pipeline, "--limit", "2")
        outcome = work.dsrun("status", pipeline, "--json")
        assert outcome.code == 0
        status = outcome.answer
        assert status["jobs"].keys() == STATUSES
        assert (status["jobs"]["succeeded"], status["jobs"]["pending"]) == (2, 1)
        assert status["running"] is False
        assert status["cost"] == {"amount": pytest.approx(0.32), "currency": "CNY"}

    def test_text_goes_to_stdout(self, work, serve):
        serve("failed-task")
        work.dsrun(work.posters(2))
        outcome = work.dsrun("status", "demo.yaml")
        assert (outcome.code, outcome.err) == (0, "")
        assert "2 failed" in outcome.out
        assert "InternalError.Timeout" in outcome.out

    @pytest.mark.parametrize(
        "where",
        ["demo.yaml", "outputs/demo", "outputs/demo/latest"],
        ids=["pipeline", "all", "dir"],
    )
    def test_takes_a_pipeline_or_a_directory(self, work, emulator, where):
        work.dsrun(work.posters(2))
        outcome = work.dsrun("status", where)
        assert outcome.code == 0
        assert "2 succeeded" in outcome.out

    def test_of_a_pipeline_that_has_not_been_run_says_so(self, work):
        outcome = work.dsrun("status", work.posters(1))
        assert outcome.code != 0
        assert "not been run" in outcome.err

    def test_of_a_folder_without_a_run_says_so(self, work):
        outcome = work.dsrun("status", work.folder)
        assert outcome.code != 0
        assert "ledger" in outcome.err


class TestVerify:
    @pytest.fixture
    def run_dir(self, work, emulator):
        work.dsrun(work.posters(3))
        return work.run_dir()

    def test_finds_nothing_where_nothing_is_damaged(self, work, run_dir):
        outcome = work.dsrun("verify", run_dir)
        assert (outcome.code, outcome.err) == (0, "")
        assert "3 files" in outcome.out

    def test_names_what_is_changed_and_what_is_missing(self, work, run_dir):
        first, second = run_dir / "artifacts/posters/0-0.png", run_dir / "artifacts/posters/1-0.png"
        content = first.read_bytes()
        first.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        second.unlink()
        outcome = work.dsrun("verify", run_dir, "--json")
        assert outcome.code == 1
        assert outcome.answer["checked"] == 3
        assert [(item["path"], item["problem"]) for item in outcome.answer["damaged"]] == [
            ("artifacts/posters/0-0.png", "changed"),
            ("artifacts/posters/1-0.png", "missing"),
        ]
        told = work.dsrun("verify", run_dir)
        assert told.code == 1
        assert "artifacts/posters/0-0.png: changed" in told.out

    def test_takes_the_folder_of_a_pipeline_for_its_latest_run(self, work, run_dir):
        assert work.dsrun("verify", "outputs/demo").code == 0

    def test_of_a_folder_without_a_run_fails(self, work):
        outcome = work.dsrun("verify", work.folder)
        assert outcome.code not in (0, 1)
        assert "ledger" in outcome.err


class TestCatalog:
    def test_operations_show_limits_and_prices(self, work):
        outcome = work.dsrun("operations")
        assert (outcome.code, outcome.err) == (0, "")
        for words in ("wanx-v1", "qwen-voice-design", "0.16 CNY", "0.2 CNY"):
            assert words in outcome.out

    def test_operations_speak_json(self, work):
        found = {item["name"]: item for item in work.dsrun("operations", "--json").answer}
        assert found.keys() >= {"wanx-v1", "qwen-voice-design"}
        wanx = found["wanx-v1"]
        assert (wanx["requests"], wanx["per_s"], wanx["running_tasks"]) == (2, 1, 1)
        assert wanx["price"]["amount"] == 0.16

    def test_schema_without_a_name_lists_the_names(self, work):
        outcome = work.dsrun("schema")
        assert outcome.code == 0
        assert set(outcome.out.split()) >= {"manifest", "results", "wanx-v1", "qwen-voice-design"}

    def test_every_schema_is_printed_as_json(self, work):
        for name in work.dsrun("schema").out.split():
            outcome = work.dsrun("schema", name)
            assert (outcome.code, outcome.err) == (0, "")
            assert outcome.answer["$schema"].startswith("https://json-schema.org/")

    def test_results_meet_their_schema(self, work, serve):
        serve("failed-task=0.3", "partial-task=0.5", "moderation=0.2", seed=6)
        work.dsrun(work.posters(6, pictures=2))
        voices = TWO_STEPS.replace("demo", "voices")
        work.dsrun(work.pipeline(voices, name="voices", path="voices.yaml"))
        validator = Draft202012Validator(work.dsrun("schema", "results").answer)
        lines = work.results()
        text = (work.run_dir("voices") / "results.jsonl").read_text().splitlines()
        for line in [*lines, *map(json.loads, text)]:
            assert [error.message for error in validator.iter_errors(line)] == []


class TestInit:
    def test_writes_a_pipeline_that_is_valid_and_can_be_tried(self, work):
        outcome = work.dsrun("init")
        assert outcome.code == 0
        assert outcome.out.strip() == "dsrun.yaml"
        assert "#" in (work.folder / "dsrun.yaml").read_text()
        assert work.dsrun("validate").code == 0
        assert work.dsrun("--emulate", "--limit", "1").code == 0

    def test_takes_a_name(self, work):
        assert work.dsrun("init", "lanterns").code == 0
        assert "name: lanterns\n" in (work.folder / "lanterns.yaml").read_text()
        assert work.dsrun("validate", "lanterns.yaml").code == 0

    def test_never_overwrites(self, work):
        (work.folder / "dsrun.yaml").write_text("mine")
        outcome = work.dsrun("init")
        assert outcome.code == 2
        assert "dsrun.yaml" in outcome.err
        assert (work.folder / "dsrun.yaml").read_text() == "mine"


class TestSet:
    def prompt(self, work, *arguments):
        plan = work.dsrun("plan", work.pipeline(PARAMS), "--json", "--full", *arguments)
        assert plan.code == 0, plan.err
        [job] = plan.answer["job_list"]
        return job["request"]["input"]["prompt"], job["request"]["parameters"]["n"]

    def test_without_it_the_manifest_counts(self, work):
        assert self.prompt(work) == ("noon sun False 0.5 ['a', 'b']", 2)

    def test_values_take_the_type_that_the_manifest_gives(self, work):
        options = ["count=3", "warm=true", "ratio=2", "tags=[c]", "tone=7"]
        arguments = [word for option in options for word in ("--set", option)]
        assert self.prompt(work, *arguments) == ("7 True 2 ['c']", 3)

    def test_a_value_may_hold_any_sign(self, work):
        assert self.prompt(work, "--set", "tone=a=b: #c, {d}")[0].startswith("a=b: #c, {d} ")

    def test_the_last_one_counts(self, work):
        assert self.prompt(work, "--set", "count=3", "--set", "count=4")[1] == 4

    def test_makes_another_run_directory(self, work, emulator):
        pipeline = work.pipeline(PARAMS)
        work.dsrun(pipeline)
        first = work.run_dir()
        work.dsrun(pipeline, "--set", "tone=noir")
        assert work.run_dir() != first
        status = work.dsrun("status", pipeline, "--set", "tone=noir", "--json").answer
        assert status["directory"].endswith(work.run_dir().name)


class TestEnvironment:
    """Every option of `run` has a variable; flag > environment > manifest > default."""

    def test_every_option_of_run_has_one(self):
        options = [p for p in cli.commands["run"].params if p.param_type_name == "option"]
        without = {p.opts[-1] for p in options if not p.envvar} - {"--help", "-h"}
        assert without == set()
        assert all(p.envvar.startswith("DSRUN_") for p in options if p.envvar)

    def test_out(self, work, emulator, monkeypatch):
        monkeypatch.setenv("DSRUN_OUT", "there")
        work.dsrun(work.posters(1))
        assert (work.folder / "there/demo/latest").exists()
        assert work.dsrun("status", "demo.yaml").code == 0
        work.dsrun("demo.yaml", "-o", "elsewhere")
        assert (work.folder / "elsewhere/demo/latest").exists()

    def test_limit(self, work, emulator, monkeypatch):
        monkeypatch.setenv("DSRUN_LIMIT", "1")
        work.dsrun(work.posters(3))
        assert emulator.paid() == 1
        work.dsrun("demo.yaml", "--limit", "2")
        assert emulator.paid() == 2

    def test_set(self, work, monkeypatch):
        monkeypatch.setenv("DSRUN_SET", "count=3")
        plan = work.dsrun("plan", work.pipeline(PARAMS), "--json", "--full").answer
        assert plan["job_list"][0]["request"]["parameters"]["n"] == 3

    def test_set_takes_a_value_with_spaces(self, work, monkeypatch):
        monkeypatch.setenv("DSRUN_SET", "tone=noon sun and rain")
        outcome = work.dsrun("plan", work.pipeline(PARAMS), "--json", "--full")
        assert outcome.code == 0
        prompt = outcome.answer["job_list"][0]["request"]["input"]["prompt"]
        assert prompt.startswith("noon sun and rain")

    def test_step(self, work, emulator, monkeypatch):
        monkeypatch.setenv("DSRUN_STEP", "voices")
        work.dsrun(work.pipeline(TWO_STEPS))
        assert emulator.paid() == 1

    def test_emulate(self, work, monkeypatch):
        monkeypatch.setenv("DSRUN_EMULATE", "1")
        assert work.dsrun(work.posters(1)).code == 0
        assert work.run_dir().name.startswith("emulated-")

    def test_max_cost_stands_above_the_manifest_and_below_the_flag(
        self, work, emulator, monkeypatch
    ):
        pipeline = work.posters(4, max_cost="10 CNY")
        monkeypatch.setenv("DSRUN_MAX_COST", "0.16 CNY")
        assert work.dsrun(pipeline).code == 3
        assert emulator.paid() == 1
        assert work.dsrun(pipeline, "--max-cost", "0.32 CNY").code == 3
        assert emulator.paid() == 2

    def test_fail_fast(self, work, serve, monkeypatch):
        serve("moderation")
        monkeypatch.setenv("DSRUN_FAIL_FAST", "true")
        assert work.dsrun(work.posters(4)).code == 3

    def test_retry_failed_and_resubmit_unknown(self, work, serve, monkeypatch):
        serve("moderation")
        work.dsrun(work.posters(1))
        service = serve("lost-answer", "no-list")
        monkeypatch.setenv("DSRUN_RETRY_FAILED", "1")
        assert work.dsrun("demo.yaml").code == 1
        assert work.statuses() == {"unknown": 1}
        service.heal()
        monkeypatch.setenv("DSRUN_RESUBMIT_UNKNOWN", "1")
        assert work.dsrun("demo.yaml").code == 0

    def test_yes(self, work, emulator, monkeypatch):
        monkeypatch.setenv("DSRUN_YES", "1")
        assert work.dsrun(work.posters(3, confirm_above="0.1 CNY")).code == 0

    def test_dry_run(self, work, emulator, monkeypatch):
        monkeypatch.setenv("DSRUN_DRY_RUN", "1")
        assert work.dsrun(work.posters(1)).code == 0
        assert emulator.requests() == []

    @pytest.mark.parametrize(
        ("name", "value"), [("LIMIT", "none"), ("MAX_CONCURRENCY", "0"), ("IF_RUNNING", "perhaps")]
    )
    def test_a_wrong_value_is_told(self, work, emulator, monkeypatch, name, value):
        monkeypatch.setenv(f"DSRUN_{name}", value)
        outcome = work.dsrun(work.posters(1))
        assert outcome.code == 2
        assert value in outcome.err

    def test_an_empty_value_is_none(self, work, emulator, monkeypatch):
        for name in ("LIMIT", "MAX_COST", "SET", "STEP", "EMULATE", "QUIET"):
            monkeypatch.setenv(f"DSRUN_{name}", "")
        assert work.dsrun(work.posters(2)).code == 0
        assert emulator.paid() == 2


class TestOutput:
    def test_a_run_answers_on_stdout_with_its_directory_alone(self, work, serve):
        serve("moderation=0.5", seed=1)
        outcome = work.dsrun(work.posters(3))
        [line] = outcome.out.splitlines()
        assert Path(line).resolve() == work.run_dir()

    def test_quiet_says_only_errors(self, work, emulator):
        outcome = work.dsrun(work.posters(2), "-q")
        assert outcome.code == 0
        assert outcome.err == ""

    def test_quiet_still_says_what_stopped_the_run(self, work, emulator, monkeypatch):
        monkeypatch.setenv("DASHSCOPE_API_KEY", "sk-bad")
        outcome = work.dsrun(work.posters(2), "-q")
        assert outcome.code == 3
        assert "InvalidApiKey" in outcome.err

    def test_verbose_tells_every_request(self, work, emulator):
        outcome = work.spawn(work.posters(1), "-v").end()
        assert outcome.code == 0
        assert "image-synthesis" in outcome.err
        assert "/tasks/" in outcome.err
        assert "Authorization" not in outcome.err

    def test_without_a_terminal_there_is_no_bar(self, work, emulator):
        outcome = work.dsrun(work.posters(2))
        assert "\r" not in outcome.err
        assert "it/s" not in outcome.err
        assert "job/s" not in outcome.err

    def test_on_a_terminal_there_is_a_bar(self, work, emulator):
        assert "2/2" in self._on_a_terminal(work, work.posters(2))

    def test_no_progress_leaves_it_out(self, work, emulator):
        shown = self._on_a_terminal(work, work.posters(2), "--no-progress")
        assert "2/2" not in shown
        assert "2 succeeded" in shown

    def test_no_color_means_no_colour(self, work, emulator, monkeypatch):
        monkeypatch.setenv("NO_COLOR", "1")
        for arguments in ([work.posters(2)], ["--help"], ["--wrong"]):
            assert "\x1b[" not in self._on_a_terminal(work, *arguments)

    def _on_a_terminal(self, work, *arguments):
        """What a run writes when stdout and stderr are a terminal."""
        ours, theirs = pty.openpty()
        termios.tcsetwinsize(theirs, (24, 80))
        child = subprocess.Popen(
            [*work.command, *map(str, arguments)],
            cwd=work.folder,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
        )
        os.close(theirs)
        shown = b""
        while True:
            try:
                chunk = os.read(ours, 4096)
            except OSError:  # how Linux tells that the last writer is gone
                break
            if not chunk:
                break
            shown += chunk
        os.close(ours)
        child.wait()
        return shown.decode()


def test_a_question_on_a_terminal_can_be_answered(work, emulator):
    """Above `confirm_above` a run asks: `n` sends nothing, `y` goes on."""
    pipeline = work.posters(3, confirm_above="0.1 CNY")
    for answer, code, paid in (("n", 3, 0), ("y", 0, 3)):
        script = (
            "import os, pty, sys\n"
            "pid, fd = pty.fork()\n"
            "if pid == 0:\n"
            "    os.execv(sys.executable, [sys.executable, '-m', 'dsrun', sys.argv[1]])\n"
            "shown = b''\n"
            "while b'Go on' not in shown:\n"
            "    shown += os.read(fd, 1024)\n"
            "os.write(fd, sys.argv[2].encode() + b'\\n')\n"
            "try:\n"
            "    while os.read(fd, 1024):\n"
            "        pass\n"
            "except OSError:\n"
            "    pass\n"
            "sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))\n"
        )
        child = work.spawn_command([sys.executable, "-c", script, str(pipeline), answer])
        assert child.end().code == code
        assert emulator.paid() == paid


def test_a_bug_is_one_line_and_its_traceback_is_in_the_file_that_it_names(capsys):
    def fail():
        raise LookupError("nobody thought of this")

    cli.add_command(click.Command("fail", callback=fail))
    try:
        assert main(["fail"]) == 4
    finally:
        del cli.commands["fail"]
    (line,) = capsys.readouterr().err.splitlines()
    assert "bug in dsrun: LookupError: nobody thought of this" in line
    log = Path(line.rpartition(" ")[2])
    assert "Traceback" in log.read_text(encoding="utf-8")
    log.unlink()
