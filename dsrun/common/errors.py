"""Every failure that dsrun expects, and the exit code of each.

DsrunError
|- UsageError         (2)  the command line is wrong
|- ManifestError      (2)  one or more Problems in the manifest or its files
|- SetupError         (3)  credential, disk, ledger version: the environment
|  `- GroundLost           the directory of a run was taken away from under it
|- RunLocked          (75) another run holds the directory
|- RunFailed               a run did not fully succeed; only the Python API raises it
|- FileChanged             never leaves the runner: the job fails
`- ApiError                never leaves the client; `classify` turns it into a decision
   |- NotSent              the request never left: safe to repeat
   |  `- ProxyRefused      a proxy does not let it pass, and will not the next time
   `- AnswerLost           it may have arrived: a create is ambiguous
      |- TooLong           it is longer than any honest answer, and was not read to its end
      `- Expired           the file host does not serve this address, or not any more
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, NamedTuple


class ExitCode(IntEnum):
    """What a shell or a cron job sees of a command."""

    OK = 0
    JOBS_FAILED = 1
    INVALID = 2
    INCOMPLETE = 3
    BUG = 4
    LOCKED = 75
    INTERRUPTED = 130
    TERMINATED = 143


class FileLine(NamedTuple):
    """A line of a file, from 1; `column` too, from 1, where not the whole line is meant."""

    file: str
    line: int
    column: int = 0

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}"
        return f"{place}:{self.column}" if self.column else place


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """The jobs of a step that share a problem: `count` of `of`, and the inputs of the first."""

    count: int
    of: int
    index: int  # of the first
    matrix: Mapping[str, Any]  # of the first
    data: tuple[FileLine, ...] = ()  # where the values of the first stand


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing wrong in a user's file. Lines and columns count from 1; 0 means unknown.

    `end_column` is the first column behind the place, on the same line. `rows` is set where the
    rows of a matrix cause the problem, not the manifest's text alone.
    """

    file: str
    line: int
    column: int
    where: str
    message: str
    end_column: int = 0
    rows: Rows | None = None

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}:{self.column}" if self.line else self.file
        return (
            f"{place}: {self.where}: {self.message}" if self.where else f"{place}: {self.message}"
        )


class DsrunError(Exception):
    """Base of every expected failure; the message is for the user."""

    exit_code: ExitCode = ExitCode.INCOMPLETE


class UsageError(DsrunError):
    """The command line asks for something impossible."""

    exit_code = ExitCode.INVALID


class ManifestError(DsrunError):
    """The manifest or a file that it names is wrong; carries every problem, in order of place."""

    exit_code = ExitCode.INVALID

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(sorted(problems, key=lambda p: (p.file, p.line, p.column)))
        super().__init__("\n".join(str(problem) for problem in self.problems))


class SetupError(DsrunError):
    """The environment does not let the run go on; nothing is lost, run again."""


class GroundLost(SetupError):
    """The directory that a run writes to was removed, renamed or replaced."""


class RunLocked(DsrunError):
    """Another process runs in this directory."""

    exit_code = ExitCode.LOCKED


class RunFailed(DsrunError):
    """A run ended with jobs failed, partial, unknown or left; `exit_code` is that run's."""

    def __init__(self, message: str, exit_code: ExitCode) -> None:
        self.exit_code = exit_code
        super().__init__(message)


class FileChanged(DsrunError):
    """A file that a job uploads is no longer what it was when the plan was made."""


class ApiError(DsrunError):
    """A request got no readable answer."""


class NotSent(ApiError):
    """The request never reached the host; repeating it is safe."""


class ProxyRefused(NotSent):
    """A proxy does not let it pass: who is asked again would say no again."""


class AnswerLost(ApiError):
    """The request may have arrived, its answer did not."""


class TooLong(AnswerLost):
    """The answer is larger than allowed, so its content is unknown."""


class Expired(AnswerLost):
    """The file host does not serve this address; its task may name another one."""
