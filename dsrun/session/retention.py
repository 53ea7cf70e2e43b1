"""The door that removes old run directories of a pipeline (`keep`), and nothing else.

What is no run directory stays, and so does every run that has not ended: what is paid may still
wait there. What a directory cost is noted before it goes, and it is renamed before its files go, so
that no half of one looks like a run.
"""

import shutil
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from dsrun.common.errors import SetupError
from dsrun.common.models import OPEN, JobStatus
from dsrun.ledger import totals
from dsrun.ledger.history import note_removal
from dsrun.ledger.reader import LedgerReader
from dsrun.storage.layout import RunLayout, is_emulated, is_run_name
from dsrun.storage.run_lock import run_lock

_REMOVING = ".removing-"
_WAITS = frozenset((*OPEN, JobStatus.UNKNOWN))


class _Old(NamedTuple):
    started_at: str
    path: Path
    has_ended: bool


def prune(layout: RunLayout, *, keep: int, now: str, say: Callable[[str], None]) -> list[Path]:
    """Keep the `keep` newest runs of a pipeline, `layout`'s among them. Returns what was removed.

    Emulated and real runs are counted apart. A run that began later than `now` had a clock that was
    wrong, then or now: it stays, and takes no place of one whose age is known. Raises SetupError
    where a directory cannot be removed.
    """
    old_runs = [
        old
        for path in layout.pipeline_dir.iterdir()
        if path != layout.run_dir
        and is_emulated(path) == layout.emulated
        and (old := _look(path)) is not None
        and old.started_at <= now
    ]
    old_runs.sort(reverse=True)
    latest = layout.latest.resolve() if layout.latest.is_symlink() else None
    removed = []
    try:
        for left in layout.pipeline_dir.glob(f"{_REMOVING}*"):
            if is_run_name(left.name.removeprefix(_REMOVING)) and not left.is_symlink():
                shutil.rmtree(left)
        for old in old_runs[keep - 1 :]:
            if not old.has_ended:
                say(f"{old.path} is kept: it has jobs that have not ended or may be paid")
            elif old.path.resolve() != latest and _remove(old.path):
                removed.append(old.path)
    except OSError as error:
        raise SetupError(
            f"an old run of {layout.pipeline_dir} cannot be removed: {error.strerror or error}"
        ) from error
    return removed


def _look(path: Path) -> _Old | None:
    """What is known of a run directory; None where it is none, or its ledger cannot be read."""
    if path.is_symlink() or not path.is_dir() or not is_run_name(path.name):
        return None
    if not RunLayout.of(path).lockfile.is_file():
        return None
    try:
        view = LedgerReader(RunLayout.of(path).ledger)
    except SetupError:
        return None
    try:
        last, counts = view.last_run(), totals.counts(view)
    finally:
        view.close()
    if last is None:
        return None
    has_ended = not any(counts.get(status) for status in _WAITS) and last.ended_at is not None
    return _Old(last.started_at, path, has_ended)


def _remove(path: Path) -> bool:
    """Remove it unless a run holds it; its state is looked at again once it is held."""
    with run_lock(
        RunLayout.of(path).lock,
        if_running="skip",
        describe_owner=lambda: "a run",
        check=lambda: None,
        say=lambda _: None,
    ) as is_held:
        old = _look(path) if is_held else None
        if old is None or not old.has_ended:
            return False
        with closing(LedgerReader(RunLayout.of(path).ledger)) as ledger:
            note_removal(path, ledger)
        aside = path.with_name(f"{_REMOVING}{path.name}")
        path.rename(aside)
    shutil.rmtree(aside)
    return True
