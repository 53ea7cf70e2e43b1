"""The first time on a machine the user sees whom a pipeline tells, and agrees; else it ends."""

import json
import os
import pty
import stat
import subprocess
import sys
from pathlib import Path

import pytest

import dsrun

MARK = [sys.executable, "-c", "open('told', 'a').write('x')"]


def pipeline(work, **section):
    path = work.posters(1)
    path.write_text(f"{path.read_text()}notify: {json.dumps({'on': 'always'} | section)}\n")
    return path


def told(work):
    file = work.folder / "told"
    return len(file.read_text()) if file.exists() else 0


def remembered():
    return Path(os.environ["HOME"]) / ".local" / "state" / "dsrun" / "allowed-notices"


def test_without_a_terminal_it_is_refused_before_anything_is_sent(work, emulator):
    path = pipeline(work, command=MARK, url="https://user:word@example.org@hooks.invalid/a")
    outcome = work.dsrun(path)
    assert outcome.code == 2
    assert "a POST to hooks.invalid, " in outcome.err
    assert f"the command `{sys.executable} -c " in outcome.err
    assert "nothing was sent" in outcome.err
    assert "--allow-notify" in outcome.err
    assert (told(work), emulator.requests(), (work.folder / "outputs").exists()) == (0, [], False)


@pytest.mark.parametrize("lack", ["a key", "a valid job"])
def test_a_run_that_cannot_begin_tells_nobody_who_is_not_allowed(work, emulator, lack, monkeypatch):
    path = pipeline(work, command=MARK)
    if lack == "a key":
        monkeypatch.delenv("DASHSCOPE_API_KEY")
    else:
        path.write_text(path.read_text().replace("a lantern", "a {{ nothing }}"))
    assert work.dsrun(path).code == 2
    assert told(work) == 0


def test_it_is_remembered_by_what_the_section_says(work, emulator):
    path = pipeline(work, command=MARK)
    assert work.dsrun(path, "--allow-notify").code == 0
    assert work.dsrun(path).code == 0
    assert told(work) == 2
    path.write_text(path.read_text().replace("'told'", "'other'"))
    assert work.dsrun(path).code == 2
    assert stat.S_IMODE(remembered().stat().st_mode) == 0o600


def test_a_program_beside_the_manifest_is_allowed_as_it_is_where_it_is(work, emulator, tmp_path):
    tell = work.folder / "tell.sh"
    tell.write_text("#!/bin/sh\necho x >> told\n")
    tell.chmod(0o755)
    path = pipeline(work, command=["./tell.sh"])
    assert work.dsrun(path, "--allow-notify").code == 0
    assert work.dsrun(path).code == 0
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    for file in (path, tell):
        (elsewhere / file.name).write_bytes(file.read_bytes())
    assert work.dsrun(elsewhere / path.name).code == 2
    tell.write_text("#!/bin/sh\nrm -r ~\n")
    assert work.dsrun(path).code == 2


def test_an_emulated_run_tells_nobody_and_asks_nothing(work):
    path = pipeline(work, command=MARK)
    for more in ([], ["--allow-notify"]):
        assert work.dsrun(path, "--emulate", *more).code == 0
    assert told(work) == 0
    assert not remembered().exists()


def test_plan_and_validate_show_what_would_be_called(work, monkeypatch):
    monkeypatch.setenv("HOOK", "http://169.254.169.254/latest")
    path = pipeline(work, command=["tell", "a b"], url={"env": "HOOK"},
                    headers={"X": {"env": "TOKEN"}, "Y": "plain"})  # fmt: skip
    address = "the address in the variable HOOK (169.254.169.254)"
    words = f"a POST to {address} with the headers X from the variable TOKEN, Y"
    command = f"the command `tell 'a b'` in {work.folder}"
    for outcome in (work.dsrun("plan", path), work.dsrun("validate", path)):
        said = outcome.out + outcome.err
        assert f"notify on always: {words}\n" in said
        assert f"notify on always: {command}\n" in said
        assert "not allowed on this machine yet" in said
    expected = {"on": ["always"], "calls": [words, command], "allowed": False}
    assert work.dsrun("plan", path, "--json").answer["notify"] == expected
    assert work.dsrun("validate", path, "--json").answer[0]["notify"] == expected
    assert work.dsrun("plan", path, "--emulate", "--json").answer["notify"] is None
    assert work.dsrun("plan", work.posters(1), "--json").answer["notify"] is None


@pytest.mark.parametrize(("answer", "code", "times"), [("y\n", 0, 1), ("n\n", 2, 0), ("\n", 2, 0)])
def test_a_terminal_is_asked(work, emulator, answer, code, times):
    path = pipeline(work, command=[*MARK, "\x1b[31mred\u202e"])
    ours, theirs = pty.openpty()
    try:
        os.write(ours, answer.encode())
        child = subprocess.run(
            [*work.command, "run", path, "--quiet"], stdin=theirs, capture_output=True, text=True,
            timeout=60, check=False,
        )  # fmt: skip
    finally:
        os.close(ours)
        os.close(theirs)
    assert (child.returncode, told(work)) == (code, times)
    assert "Allow it from now on? [y/N]" in child.stderr
    assert r"\x1b[31mred\u202e" in child.stderr
    assert "\x1b" not in child.stderr
    assert remembered().exists() == (code == 0)


@pytest.mark.parametrize("rubbish", [b"", b"\x00\xff\nrubbish\n", b"x" * 2_000_000])
def test_rubbish_in_the_memory_allows_nothing_and_is_in_nobodys_way(work, emulator, rubbish):
    path = pipeline(work, command=MARK)
    remembered().parent.mkdir(parents=True)
    remembered().write_bytes(rubbish)
    assert work.dsrun(path).code == 2
    assert work.dsrun(path, "--allow-notify").code == 0
    assert work.dsrun(path).code == 0


def test_a_memory_that_others_can_write_does_not_count(work, emulator):
    path = pipeline(work, command=MARK)
    assert work.dsrun(path, "--allow-notify").code == 0
    remembered().chmod(0o666)
    assert work.dsrun(path).code == 2


def test_where_nothing_can_be_remembered_it_is_said_and_the_run_goes_on(work, emulator):
    path = pipeline(work, command=MARK)
    remembered().parent.parent.mkdir(parents=True)
    remembered().parent.write_text("a file in the way")
    outcome = work.dsrun(path, "--allow-notify")
    assert (outcome.code, told(work)) == (0, 1)
    assert "cannot be remembered" in outcome.err


def test_a_program_agrees_by_a_keyword(work, emulator):
    path = pipeline(work, command=MARK)
    with pytest.raises(dsrun.UsageError, match="allow_notify=True"):
        dsrun.run_sync(path)
    assert dsrun.run_sync(path, allow_notify=True).ok
    assert told(work) == 1


@pytest.mark.parametrize("form", [[], ["--systemd"], ["--kubernetes", "--image", "dsrun"]])
def test_who_schedules_a_pipeline_sees_whom_it_tells_and_agrees(work, form):
    path = pipeline(work, command=MARK)
    path.write_text(f'{path.read_text()}schedule: "@daily"\n')
    outcome = work.dsrun("cron", path, *form)
    assert "--allow-notify" in outcome.out
    assert f"each run may call the command `{sys.executable} -c " in outcome.err
    path = work.posters(1)
    path.write_text(f'{path.read_text()}schedule: "@daily"\n')
    assert "--allow-notify" not in work.dsrun("cron", path, *form).out
