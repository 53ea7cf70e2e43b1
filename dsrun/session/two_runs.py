"""Two runs side by side: their rows paired, what changed, and how much their files differ."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from dsrun.common.console import count_of
from dsrun.common.lockfile import read_lockfile
from dsrun.common.models import OPEN, JobStatus
from dsrun.ledger import lookup, totals
from dsrun.ledger.reader import LedgerReader
from dsrun.report.entries import MOST_ROWS, entries_of, order_axes
from dsrun.report.results import iter_results
from dsrun.report.resuming import resuming_command
from dsrun.report.texts import add_texts
from dsrun.session.diff import changes_between
from dsrun.session.pairing import Pair, Row, axes_of, pair_rows, renamed_steps
from dsrun.storage.layout import RunLayout
from dsrun.storage.run_lock import is_locked

Entry = dict[str, Any]
_OF_JOB = (
    "job_id", "status", "error", "advice", "output", "cost", "cached", "task_id", "request_id",
    "submitted_at", "ended_at", "index", "step",
)  # fmt: skip
_MOST_NAMED = 3  # steps that one note names


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What a page tells of one of the two runs."""

    directory: Path
    pipeline: str
    digest: str
    emulated: bool
    running: bool
    counts: Mapping[JobStatus, int]
    left_out: int  # jobs that its last invocation was not about
    cost: str
    started_at: str
    total: int  # rows
    lockfile: Mapping[str, Any]
    rows: Sequence[Row]
    entries: Sequence[Entry]

    @property
    def open(self) -> int:
        """Jobs that have not ended, without those that were left out."""
        return sum(self.counts.get(status, 0) for status in OPEN) - self.left_out

    @property
    def jobs(self) -> int:
        return sum(self.counts.values())


def read_run(run_dir: Path, *, most: int = MOST_ROWS) -> Run:
    """Raises SetupError where its ledger cannot be read."""
    layout = RunLayout.of(run_dir)
    lockfile = read_lockfile(run_dir)
    with closing(LedgerReader(layout.ledger)) as view:
        rows, entries = _read_rows(view, run_dir, most)
        runs = view.runs()
        run = Run(
            directory=run_dir,
            pipeline=(lockfile.get("manifest") or {}).get("name") or layout.name,
            digest=lockfile.get("digest") or run_dir.name,
            emulated=layout.emulated,
            running=is_locked(layout.lock),
            counts=totals.counts(view),
            left_out=len(lookup.left_out_ids(view)),
            cost="" if layout.emulated else ", ".join(map(str, totals.spent(view))),
            started_at=runs[-1].started_at if runs else "",
            total=view.row_count(),
            lockfile=lockfile,
            rows=rows,
            entries=entries,
        )
    order_axes(entries, lockfile.get("manifest"))
    add_texts(entries, run_dir)
    return run


def _read_rows(view: LedgerReader, run_dir: Path, most: int) -> tuple[list[Row], list[Entry]]:
    again = resuming_command(run_dir)
    lines = list(islice(iter_results(view), most))
    asked = {job.job_id: job for job in lookup.asked_jobs(view)}  # after its results: it may grow
    rows: list[Row] = []
    entries: list[Entry] = []
    for line in lines:
        job = asked[line["job_id"]]
        made = list(entries_of(line, again=again))
        _note_places(made[0]["files"], line["artifacts"], run_dir)  # rows of one job share them
        for row, entry in zip((line, *line.get("twins", ())), made, strict=True):
            rows.append(
                Row(
                    step=row["step"],
                    index=row["index"],
                    replica=job.replica,
                    matrix=row["matrix"],
                    job_id=job.job_id,
                )
            )
            entries.append(entry | {"operation": job.operation})
    return rows[:most], entries[:most]


def _note_places(files: Iterable[Entry], artifacts: Iterable[Entry], run_dir: Path) -> None:
    """Note of each file what the service gave for it, and whether it is missing."""
    sources = {item["path"]: item["source_sha256"] for item in artifacts}
    for file in files:
        file["source"] = sources[file["path"]]
        if not (run_dir / file["path"]).is_file():
            file["missing"] = True


class TwoRuns:
    """The rows of both, paired; `pairs` are JSON, as the page shows them."""

    def __init__(self, left: Run, right: Run) -> None:
        self.left, self.right = left, right
        self.pairs = [self._paired(pair) for pair in pair_rows(left.rows, right.rows)]
        self.states = Counter(str(pair["state"]) for pair in self.pairs)

    def _paired(self, pair: Pair) -> Entry:
        old = None if pair.left is None else self.left.entries[pair.left]
        new = None if pair.right is None else self.right.entries[pair.right]
        one = new or old
        assert one is not None  # noqa: S101  # a pair has a row
        changes = _changes(old, new) if old and new else []
        lone = "new" if old is None else "gone"
        paired: Entry = {
            "state": ("changed" if changes else "unchanged") if old and new else lone,
            "by": pair.by,
            "step": one["step"],
            "axes": one["axes"],
            "changes": changes,
            "request": one["request"],
            "left": old and {key: old[key] for key in _OF_JOB},
            "right": new and {key: new[key] for key in _OF_JOB},
            "files": _files(old, new),
        }
        if old and changes:
            paired["old_request"] = old["request"]
        if old and new and old["axes"] != new["axes"]:
            paired["left"]["axes"] = old["axes"]
        return paired

    def notes(self) -> list[str]:
        """What makes the two runs hard to compare, in sentences."""
        return [*_notes(self.left, self.right), *self._rules()]

    def _rules(self) -> Iterator[str]:
        met = Counter(pair["by"] for pair in self.pairs)
        for rule, words in _RULES.items():
            if met[rule]:
                yield f"{count_of(met[rule], 'row')} {'is' if met[rule] == 1 else 'are'} {words}"
        if not self.pairs:
            yield "Neither run has a row."
        elif not any(pair["by"] for pair in self.pairs):
            yield "No row of one run has a counterpart in the other: nothing can be compared."

    def edits(self) -> list[Entry]:
        """What the manifests say in another way, and the files that were edited."""
        old, new = (run.lockfile.get("manifest") or {} for run in (self.left, self.right))
        edits: list[Entry] = []
        if old and new:
            sections = ("params", "steps")
            parts = ({key: manifest.get(key) or {} for key in sections} for manifest in (old, new))
            edits = [_as_json(change) for change in changes_between(*parts)]
        before, now = (run.lockfile.get("files", {}) for run in (self.left, self.right))
        edited = sorted(name for name in before.keys() & now.keys() if before[name] != now[name])
        how = {"change": "edited", "old": None, "new": None}
        return edits + [{"field": name} | how for name in edited]


_RULES = {
    "request": "paired because their requests are the same, though not their axes.",
    "axes": "paired by the axes that both runs have.",
    "but_one": "paired by the values of all axes but one.",
    "place": "paired by place in the step: the values differ.",
}


def _changes(old: Entry, new: Entry) -> list[Entry]:
    changes = [_as_json(change) for change in changes_between(old["request"], new["request"])]
    if old["operation"] != new["operation"]:
        words = {"old": old["operation"], "new": new["operation"]}
        changes.insert(0, {"field": "operation", "change": "changed", **words})
    return changes


def _as_json(change: Any) -> Entry:
    return {key: value for key, value in change.as_json().items() if key != "sources"}


def _files(old: Entry | None, new: Entry | None) -> list[Entry]:
    """The files of both rows, those of one name and number side by side."""
    sides = [
        {(file.get("name", ""), file["index"]): file for file in (entry or {}).get("files", ())}
        for entry in (old, new)
    ]
    return [
        {
            "name": place[0],
            "index": place[1],
            "left": sides[0].get(place),
            "right": sides[1].get(place),
            "same": _is_same(sides[0].get(place), sides[1].get(place)),
            "difference": None,
        }
        for place in sorted({**sides[0], **sides[1]})
    ]


def _is_same(left: Entry | None, right: Entry | None) -> bool | None:
    """Whether the service gave the same bytes; None where a file is missing."""
    if left is None or right is None or "missing" in left or "missing" in right:
        return None
    return bool(left["sha256"] == right["sha256"] or left["source"] == right["source"])


def _notes(left: Run, right: Run) -> Iterator[str]:
    if left.pipeline != right.pipeline:
        yield f"These are runs of two pipelines, {left.pipeline} and {right.pipeline}."
    if left.emulated != right.emulated:
        one, other = ("left", "right") if left.emulated else ("right", "left")
        yield (
            f"The {one} run is emulated and the {other} is real: the emulator paints what it "
            "likes, so their files say nothing about the models."
        )
    for name, run in (("left", left), ("right", right)):
        if run.running:
            yield f"The {name} run is still running, {_open_words(run)}; run this again later."
        elif run.open:
            yield f"The {name} run is unfinished: {_open_words(run)}."
        if run.left_out:
            number = f"{run.left_out} of {count_of(run.jobs, 'job')}"
            yield f"The {name} run left out {number}, by its picks or by a selection."
        if run.total > len(run.rows):
            yield f"Of the {name} run only the first {len(run.rows)} of {run.total} rows are here."
        missing = sum("missing" in file for file in _all_files(run))
        if missing:
            yield (
                f"The {name} run lacks {count_of(missing, 'file')} that its ledger has; "
                "`dsrun verify` names them."
            )
    yield from _matrix_notes(left, right)


def _open_words(run: Run) -> str:
    have = "has" if run.open == 1 else "have"
    return f"{run.open} of {count_of(run.jobs, 'job')} {have} not ended"


def _all_files(run: Run) -> list[Entry]:
    """Each once: rows of one job share their files."""
    return list({id(file): file for entry in run.entries for file in entry["files"]}.values())


def _matrix_notes(left: Run, right: Run) -> Iterator[str]:
    renamed = renamed_steps(left.rows, right.rows)
    for old, new in renamed.items():
        yield f"The step {old} of the left run is compared with {new} of the right one."
    before, now = axes_of(left.rows, renamed), axes_of(right.rows)
    for side, own, others in (("left", before, now), ("right", now, before)):
        if names := sorted(own.keys() - others.keys()):
            more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
            noun = "step" if len(names) == 1 else "steps"
            yield f"Only the {side} run has the {noun} {', '.join(names[:_MOST_NAMED])}{more}."
        for step in sorted(own.keys() & others.keys()):
            if axes := sorted(own[step] - others[step]):
                noun = "axis" if len(axes) == 1 else "axes"
                yield f"Only the {side} run's {step} has the {noun} {', '.join(axes)}."
