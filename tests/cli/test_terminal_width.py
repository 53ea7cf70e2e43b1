"""Tables in a terminal of few columns, and as they are where no terminal reads them."""

import fcntl
import os
import pty
import struct
import subprocess
import termios

import pytest

PLAN = """
steps:
  cast:
    operation: wan2.5-t2i-preview
    matrix: {who: {file: cast.csv}}
    input: {prompt: "{{ who.name }}, {{ who.looks }}"}
  large:
    operation: wan2.5-i2i-preview
    matrix: {pick: {step: cast}}
    input: {prompt: Larger., images: ["{{ pick.artifact }}"]}
"""
NUMBERS = ("0.2", "2026-05", "wan2.5-i2i-preview")


@pytest.fixture
def made(work):
    (work.folder / "cast.csv").write_text("name,looks\nMira,an old face\nTom,a young face\n")
    work.pipeline(PLAN)
    assert work.dsrun("run", "demo.yaml", "--emulate").code == 0
    return work


def in_terminal(work, columns, *arguments):
    """What a terminal of so many columns shows."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
    child = subprocess.Popen(
        [*work.command, *arguments],
        cwd=work.folder, stdin=subprocess.DEVNULL, stdout=theirs, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    os.close(theirs)
    shown = b""
    while True:
        try:
            part = os.read(ours, 65536)
        except OSError:  # the end of a terminal that nobody writes to any more
            break
        if not part:
            break
        shown += part
    assert child.wait(60) == 0
    os.close(ours)
    return shown.decode().replace("\r\n", "\n").splitlines()


@pytest.mark.parametrize("columns", [40, 60, 80])
@pytest.mark.parametrize("command", ["operations", "ledger", "history"])
def test_no_line_is_wider_than_the_terminal_but_for_one_word(made, command, columns):
    arguments = {
        "operations": ["operations"],
        "ledger": ["ledger", "demo.yaml", "--emulate"],
        "history": ["history", "--emulate"],
    }[command]
    lines = in_terminal(made, columns, *arguments)
    assert len(lines) > 1
    for line in (one for one in lines if "`" not in one):  # a command is copied whole
        assert len(line) <= columns or len(line.split()) == 1, line


@pytest.mark.parametrize("columns", [40, 60, 80])
def test_a_plan_names_its_columns_and_breaks_no_number(made, columns):
    lines = in_terminal(made, columns, "plan", "demo.yaml", "--emulate", "--step", "large")
    told = " ".join("\n".join(lines).split())
    assert "jobs 2, done 2, cached 0, to send 0" in told
    assert all(number in told.split() or f"{number}," in told.split() for number in NUMBERS[2:])
    assert "(price of 2026-05)" in told


def test_a_row_of_a_file_is_shown_by_its_columns(made):
    shown = made.dsrun("plan", "demo.yaml", "-o", "elsewhere", "--full").out
    assert 'who (name "Mira", looks "an old face")' in shown
    assert 'pick cast 0 (who.name "Mira", who.looks "an old face")' in shown
    facts = made.dsrun("explain", "cast/1", "demo.yaml", "--emulate").out
    assert 'cast/1: who (name "Tom", looks "a young face")' in facts


def test_what_a_program_reads_has_a_line_for_each_row(made):
    lines = made.dsrun("ledger", "demo.yaml", "--emulate").out.splitlines()
    assert len(lines) == 1 + 4
    assert max(map(len, lines)) > 100
