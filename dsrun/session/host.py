"""Who asks for a run: the command line (`cli.run`) or a program (`api`). All that differs."""

from collections.abc import Callable, Coroutine, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from dsrun.common.errors import ExitCode, Problem
from dsrun.common.models import JobStatus
from dsrun.common.units import Money
from dsrun.storage.layout import RunLayout


class Ending(NamedTuple):
    """How an invocation ended. `is_skipped`: another run had the directory.

    `counts` are of the selected jobs, `spent` of the whole directory.
    """

    code: ExitCode
    layout: RunLayout
    counts: Mapping[JobStatus, int] = {}
    spent: tuple[Money, ...] = ()
    reason: str = ""
    cached: int = 0
    is_skipped: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """`owns_process`: nothing else runs here, so the collector is ours to tune.

    `agree` asks whether something is allowed, `confirm` agrees to what a run costs, `drive` runs
    the session to its end, and `check` raises where the run is no longer wanted.
    """

    owns_process: bool
    takes_signals: bool
    agree: Callable[[str], bool]
    confirm: Callable[[str], bool]
    warn: Callable[[Iterable[Problem]], None]
    drive: Callable[[Coroutine[Any, Any, Ending]], Ending]
    check: Callable[[], None]
