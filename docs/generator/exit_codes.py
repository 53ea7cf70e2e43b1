"""docs/reference/exit-codes.md, from the enumeration of the codes."""

from dsrun.common.errors import ExitCode
from generator.markdown import code, made_by, table

MEANINGS = {
    ExitCode.OK: (
        "Every selected job has succeeded, now or before.",
        "Nothing.",
    ),
    ExitCode.JOBS_FAILED: (
        "A job failed, was skipped, is partial, cancelled or unknown; `verify` found damage.",
        "`dsrun ledger DIR --errors` lists why; see [troubleshooting](../troubleshooting.md).",
    ),
    ExitCode.INVALID: (
        "The command line or the manifest is wrong; nothing was sent.",
        "Mend what the message names: every problem is told at once, with its place.",
    ),
    ExitCode.INCOMPLETE: (
        "Incomplete: key, account, budget, too many failures, disk. Nothing was lost.",
        "Remove the cause that the last line names, and run the same command again.",
    ),
    ExitCode.BUG: (
        "A bug in dsrun: one line on the terminal, the rest in a log file.",
        "Report it with the log file. What was paid is in the ledger; the same command goes on.",
    ),
    ExitCode.LOCKED: (
        "Another run holds this directory.",
        "Wait for it, or give `--if-running skip` or `wait`. With `skip` the code is 0.",
    ),
    ExitCode.INTERRUPTED: (
        "Interrupted by Ctrl-C, with jobs left.",
        "Run the same command again: it goes on.",
    ),
    ExitCode.TERMINATED: (
        "Terminated by SIGTERM, with jobs left.",
        "Run the same command again: it goes on.",
    ),
}

_HEAD = f"""\
# Exit codes

{made_by("the codes in `dsrun.common.errors`")}
Codes 1 and 3 differ in what is left. After 1 every job has ended, and some not well. After 3 jobs
are left that were not sent or have not ended, and the same command goes on with them. In both cases
everything that was made is on disk and in the ledger.
"""

_TAIL = """\
The first Ctrl-C submits nothing more and finishes what is nearly done; the second stops at once.
[Commands](commands.md) tells which of them can end with which code.

## In a script

A scheduler should alarm on every code but 0. It may start the same command again after each of
them: what is done is not done again, and what was paid is not paid again.

```sh
dsrun posters.yaml --yes --if-running skip || echo "posters ended with exit code $?" >&2
```
"""


def exit_codes_page() -> str:
    """The whole page, as Markdown. Raises KeyError for a code without a meaning."""
    rows = [(str(int(each)), code(each.name), *MEANINGS[each]) for each in sorted(ExitCode)]
    return "\n".join([_HEAD, table(("code", "in Python", "means", "what to do"), rows), _TAIL])
