"""Which of several runs at the same time a job belongs to: the one that came first.

Runs of one output root may plan the same jobs: somebody edits a prompt and runs the pipeline again
while the first run goes on. Runs take numbers, one at a time, and keep them in their directories. A
job in the ledger of a living run with a smaller number is left to that run. Each run writes its
ledger before it takes its number, so that of two runs one always sees the other.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from filelock import FileLock, Timeout

from dsrun.common.errors import GroundLost, SetupError
from dsrun.storage.files import disk_faults
from dsrun.storage.layout import LOCK, RunLayout, gate_of, run_dirs
from dsrun.storage.run_lock import is_locked

_RESTING = "resting"  # in place of the number
_PATIENCE_S = 60.0
_MOST_DIGITS = 18


class Living(NamedTuple):
    """A run in progress. `is_earlier`: it has entered, and before this one."""

    run_dir: Path
    is_earlier: bool


class Precedence:
    """The number of one run. Its directory must be locked, and stay so."""

    def __init__(self, run_dir: Path, *, out: Path) -> None:
        """Remove what a killed run of this directory has left. Raises SetupError."""
        self._file = RunLayout.of(run_dir).number
        self._run_dir = run_dir
        self._out = out
        self._number: int | None = None
        with disk_faults(self._file):
            self._file.unlink(missing_ok=True)

    def enter(self) -> None:
        """Take the next number. The ledger must have every job of the run. Raises SetupError."""
        if not self._run_dir.is_dir():  # the gate's lock file would make the root anew
            raise GroundLost(f"{self._run_dir} is no longer there")
        with disk_faults(self._file), ExitStack() as stack:
            # A root that cannot be written to has no gate: two runs that enter at once may share a
            # number, and then pay twice for what both plan.
            with suppress(PermissionError):
                stack.enter_context(self._gate())
            self._number = 1 + max((number or 0 for _, number in self._others()), default=0)
            self._file.write_text(f"{self._number}\n", encoding="ascii")

    def rest(self) -> None:
        """Claim no job until the run enters again, behind all others. Raises SetupError.

        Otherwise two runs could wait for each other, each for a job that the other has given up.
        """
        with disk_faults(self._file):
            self._file.write_text(f"{_RESTING}\n", encoding="ascii")

    def leave(self) -> None:
        with suppress(OSError):
            self._file.unlink(missing_ok=True)

    def living(self) -> list[Living]:
        """The other runs that go on now."""
        own = self._number
        return [
            Living(folder, is_earlier=own is not None and number is not None and number < own)
            for folder, number in self._others()
        ]

    @contextmanager
    def _gate(self) -> Iterator[None]:
        path = gate_of(self._out)
        gate = FileLock(path, timeout=_PATIENCE_S)
        try:
            gate.acquire()
        except Timeout as error:
            raise SetupError(
                f"{path} has been held by another dsrun for {_PATIENCE_S:.0f} s; "
                "it must have been stopped: let it go on, or end it"
            ) from error
        try:
            yield
        finally:
            gate.release()

    def _others(self) -> Iterator[tuple[Path, int | None]]:
        return _living(self._out, besides=self._run_dir)


def living_runs(out: Path, *, besides: Path) -> list[Living]:
    """The runs that one in the directory `besides` would find if it entered now."""
    return [
        Living(folder, is_earlier=number is not None)
        for folder, number in _living(out, besides=besides)
    ]


def _living(out: Path, *, besides: Path) -> Iterator[tuple[Path, int | None]]:
    """The directories of living runs that do not rest; with numbers, of those that have entered."""
    for run_dir in run_dirs(out, holding=LOCK):
        layout = RunLayout.of(run_dir)
        if not is_locked(layout.lock) or run_dir.resolve() == besides.resolve():
            continue
        text = ""
        with suppress(OSError, ValueError):  # the run is about to enter, or to leave
            text = layout.number.read_text(encoding="ascii").strip()
        if text != _RESTING:
            yield run_dir, int(text) if _is_number(text) else None


def _is_number(text: str) -> bool:
    return text.isdecimal() and len(text) <= _MOST_DIGITS
