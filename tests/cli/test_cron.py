"""`dsrun cron`: what it prints, and what it does to a crontab."""

import json
import os
import re
import stat
import sys
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
import tzlocal
import yaml

from dsrun.cli.main import cli
from dsrun.common.settings import lasting_environment

STEPS = """
schedule: {schedule}
steps:
  posters:
    operation: wanx-v1
    input: {{prompt: a lantern}}
"""
# A table in a file beside the program, as cron's own keeps one; it refuses what it cannot read.
FAKE_CRONTAB = """#!{python}
import pathlib, sys
table = pathlib.Path(__file__).with_name("table")
if sys.argv[1:] == ["-l"]:
    if not table.exists():
        sys.exit("no crontab for me")
    sys.stdout.write(table.read_text())
else:
    assert sys.argv[1:] == ["-"]
    text = sys.stdin.read()
    if "refused" in text:
        sys.exit("bad minute; errors in crontab file, can't install.")
    table.write_text(text)
"""


@pytest.fixture(autouse=True)
def utc(monkeypatch):
    monkeypatch.setenv("TZ", "UTC")
    monkeypatch.setattr("dsrun.cli.cron.zone_of_cron", lambda: ZoneInfo("Etc/UTC"))
    tzlocal.reload_localzone()
    yield
    monkeypatch.undo()
    tzlocal.reload_localzone()


@pytest.fixture
def table(tmp_path, monkeypatch):
    """The user's crontab, kept by a program of that name."""
    folder = tmp_path / "bin"
    folder.mkdir()
    program = folder / "crontab"
    program.write_text(FAKE_CRONTAB.format(python=sys.executable))
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    return folder / "table"


def nightly(work, schedule='"30 2 * * *"', **given):
    return work.pipeline(STEPS.format(schedule=schedule), **given)


def test_a_line_is_printed_and_the_crontab_left_alone(work, table):
    file = nightly(work)
    outcome = work.dsrun("cron", file)
    begin, line, end = outcome.out.splitlines()
    assert outcome.code == 0
    assert (begin, end) == (f"# BEGIN dsrun {file}", f"# END dsrun {file}")
    assert line.startswith(
        f"30 2 * * * mkdir -p {work.folder}/outputs/demo && cd {work.folder} && "
    )
    assert f" run {file} --out {work.folder}/outputs --if-running skip --no-progress >>" in line
    assert line.endswith(f">> {work.folder}/outputs/demo/cron.log 2>&1")
    assert not table.exists()


def test_options_are_handed_on_with_absolute_paths(work, monkeypatch):
    monkeypatch.setenv("DASHSCOPE_WORKSPACE", "ws-1")
    (work.folder / "env").write_text("DASHSCOPE_WORKSPACE=ws\n")
    nightly(work)
    line = work.dsrun(
        "cron", "demo.yaml", "-o", "elsewhere", "--env-file", "env", "--catch-up", "7", "--emulate"
    ).out.splitlines()[1]  # fmt: skip
    assert f"--out {work.folder}/elsewhere" in line
    assert f"--env-file {work.folder}/env" in line
    assert " DASHSCOPE_WORKSPACE=ws-1 " in line
    assert "--catch-up 7 --emulate >>" in line


@pytest.mark.parametrize("form", [[], ["--systemd"]], ids=["crontab", "unit"])
def test_folders_that_a_run_may_read_are_handed_on(work, form):
    nightly(work)
    (work.folder / "shared").mkdir()
    (work.folder / "two words").mkdir()
    given = ["--allow-files", "shared", "--allow-files", "two words"]
    out = work.dsrun("cron", "demo.yaml", *given, *form).out
    assert f"--allow-files {work.folder}/shared" in out
    assert f"{work.folder}/two words" in out


def test_options_that_stand_in_the_environment_are_handed_on(work, monkeypatch):
    monkeypatch.setenv("DSRUN_MAX_COST", "5 CNY")
    monkeypatch.setenv("DSRUN_TEXTFILE", "metrics/demo.prom")
    monkeypatch.setenv("DSRUN_DATE", "2026-11-01")  # of this shell alone
    nightly(work)
    monkeypatch.setenv("DSRUN_TRANSPORT", "aiohttp")
    line = work.dsrun("cron", "demo.yaml").out.splitlines()[1]
    assert "DSRUN_TRANSPORT=aiohttp" in line
    monkeypatch.delenv("DSRUN_TRANSPORT")
    line = work.dsrun("cron", "demo.yaml").out.splitlines()[1]
    assert f" DSRUN_MAX_COST='5 CNY' DSRUN_TEXTFILE={work.folder}/metrics/demo.prom " in line
    assert "2026-11-01" not in line
    unit = work.dsrun("cron", "demo.yaml", "--systemd").out
    assert f"\nReadWritePaths={work.folder}/outputs -{work.folder}/metrics\n" in unit


def test_every_variable_of_a_run_is_handed_on_or_has_a_reason_not_to_be():
    names = {
        f"DSRUN_{option}"
        for option in ["OUT", "SET", "ALLOW_FILES", "ENV_FILE", "EMULATE", "CATCH_UP"]
    }  # options
    names |= {
        "DSRUN_IF_RUNNING",
        "DSRUN_NO_PROGRESS",
        "DSRUN_JITTER",
        "DSRUN_JSON",
    }  # are decided by dsrun cron
    names |= {"DSRUN_DATE", "DSRUN_DRY_RUN", "DSRUN_RESUBMIT_UNKNOWN"}  # are for once
    of_run = {parameter.envvar for parameter in cli.commands["run"].params if parameter.envvar}
    every = dict.fromkeys(of_run, "x")
    assert of_run - {*lasting_environment(every)} == names


def test_the_key_of_the_shell_goes_nowhere_and_this_is_said(work, monkeypatch, key):
    monkeypatch.setenv("DASHSCOPE_API_KEY", key)
    file = nightly(work)
    for form in ([], ["--systemd"], ["--kubernetes", "--image", "dsrun"]):
        assert key not in work.dsrun("cron", file, *form).out
    assert "cron will not see DASHSCOPE_API_KEY" in work.dsrun("cron", file).err


def test_a_secret_that_notify_wants_and_cron_has_not_is_a_warning(work):
    text = STEPS.format(schedule='"@daily"')
    file = work.pipeline(f"{text}notify: {{url: {{env: HOOK}}, headers: {{X: {{env: TOKEN}}}}}}")
    (work.folder / "night.env").write_text("HOOK=https://example.org\nTOKEN=x\n")
    assert "will not see HOOK, TOKEN, which notify wants" in work.dsrun("cron", file).err
    assert "warning" not in work.dsrun("cron", file, "--env-file", "night.env").err


def test_a_zone_that_cron_may_not_know_is_a_warning(work, monkeypatch):
    nightly(work)
    assert "TZ of this shell" not in work.dsrun("cron", "demo.yaml").err
    monkeypatch.setenv("TZ", "Asia/Shanghai")
    tzlocal.reload_localzone()
    assert "warning: Asia/Shanghai, the TZ of this shell" in work.dsrun("cron", "demo.yaml").err


def test_installing_shows_the_difference_and_keeps_other_lines(work, table):
    table.write_text("5 4 * * * backup\n")
    file = nightly(work)
    outcome = work.dsrun("cron", file, "--install", "--yes")
    assert outcome.code == 0
    assert f"+# BEGIN dsrun {file}" in outcome.out.splitlines()
    printed = work.dsrun("cron", file).out
    assert table.read_text() == "5 4 * * * backup\n" + printed
    again = work.dsrun("cron", file, "--install", "--yes")
    assert (again.code, again.out, again.err) == (0, "", "the crontab is so already\n")
    assert work.dsrun("cron", file, "--remove", "--yes").code == 0
    assert table.read_text() == "5 4 * * * backup\n"


def test_a_first_crontab_is_made(work, table):
    file = nightly(work)
    assert work.dsrun("cron", file, "--install", "--yes").code == 0
    assert table.read_text() == work.dsrun("cron", file).out


def test_without_a_terminal_nothing_is_changed_unless_agreed(work, table):
    outcome = work.dsrun("cron", nightly(work), "--install")
    assert (outcome.code, table.exists()) == (2, False)
    assert "--yes" in outcome.err


def test_a_crontab_that_cron_refuses_is_one_message(work, table):
    file = nightly(work, path="refused.yaml")
    outcome = work.dsrun("cron", file, "--install", "--yes")
    assert (outcome.code, table.exists()) == (3, False)
    assert "took no new table: bad minute" in outcome.err


def test_without_cron_other_ways_are_named(work, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    outcome = work.dsrun("cron", nightly(work), "--install", "--yes")
    assert outcome.code == 3
    assert "--systemd" in outcome.err


def test_next_lists_the_coming_times_of_all_in_order(work):
    nightly(work, path="a.yaml", name="a", schedule='"0 4 1 1 *"')
    nightly(work, path="b.yaml", name="b", schedule='{cron: "@yearly", timezone: UTC}')
    outcome = work.dsrun("cron", "a.yaml", "b.yaml", "--next", "2", "--json")
    times = [(item["name"], item["at"][4:]) for item in outcome.answer]
    assert (
        times
        == [
            ("b", "-01-01T00:00:00+00:00"),
            ("a", "-01-01T04:00:00+00:00"),
        ]
        * 2
    )
    shown = work.dsrun("cron", "a.yaml", "b.yaml", "--next", "2").out.splitlines()
    assert [line.split()[2:] for line in shown] == [
        ["00:00", "+0000", "UTC", "b"],
        ["04:00", "+0000", "UTC", "a"],
    ] * 2


def test_systemd_units_can_be_written_as_files(work):
    outcome = work.dsrun("cron", nightly(work), "--systemd", "--to", "units")
    assert outcome.out.split() == ["units/dsrun-demo.service", "units/dsrun-demo.timer"]
    assert "OnCalendar=*-*-* 02:30:00\n" in Path("units/dsrun-demo.timer").read_text()
    assert "outputs must be there" in outcome.err
    printed = work.dsrun("cron", "demo.yaml", "--systemd").out
    assert Path("units/dsrun-demo.service").read_text() in printed


def test_a_cronjob_is_in_the_machines_zone_by_name(work):
    outcome = work.dsrun("cron", nightly(work), "--kubernetes", "--image", "dsrun:1")
    assert "  timeZone: UTC\n" in outcome.out
    assert "image: dsrun:1\n" in outcome.out


@pytest.mark.parametrize(
    ("schedule", "arguments", "words"),
    [
        pytest.param(
            '{cron: "@daily", timezone: Asia/Shanghai}', [], "cron knows the machine's zone only",
            id="another zone",
        ),
        pytest.param('"@daily"', ["--kubernetes"], "--image NAME", id="no image"),
        pytest.param(
            '"@daily"', ["--kubernetes", "--image", "x", "-o", "/elsewhere"],
            "/elsewhere is not below the current folder", id="outside of the volume",
        ),
        pytest.param('"@daily"', ["--systemd", "--install"], "take one of them", id="two forms"),
        pytest.param('"@daily"', ["./demo.yaml"], "have the same name, demo", id="twice"),
        pytest.param('"0 25 * * *"', [], "demo.yaml:3:11: schedule: ", id="no expression"),
    ],
)  # fmt: skip
def test_what_cannot_be_scheduled_is_said_in_one_message(work, table, schedule, arguments, words):
    nightly(work, schedule=schedule)
    outcome = work.dsrun("cron", "demo.yaml", *arguments)
    assert (outcome.code, outcome.out) == (2, "")
    assert words in outcome.err


def test_a_pipeline_without_schedule_is_told_how_to_get_one(work):
    outcome = work.dsrun("cron", work.posters(1))
    assert outcome.code == 2
    assert 'has no schedule; add a line such as `schedule: "0 3 * * *"`' in outcome.err


def test_the_json_of_times_has_the_pipeline(work):
    (item,) = json.loads(work.dsrun("cron", nightly(work), "--next", "1", "--json").out)
    assert item.keys() == {"name", "pipeline", "at"}
    assert item["pipeline"] == str(work.folder / "demo.yaml")


DEAR = """
schedule: {schedule}
steps:
  posters:
    operation: wanx-v1
    matrix: {{number: {{range: [1, 50]}}}}
    input: {{prompt: "a lantern {{{{ number }}}}"}}
"""
K8S = ["--kubernetes", "--image", "dsrun:1"]
FORMS = pytest.mark.parametrize("form", [[], ["--systemd"], K8S], ids=["cron", "unit", "cronjob"])


class TestCost:
    @FORMS
    def test_of_a_run_above_confirm_above_is_told_and_agreed_to(self, work, form):
        work.pipeline(DEAR.format(schedule='"@daily"'), confirm_above="1 CNY")
        outcome = work.dsrun("cron", "demo.yaml", *form)
        assert "--yes" in outcome.out
        assert re.search(
            r"warning: demo\.yaml: each run may cost [\d.]+ CNY, more than confirm_above \(1 CNY\)",
            outcome.err,
        )

    @FORMS
    @pytest.mark.parametrize("above", ["100 CNY", None])
    def test_of_a_run_below_it_is_not(self, work, form, above):
        work.pipeline(DEAR.format(schedule='"@daily"'), confirm_above=above)
        outcome = work.dsrun("cron", "demo.yaml", *form)
        assert "--yes" not in outcome.out
        assert "may cost" not in outcome.err

    def test_is_none_of_an_emulated_run(self, work):
        work.pipeline(DEAR.format(schedule='"@daily"'), confirm_above="1 CNY")
        assert "--yes" not in work.dsrun("cron", "demo.yaml", "--emulate").out

    @pytest.mark.parametrize(("value", "is_said"), [("1", False), ("0", True)])
    def test_that_dsrun_yes_agrees_to_is_not_told_again(self, work, monkeypatch, value, is_said):
        monkeypatch.setenv("DSRUN_YES", value)
        work.pipeline(DEAR.format(schedule='"@daily"'), confirm_above="1 CNY")
        assert ("may cost" in work.dsrun("cron", "demo.yaml").err) is is_said

    def test_that_cannot_be_told_yet_is_a_warning(self, work):
        text = DEAR.format(schedule='"@daily"').replace("{{ number", "{{ nope")
        work.pipeline(text, confirm_above="1 CNY")
        outcome = work.dsrun("cron", "demo.yaml")
        assert outcome.code == 0
        assert "what a run costs cannot be told yet" in outcome.err


class TestKey:
    @pytest.mark.parametrize("form", [[], ["--systemd"]], ids=["cron", "unit"])
    @pytest.mark.parametrize(
        ("text", "is_said"),
        [("HOOK=x", True), ("DASHSCOPE_API_KEY=", True), ("DASHSCOPE_API_KEY=sk-x", False),
         ("DASHSCOPE_API_KEY_FILE_PATH=/run/key", False)],
    )  # fmt: skip
    def test_of_the_shell_alone_is_missed_in_every_form(
        self, work, monkeypatch, form, text, is_said
    ):
        monkeypatch.setenv("DASHSCOPE_API_KEY", "sk-of-the-shell")
        nightly(work)
        assert "will not see DASHSCOPE_API_KEY" in work.dsrun("cron", "demo.yaml", *form).err
        (work.folder / "env").write_text(text)
        err = work.dsrun("cron", "demo.yaml", *form, "--env-file", "env").err
        assert ("will not see DASHSCOPE_API_KEY" in err) is is_said

    def test_in_a_file_is_all_that_is_needed(self, work, monkeypatch, key):
        monkeypatch.setenv("DASHSCOPE_API_KEY", key)
        (work.folder / "key").write_text(key)
        monkeypatch.setenv("DASHSCOPE_API_KEY_FILE_PATH", "key")
        outcome = work.dsrun("cron", nightly(work), "--systemd")
        assert "will not see" not in outcome.err
        assert f"LoadCredential=api_key:{work.folder}/key" in outcome.out

    def test_of_a_cronjob_is_said_to_come_from_a_secret(self, work):
        assert "from the secret `dashscope`" in work.dsrun("cron", nightly(work), *K8S).err


def test_kubernetes_puts_no_variable_into_a_word(work, monkeypatch):
    monkeypatch.setenv("DSRUN_ONLY", "tone == '$(HOME)'")
    work.pipeline(STEPS.format(schedule='"@daily"') + "params: {tone: a}\n")
    out = work.dsrun(
        "cron", "demo.yaml", *K8S, "--set", "tone=$(HOME) $$y", "-o", "$(PWD)"
    ).out  # fmt: skip
    job = yaml.safe_load(out)["spec"]["jobTemplate"]["spec"]["template"]
    (container,) = job["spec"]["containers"]
    assert "tone=$$(HOME) $$$$y" in container["args"]
    assert "/pipelines/$$(PWD)" in container["args"]
    assert {"name": "DSRUN_ONLY", "value": "tone == '$$(HOME)'"} in container["env"]


class TestZone:
    """TZ may hold a rule of POSIX, as a shell in China has CST-8."""

    def answer(self, work, zone, *arguments):
        command = [*work.command, "cron", "demo.yaml", *arguments]
        return work.spawn_command(command, env=os.environ | {"TZ": zone}).end()

    @pytest.mark.parametrize(
        ("zone", "offset"),
        [("CST-8", "+0800"), ("<+0530>-5:30", "+0530"), ("UTC0", "+0000"), ("MST7", "-0700")],
    )
    def test_is_read_from_a_rule(self, work, zone, offset):
        nightly(work)
        shown = self.answer(work, zone, "--next", "1")
        assert (shown.code, shown.err) == (0, "")
        assert f" 02:30 {offset} " in shown.out
        assert self.answer(work, zone).code == 0

    def test_of_a_rule_with_summer_time_has_both_offsets(self, work):
        nightly(work, schedule='"0 3 1 1,7 *"')
        shown = self.answer(work, "PST8PDT,M3.2.0,M11.1.0", "--next", "2").out
        assert {line.split()[3] for line in shown.splitlines()} == {"-0800", "-0700"}

    @pytest.mark.parametrize(("zone", "name"), [("CST-8", "Etc/GMT-8"), ("XYZ3", "Etc/GMT+3")])
    def test_has_a_name_for_kubernetes(self, work, zone, name):
        nightly(work)
        assert f"timeZone: {name}\n" in self.answer(work, zone, *K8S).out

    def test_without_a_name_is_refused_for_kubernetes(self, work):
        nightly(work)
        shown = self.answer(work, "IST-5:30", *K8S)
        assert shown.code == 2
        assert "give the schedule a timezone" in shown.err

    def test_that_is_none_is_told_with_what_was_meant(self, work):
        nightly(work)
        shown = self.answer(work, "Asia/Shanghay")
        assert shown.code == 3
        assert "TZ is 'Asia/Shanghay', which is no time zone (did you mean Asia/Shanghai?)" in (
            shown.err
        )

    def test_of_the_schedule_is_all_that_counts_where_it_has_one(self, work):
        nightly(work, schedule='{cron: "@daily", timezone: Asia/Tokyo}')
        assert self.answer(work, "nowhere", "--next", "1").code == 0
        assert "timeZone: Asia/Tokyo\n" in self.answer(work, "nowhere", *K8S).out
        assert self.answer(work, "nowhere", "--systemd").code == 0
