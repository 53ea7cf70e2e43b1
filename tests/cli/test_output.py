"""Answers go to stdout, all else to stderr; only a terminal gets a bar, colours and questions."""

import os
import pty
import subprocess
import sys
import termios
from pathlib import Path

import click

from dsrun.cli.main import cli, main


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


QUESTION = """
import os, pty, sys, time
pid, fd = pty.fork()
if pid == 0:
    os.execv(sys.executable, [sys.executable, "-m", "dsrun", *sys.argv[1:]])
shown = b""
while b"[y/N]" not in shown:
    shown += os.read(fd, 1024)
os.write(fd, b"\\x03")
try:
    while part := os.read(fd, 1024):
        shown += part
except OSError:
    pass
sys.stdout.write(shown.decode())
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"""


def test_the_first_ctrl_c_at_a_question_ends_the_run_and_leaves_nothing(work, emulator):
    pipeline = work.posters(3, confirm_above="0.1 CNY")
    child = work.spawn_command([sys.executable, "-c", QUESTION, pipeline])
    outcome = child.end()
    assert outcome.code == 130
    assert "interrupted" in outcome.out
    assert emulator.requests() == []
    assert not (work.folder / "outputs").exists()


def test_ctrl_c_at_the_question_about_notices_is_no_bug(work, emulator, tmp_path):
    work.pipeline(
        "notify: {on: [failure], command: [touch, told]}\n"
        "steps: {a: {operation: wanx-v1, input: {prompt: a cat}}}"
    )
    outcome = work.spawn_command([sys.executable, "-c", QUESTION, "demo.yaml"]).end()
    assert outcome.code == 130
    assert "bug" not in outcome.out
    assert emulator.requests() == []
    assert not (work.folder / "told").exists()


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
