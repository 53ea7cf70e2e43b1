"""The command line is spelled as fingers know it, and says what is right where it is wrong."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from dsrun import __version__

PARAMS = """
params: {tone: noon sun, count: 2, warm: false, ratio: 0.5, tags: [a, b]}
steps:
  posters:
    operation: wanx-v1
    input: {prompt: "{{ params.tone }} {{ params.warm }} {{ params.ratio }} {{ params.tags }}"}
    parameters: {n: "{{ params.count }}"}
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

    @pytest.mark.parametrize(
        ("asked", "named"),
        [
            ("", ["httptools", "uvloop"]),
            ("fast", ["httptools", "uvloop"]),
            ("aiohttp", ["aiohttp", "asyncio"]),
        ],
    )
    def test_version_says_what_carries_the_requests(self, work, monkeypatch, asked, named):
        monkeypatch.setenv("DSRUN_TRANSPORT", asked)
        lines = work.dsrun("--version", "-v").out.splitlines()
        assert [line.split()[:2] for line in lines[2:]] == [
            ["transport:", named[0]],
            ["loop:", named[1]],
        ]
        assert work.dsrun("-v", "--version").out.splitlines() == lines

    def test_a_transport_that_there_is_not_ends_a_run_before_it_begins(self, work, monkeypatch):
        monkeypatch.setenv("DSRUN_TRANSPORT", "curl")
        outcome = work.dsrun("run", work.posters(1), "--emulate")
        assert outcome.code == 3
        assert "DSRUN_TRANSPORT is 'curl'; it can be fast" in outcome.err
        assert not (work.folder / "outputs").exists()

    def test_the_module_is_the_command(self, work):
        outcome = work.spawn_command([*work.command, "--version"]).end()
        assert outcome.code == 0
        assert outcome.out.startswith("dsrun")


class TestShellCompletion:
    """What the script of `_DSRUN_COMPLETE=bash_source dsrun` asks for at the Tab key."""

    @pytest.mark.parametrize(
        ("typed", "offered"),
        [
            ("dsrun pl", {"file,pl", "plain,plan"}),
            ("dsrun --vers", {"file,--vers", "plain,--version"}),
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

    @pytest.mark.parametrize(
        ("typed", "offered"),
        [
            ("dsrun demo.yaml --step ", {"posters", "voices"}),
            ("dsrun plan -o there demo.yaml --step v", {"voices"}),
            ("dsrun --emulate --step ", {"of-dsrun-yaml"}),
            ("dsrun gone.yaml --step ", {"of-dsrun-yaml"}),
            ("dsrun broken.yaml --step ", set()),
            ("dsrun plan demo.yaml --set ", {"tone=", "light="}),
            ("dsrun cron demo.yaml --set l", {"light="}),
            ("dsrun schema wanx-v", {"wanx-v1", "wanx-vace"}),
            ("dsrun schema wan-i", {"wan-i2v", "wan-i2v-classic", "wan-image"}),
            ("dsrun init --from st", {"starter", "storyboard", "style-sheet"}),
            ("dsrun emulate --fault lost", {"lost-answer"}),
            ("dsrun voices d", {"delete"}),
            ("dsrun voices delete l", set()),
            ("dsrun report outputs/demo --rows n", {"number"}),
            ("dsrun report nowhere --rows s", {"step", "seed"}),
        ],
    )
    def test_offers_names_of_the_pipeline_and_the_catalog(self, work, typed, offered):
        file = work.posters_and_voices("warm")
        file.write_text(f"{file.read_text()}params: {{tone: a, light: b}}\n")
        work.dsrun(file, "--emulate", "--step", "posters")
        (work.folder / "dsrun.yaml").write_text("steps: {of-dsrun-yaml: {}}\n")
        (work.folder / "broken.yaml").write_text("steps: {a: [\n")
        words = {"COMP_WORDS": typed, "COMP_CWORD": str(typed.count(" "))}
        done = subprocess.run(
            [Path(sys.executable).with_name("dsrun")],
            env=os.environ | words | {"_DSRUN_COMPLETE": "bash_complete"},
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        names = {line.removeprefix("plain,") for line in done.stdout.split()}
        assert (names, done.stderr) == (offered, "")


class TestMistypedNames:
    @pytest.mark.parametrize(
        ("line", "meant"),
        [
            ("demu.yaml", "demo.yaml"),
            ("demo.yml", "demo.yaml"),
            ("demu", "demo.yaml"),
            ("plan nested/poster.yaml", "nested/posters.yaml"),
            ("validate nestde/posters.yaml", "nested/posters.yaml"),
            ("report outputs/demi", "outputs/demo"),
            ("verify output/demo", "outputs/demo"),
            ("status outputs/demi", "outputs/demo"),
            ("schema wanx-v1 nestedd", "nested"),
            ("plam", "plan"),
        ],
    )
    def test_are_told_what_was_meant(self, work, line, meant):
        (work.folder / "nested").mkdir()
        work.posters(1, path="nested/posters.yaml")
        work.dsrun(work.posters(1), "--emulate")
        outcome = work.dsrun(*line.split())
        assert outcome.code == 2
        assert f"(did you mean {meant}" in outcome.err

    @pytest.mark.parametrize(
        ("line", "words"),
        [
            ("plan demo.yaml --yes", "It is an option of run, voices, cron."),
            ("validate demo.yaml --retry-failed", "It is an option of run, plan."),
            ("plan demo.yaml --retry-faild", "Did you mean '--retry-failed'?"),
            ("plan demo.yaml --env-fil x", "Did you mean '--env-file'?"),
        ],
    )
    def test_of_options_are_not_confused_with_other_options(self, work, line, words):
        work.posters(1)
        outcome = work.dsrun(*line.split())
        assert outcome.code == 2
        assert words in outcome.err
        assert outcome.err.count("--") == 2 or "Did" in outcome.err


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
