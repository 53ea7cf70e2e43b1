"""`dsrun status --watch` shows a run of another process, and never gets in its way."""

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time

import pytest

CODES = re.compile(rb"\x1b\[[0-9;?]*[A-Za-z]|\x1b[=>]")


class Terminal:
    """A terminal in which dsrun watches a run."""

    def __init__(self, work, *arguments, columns=100, rows=40, **environment):
        self._master, slave = pty.openpty()
        self.resize(columns, rows)
        self._before = termios.tcgetattr(slave)
        self._slave = slave
        environment = os.environ | {"TERM": "xterm", "COLUMNS": "", "LINES": ""} | environment
        self.process = subprocess.Popen(
            [*work.command, "status", *arguments, "--watch"], cwd=work.folder, env=environment,
            stdin=slave, stdout=slave, stderr=slave, start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # noqa: PLW1509  # so ^C signals
        )  # fmt: skip
        self._seen = b""

    def resize(self, columns, rows):
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("4H", rows, columns, 0, 0))

    def press(self, keys):
        os.write(self._master, keys)

    def seen(self):
        """All that it has shown so far, without the codes of colours and places."""
        while select.select([self._master], [], [], 0)[0]:
            try:
                self._seen += os.read(self._master, 65536)
            except OSError:  # its end
                break
        return CODES.sub(b"", self._seen).decode(errors="replace")

    @property
    def raw(self):
        self.seen()
        return self._seen

    def end(self):
        until = time.monotonic() + 60
        while self.process.poll() is None:
            assert time.monotonic() < until, "it never ends"
            self.seen()
            time.sleep(0.02)
        return self.process.returncode

    @property
    def is_as_before(self):
        return termios.tcgetattr(self._slave) == self._before

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self._master)
        os.close(self._slave)


@pytest.fixture
def watch(work):
    terminals = []

    def start(*arguments, **size):
        terminals.append(Terminal(work, *arguments, **size))
        return terminals[-1]

    yield start
    for terminal in terminals:
        terminal.close()


@pytest.fixture
def live(work, emulator):
    child = work.spawn(work.posters(40, rate="4/s", max_cost="40 CNY"), "--no-progress")
    work.until(lambda: emulator.paid() > 1, what="a few jobs are sent")
    yield child
    if child.process.poll() is None:  # in peace, so that the emulator sees its connections end
        child.send(signal.SIGINT)
        child.wait_for_words("stopping: ")
        child.send(signal.SIGINT)
        child.end()


def sees(work, terminal, words):
    work.until(lambda: words in terminal.seen(), what=f"{words!r} on the terminal")


def test_shows_steps_pace_spend_and_what_is_in_force(work, live, watch):
    terminal = watch("demo.yaml")
    for words in ("posters", "/40", "jobs a minute", "CNY spent", "left of 40 CNY", "to go",
                  "wanx-v1 4 in 1 s", "running for", "q ends this view"):  # fmt: skip
        sees(work, terminal, words)
    work.dsrun("control", "demo.yaml", "pause")
    sees(work, terminal, "paused for")


@pytest.mark.parametrize("key", [b"q", b"Q", b"\x1b", b"\x03", b"\x04"], ids=repr)
def test_a_key_ends_the_view_and_not_the_run(work, live, watch, key):
    terminal = watch("demo.yaml")
    sees(work, terminal, "running for")
    terminal.press(key)
    assert terminal.end() == 0
    assert "demo" in terminal.seen().rsplit("q ends this view", 1)[1]  # where it stands, to keep
    assert terminal.is_as_before
    assert live.process.poll() is None


def test_a_view_that_is_terminated_leaves_the_terminal_as_it_was(work, live, watch):
    terminal = watch("demo.yaml")
    sees(work, terminal, "running for")
    terminal.process.terminate()
    assert terminal.end() == 0
    assert terminal.is_as_before


def test_it_ends_when_the_run_does(work, emulator, watch):
    child = work.spawn(work.posters(8, rate="4/s"), "--no-progress")
    work.until(lambda: emulator.paid() > 0, what="a job is sent")
    terminal = watch("demo.yaml")
    assert terminal.end() == 0
    assert child.end().code == 0
    assert "8 succeeded" in terminal.seen()
    assert work.dsrun("verify", work.run_dir()).code == 0


def test_of_a_killed_run_it_says_that_nobody_runs_it(work, live, watch):
    terminal = watch("demo.yaml")
    sees(work, terminal, "running for")
    live.kill()
    assert terminal.end() == 0
    assert "not running" in terminal.seen()
    assert "was killed: `dsrun " in terminal.seen()
    again = watch("demo.yaml")
    assert again.end() == 0
    assert "was killed" in again.seen()


def test_failures_and_throttling_are_told(work, serve, watch):
    service = serve("throttle=0.5", "failed-task=0.5")
    child = work.spawn(work.posters(200, rate="20/s"), "--no-progress")
    work.until(lambda: service.paid() > 3, what="a few jobs are sent")
    terminal = watch("demo.yaml", columns=60, rows=24)
    sees(work, terminal, "refused for the rate")
    sees(work, terminal, "last failures")
    sees(work, terminal, "InternalError.Timeout")
    terminal.resize(30, 10)
    terminal.press(b"q")
    assert terminal.end() == 0
    child.kill()


def test_a_terminal_that_can_do_nothing_gets_lines(work, live, watch):
    terminal = watch("demo.yaml", TERM="dumb")
    sees(work, terminal, "of 40 jobs ended")
    terminal.press(b"\x03")
    assert terminal.end() == 0
    assert b"\x1b" not in terminal.raw


@pytest.mark.parametrize(
    "environment",
    [{"PYTHONIOENCODING": "latin-1"}, {"PYTHONIOENCODING": "ascii"}, {"NO_COLOR": "1"}],
    ids=str,
)
def test_terminals_of_all_kinds_show_it(work, live, watch, environment):
    terminal = watch("demo.yaml", **environment)
    sees(work, terminal, "running for")
    sees(work, terminal, "/40")
    terminal.press(b"q")
    assert terminal.end() == 0
    if "NO_COLOR" in environment:
        assert not re.search(rb"\x1b\[[0-9;]*3[0-9]m", terminal.raw)


def test_without_a_terminal_it_writes_a_line_now_and_then(work, live):
    watching = work.spawn("status", "demo.yaml", "--watch")
    watching.wait_for_answer("of 40 jobs ended")
    live.send(signal.SIGINT)
    assert live.end().code == 130
    outcome = watching.end()
    assert outcome.code == 0
    lines = outcome.out.splitlines()
    assert sum("of 40 jobs ended" in line for line in lines) == 1
    assert "\x1b" not in outcome.out
    assert "ended" in lines[-1]


def test_ctrl_c_is_a_normal_end_without_a_terminal_too(work, live):
    watching = work.spawn("status", "demo.yaml", "--watch")
    watching.wait_for_answer("of 40 jobs ended")
    watching.send(signal.SIGINT)
    assert watching.end().code == 0
    assert live.process.poll() is None


def test_a_view_and_an_answer_are_two_things(work, emulator):
    work.dsrun(work.posters(1))
    assert work.dsrun("status", "demo.yaml", "--watch", "--json").code == 2
