"""The command that goes on with a run, as its directory has it."""

from pathlib import Path

from dsrun.common.lockfile import read_lockfile
from dsrun.common.shell import command_line, option
from dsrun.storage.layout import RunLayout


def resuming_command(run_dir: Path) -> str:
    """The command that its last invocation left; the lock file where an older dsrun ran."""
    if command := read_lockfile(run_dir).get("command"):
        return str(command)
    layout = RunLayout.of(run_dir)
    emulate = ["--emulate"] if layout.emulated else []
    return command_line("dsrun", layout.lockfile, option("out", layout.out), *emulate)
