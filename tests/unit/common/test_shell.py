"""Words of a command survive the console and a shell, whatever they hold."""

import os
import subprocess
from pathlib import Path

import pytest

from dsrun.common.escaping import shown
from dsrun.common.shell import command_line, option

WORDS = [
    "plain", "", "two words", "it's", '"x"', "$HOME `id` $(id)", "a\nb\tc", "\\", "!1", "~", "*",
    "灯 🏮", "\u202edetour", "##[error]x", "\x1b[31m", "a\xa0b", "a;b&c|d>e", "#x", "--only=a > 1",
    os.fsdecode(b"g\xff"), "\n0", "{a,b}",
]  # fmt: skip


@pytest.mark.parametrize("word", WORDS)
def test_bash_reads_the_word_that_was_meant(word):
    line = shown(command_line("printf", "%s", word, option("set", word)))
    read = subprocess.run(["bash", "-c", line], capture_output=True, check=True).stdout
    assert read == os.fsencode(f"{word}--set={word}")


@pytest.mark.parametrize(
    ("path", "written"),
    [
        ("a.yaml", "a.yaml"),
        ("-a.yaml", "./-a.yaml"),
        ("plan", "./plan"),
        ("-x/a", "./-x/a"),
        ("a b/c", "'a b/c'"),
        ("/srv/plan", "/srv/plan"),
    ],
)
def test_a_path_is_no_option_and_no_command(path, written):
    assert command_line("dsrun", Path(path)) == f"dsrun {written}"
