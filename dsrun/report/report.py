"""Writes `report.html` into a run directory, from the ledger and the lock file there."""

import logging
import math
import re
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from dsrun.common.clock import SystemClock
from dsrun.common.console import say
from dsrun.common.lockfile import read_lockfile
from dsrun.common.models import OPEN, JobStatus, Json
from dsrun.common.shell import command_line
from dsrun.common.units import duration_words
from dsrun.ledger import lookup, totals
from dsrun.ledger.reader import LedgerReader
from dsrun.report.arranging import opening_of
from dsrun.report.entries import (
    LEFT_OUT,
    Entries,
    add_thumbs,
    files_with_thumb,
    mark_left_out,
    order_axes,
)
from dsrun.report.page import build_page
from dsrun.report.picks import list_name, reads_picks
from dsrun.report.results import iter_results
from dsrun.report.resuming import resuming_command
from dsrun.report.texts import add_texts
from dsrun.storage.files import write_whole
from dsrun.storage.layout import REPORT, RunLayout, is_emulated

_LEAST_S, _MOST_S = 0.5, 8.0  # seconds for thumbnails at the end of a run
_SELECTS = re.compile(r" --(step|only|sample|limit)\b").search  # the command of a run
_SHARE = 100  # and at most this fraction of the run's own time


def write_report(
    view: LedgerReader,
    run_dir: Path,
    *,
    entries: list[dict[str, Json]] | None = None,
    budget_s: float = math.inf,
) -> int:
    """Write the page again. Returns how many thumbnails are left: none is started after `budget_s`.

    Where many are missing, the page is written before the last of them is made. `entries` are those
    of the ledger's jobs, if they have been read already. Raises SetupError where the directory
    cannot be written.
    """
    if entries is None:
        entries = _read_entries(view, run_dir)
    add_texts(entries, run_dir)
    pictures, left = list(files_with_thumb(entries)), 0
    page = RunLayout.of(run_dir).report
    if pictures:
        from dsrun.report.thumbs import make_thumbs  # noqa: PLC0415  # Pillow: only for pictures

        clock = SystemClock()
        made = make_thumbs(run_dir, pictures, clock=clock, budget_s=min(budget_s, _MOST_S))
        if made.left and budget_s > _MOST_S:
            _write(page, view, run_dir, entries)
            say(f"{page} can be opened; {made.left} thumbnails are still to be made")
            made = make_thumbs(run_dir, pictures, clock=clock, budget_s=budget_s - _MOST_S)
        left = made.left
        if made.unread:
            say(
                f"warning: {made.unread} of the report's files cannot be shown; "
                f"`{command_line('dsrun', 'verify', run_dir)}` tells more"
            )
    _write(page, view, run_dir, entries)
    return left


def _write(page: Path, view: LedgerReader, run_dir: Path, entries: list[dict[str, Json]]) -> None:
    write_whole(page, _page(view, run_dir, entries))


def current_page(view: LedgerReader, run_dir: Path) -> bytes:
    """The page as the ledger has it now, with the thumbnails that are there."""
    entries = _read_entries(view, run_dir)
    add_texts(entries, run_dir)
    return b"".join(_page(view, run_dir, entries))


def _page(view: LedgerReader, run_dir: Path, entries: list[dict[str, Json]]) -> Iterator[bytes]:
    lockfile = read_lockfile(run_dir)
    manifest = lockfile.get("manifest")
    order_axes(entries, manifest)
    how = _how_to_send(manifest, resuming_command(run_dir))
    mark_left_out(entries, lookup.left_out_ids(view), advice=how)
    thumbs = RunLayout.of(run_dir).thumbs
    add_thumbs(entries, {path.name for path in thumbs.iterdir()} if thumbs.is_dir() else ())
    head = _head(view, run_dir, lockfile, entries) | {"how_to_send": how}
    return build_page(head, entries, manifest, opening=opening_of(entries))


def _how_to_send(manifest: dict[str, Any] | None, command: str) -> str:
    """What a person does about jobs that the last run left out; `command` goes on with it."""
    if reads_picks(manifest) and not _SELECTS(command):
        name = list_name(manifest)
        return (
            f"Star what is to go on, save the list as {name} beside the pipeline, and run it again."
        )
    return "Run the pipeline again without --step, --only, --sample or --limit to send them."


def try_report(
    layout: RunLayout, entries: list[dict[str, Json]], *, is_stopped: bool, took_s: float
) -> bool:
    """Write the page at the end of a run, for all jobs, whatever this invocation selected.

    Returns whether nothing is missing in it.

    A run that was stopped makes no more thumbnails; one that took `took_s` spends a small part of
    that on them. The next run makes the others, and until then the page shows the pictures
    themselves. An error here is only a warning: the results are written, and this is a view of
    them.
    """
    run_dir = layout.run_dir
    try:
        view = LedgerReader(layout.ledger, live=True)
        try:
            budget_s = min(_MOST_S, max(_LEAST_S, took_s / _SHARE))
            left = write_report(
                view, run_dir, entries=entries, budget_s=0.0 if is_stopped else budget_s
            )
        finally:
            view.close()
    except Exception as error:  # a report never fails a run
        logging.getLogger(__name__).debug("the report", exc_info=error)
        again = command_line("dsrun", "report", run_dir)
        say(f"warning: {REPORT} was not written: {error}; `{again}` tries again")
        return False
    return not left


def _read_entries(view: LedgerReader, run_dir: Path) -> list[dict[str, Json]]:
    entries, lines = Entries(again=resuming_command(run_dir)), iter_results(view)
    while not entries.is_full and (line := next(lines, None)) is not None:
        entries.add(line)
    return entries.rows


def _head(
    view: LedgerReader, run_dir: Path, lockfile: dict[str, Any], entries: list[dict[str, Json]]
) -> dict[str, Any]:
    counts, runs = Counter(totals.counts(view)), view.runs()
    left_out = sum(map(Counter, totals.left_out(view).values()), Counter[JobStatus]())
    counts -= left_out
    shown = {str(status): counts[status] for status in JobStatus if counts[status]}
    manifest = lockfile.get("manifest") or {}
    digest = lockfile.get("digest") or run_dir.name
    emulated = is_emulated(run_dir)
    spent = "" if emulated else ", ".join(map(str, totals.spent(view)))
    total = view.row_count()
    facts = {"cost": spent or f"nothing{' (emulated)' if emulated else ''}"}
    took = sum(_seconds(run.started_at, run.ended_at) for run in runs)
    facts["duration"] = f"took {duration_words(took)}"
    if (cached := totals.cached_count(view)) > 0:
        facts["cache"] = f"{cached} from the cache"
    return {
        "name": manifest.get("name") or run_dir.parent.name,
        "description": manifest.get("description") or "",
        "digest": digest,
        "emulated": emulated,
        "counts": shown | ({LEFT_OUT: left_out.total()} if left_out else {}),
        "facts": facts,
        "last_run": runs[-1].started_at if runs else "",
        "last_run_words": _day_words(runs[-1].started_at) if runs else "",
        "open": sum(counts[status] for status in OPEN),
        "jobs": counts.total(),
        "left_out": left_out.total(),
        "shown": len(entries),
        "total": total,
        "is_cut": total > len(entries),
    }


def _day_words(stamp: str) -> str:
    """A time as people write it, in UTC; the page's script puts it into the reader's own zone."""
    time = datetime.fromisoformat(stamp)
    return f"{time.day} {time:%b %Y, %H:%M} UTC"


def _seconds(started_at: str, ended_at: str | None) -> float:
    """How long an invocation took; 0 for one that was killed, whose end is unknown."""
    if ended_at is None:
        return 0.0
    took = datetime.fromisoformat(ended_at) - datetime.fromisoformat(started_at)
    return max(0.0, took.total_seconds())
