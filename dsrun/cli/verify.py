"""`dsrun verify`: every artifact against its recorded SHA-256."""

from pathlib import Path

from dsrun.common.console import answer, answer_json, count_of, say
from dsrun.common.errors import ExitCode
from dsrun.common.sqlite import DamagedLedger
from dsrun.ledger.check import is_own_job
from dsrun.ledger.reader import LedgerReader
from dsrun.ledger.salvage import counted_jobs
from dsrun.session.opening import run_dir_of
from dsrun.storage.files import sha256_of
from dsrun.storage.layout import RunLayout, is_below


def run(directory: Path, *, as_json: bool, repairs: bool = False) -> int:
    """0 when every file is as it was recorded, else 1 with the damaged ones named.

    `repairs`: a damaged ledger is made anew first. Raises UsageError, SetupError.
    """
    run_dir = run_dir_of(directory)
    if repairs:
        from dsrun.session.repair import repair  # noqa: PLC0415  # most never need it

        repair(run_dir)
    view = _whole_view(RunLayout.of(run_dir).ledger)
    checked, damaged = 0, []
    for path, sha256 in view.hashes():
        checked += 1
        actual = sha256_of(run_dir / path) if is_below(path) else None
        if actual != sha256:
            what = "missing" if actual is None else "changed"
            what = what if is_below(path) else "leads out of the run directory"
            damaged.append({"path": path, "problem": what, "sha256": sha256, "found": actual})
    view.close()
    if as_json:
        answer_json({"checked": checked, "damaged": damaged}, indent=False)
    else:
        for item in damaged:
            answer(f"{item['path']}: {item['problem']}")
        answer(f"{checked} files checked, {len(damaged)} damaged")
    return ExitCode.JOBS_FAILED if damaged else ExitCode.OK


def _whole_view(ledger: Path) -> LedgerReader:
    """The ledger, checked throughout. Says how much of a damaged one can be saved."""
    try:
        return LedgerReader(ledger, thorough=True)
    except DamagedLedger:
        number = counted_jobs(ledger, is_whole=is_own_job)
        say(f"{count_of(number, 'job')} of the damaged ledger can still be read")
        raise
