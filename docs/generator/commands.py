"""docs/reference/commands.md, from the click commands."""

import re
from collections.abc import Iterator

import click

from dsrun.cli.main import cli
from dsrun.common.errors import ExitCode
from generator.markdown import code, made_by, plain, table

HEAD = f"""\
# Commands

{made_by("the commands themselves")}
`dsrun PIPELINE` is `dsrun run PIPELINE`: whatever is not the name of a command is a pipeline.
Without any argument it is `dsrun.yaml` of this folder. `dsrun COMMAND --help` tells the same.

An option can also be given by the variable that stands beside it. The command line wins over the
variable, and the variable over the manifest. A variable of an option that is repeatable takes
several values: `DSRUN_SET` has one on each line, `DSRUN_ALLOW_FILES` has `:` between them (`;` on
Windows), and `DSRUN_STEP` has blanks.

Every command can end with [exit code](exit-codes.md) 0, with 2 where the command line or a manifest
is wrong, with 3 where the disk, the key or a ledger does not let it go on, with 4 for a bug in
dsrun, and with 130 after Ctrl-C. Each section tells what else it means by a code.
"""

_RUN_CODES = {
    ExitCode.JOBS_FAILED: "a selected job failed, was skipped, is partial, cancelled or unknown",
    ExitCode.INCOMPLETE: "stopped early: key, account, budget, many failures, disk; run it again",
    ExitCode.LOCKED: "another run holds the directory; with `--if-running skip` it is 0",
    ExitCode.INTERRUPTED: "Ctrl-C, with jobs left; run it again",
    ExitCode.TERMINATED: "SIGTERM, with jobs left; run it again",
}
CODES = {
    "run": _RUN_CODES,
    "validate": {ExitCode.INVALID: "a pipeline has a problem"},
    "operations": {ExitCode.INVALID: "with `--check`: a file does not hold to its sample"},
    "verify": {ExitCode.JOBS_FAILED: "a file is damaged or missing"},
    "history": {ExitCode.INCOMPLETE: "a ledger cannot be read; the rest is shown"},
    "cost": {ExitCode.INCOMPLETE: "a ledger cannot be read; the rest is shown"},
    "cron": {ExitCode.INCOMPLETE: "with `--install`: you did not agree, and nothing has changed"},
}


def commands_page() -> str:
    """The whole page, as Markdown. Raises ValueError for codes of a command that is no more."""
    if gone := CODES.keys() - cli.commands.keys():
        raise ValueError(f"generator/commands.py has exit codes of {', '.join(gone)}")
    context = click.Context(cli, info_name="dsrun")
    names = sorted(cli.commands, key=lambda name: (name != "run", name))
    parts = [HEAD]
    for name in names:
        parts += _section(name, click.Context(cli.commands[name], info_name=name, parent=context))
    return "\n".join(parts)


def _section(name: str, context: click.Context) -> Iterator[str]:
    command = context.command
    yield f"## dsrun {name}\n"
    yield f"```text\ndsrun {name} {' '.join(command.collect_usage_pieces(context))}\n```\n"
    for paragraph in (command.help or "").split("\n\n"):
        yield f"{plain(paragraph)}\n"
    options = [each for each in command.params if isinstance(each, click.Option)]
    if options:
        yield table(("option", "variable", ""), (_row(each, context) for each in options))
    if name in CODES:
        rows = ((str(int(number)), words) for number, words in CODES[name].items())
        yield table(("exit code", "means"), rows)


def _row(option: click.Option, context: click.Context) -> tuple[str, str, str]:
    record = option.get_help_record(context)
    if record is None:
        raise ValueError(f"{option.name} is hidden, and has no words")
    names, words = record
    default = "" if option.is_flag or not option.show_default else f"{option.default}"
    told = re.sub(r"\s+\[(?:default: .*|.*required.*|.*[<>]=.*)\]$", "", words)
    if own := re.search(r"\[default: (\S+)\]", words):
        default = own[1]
    return (
        code(re.sub(r"\[.*\|.*\]$", "WORD", names)),
        code(option.envvar) if isinstance(option.envvar, str) else "",
        plain(_with_values(told, option) + (f" Default: `{default}`." if default else "")),
    )


def _with_values(words: str, option: click.Option) -> str:
    kind = option.type
    if isinstance(kind, click.Choice):
        *others, last = kind.choices
        return f"{words} {', '.join(map(code, others))} or {code(last)}."
    if not isinstance(kind, click.types._NumberRangeBase):  # noqa: SLF001  # click has no name for both
        return words
    low, high = kind.min, kind.max
    if low is not None and high is not None:
        return f"{words} From {low} to {high}."
    return f"{words} At least {low}."
