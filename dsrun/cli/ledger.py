"""`dsrun ledger`: query and export the results of a run, also while it runs."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from dsrun.common.console import answer_pieces, count_of, say, terminal_width
from dsrun.common.errors import ExitCode, UsageError
from dsrun.ledger.query import ERROR_COLUMNS, LedgerQuery
from dsrun.report import vectors
from dsrun.report.export import Row, to_text, write_parquet
from dsrun.session.opening import find_run_dir
from dsrun.storage.files import write_whole
from dsrun.storage.layout import RunLayout

_TABLE_BEFORE, _TABLE_AFTER = ("step", "index"), ("status", "cost", "file")


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerOptions:
    """What to ask. Without `columns` the format decides."""

    where: str = ""
    columns: Sequence[str] = ()
    errors: bool = False
    limit: int | None = None
    form: str = "table"
    output: Path | None = None


def run(
    run_of: Path,
    *,
    out: Path,
    emulate: bool,
    set_params: Mapping[str, str],
    allow_files: tuple[Path, ...],
    options: LedgerOptions,
) -> int:
    """`run_of` is a run directory, a directory that holds `latest`, or a pipeline."""
    if options.form == "parquet" and options.output is None:
        raise UsageError("--format parquet is not for a terminal or a pipe; name a file with -o")
    if options.errors and options.columns:
        raise UsageError(f"--errors has columns of its own: {', '.join(ERROR_COLUMNS)}")
    run_dir = find_run_dir(
        run_of, out=out, emulate=emulate, set_params=set_params, allow_files=allow_files
    )
    with closing(LedgerQuery(RunLayout.of(run_dir).ledger)) as query:
        asked = _ask(query, options, run_dir)
        left_out = 0 if options.errors or options.form != "table" else query.left_out()
        counted = _Counted(asked.rows)
        if options.output is None:
            words = to_text(options.form, asked.columns, counted, width=terminal_width())
            answer_pieces(words)
        elif options.form == "parquet":
            write_parquet(options.output, asked.columns, asked.kinds, counted)
        else:
            pieces = to_text(options.form, asked.columns, counted)
            write_whole(options.output, (piece.encode() for piece in pieces))
    if options.output is not None or not counted.number:
        number = count_of(counted.number, asked.noun)
        say(f"{number} in {options.output}" if options.output else f"{number} found")
    if left_out:
        were = "was" if left_out == 1 else "were"
        say(
            f"note: of the jobs without a result, {left_out} {were} left out of the last run, "
            "by picks or a selection"
        )
    return ExitCode.OK


class _Asked(NamedTuple):
    """What to write; `kinds` are those of the values, for Parquet alone."""

    columns: Sequence[str]
    kinds: Sequence[set[str]]
    rows: Iterator[Row]
    noun: str = "job"  # for what a row is


def _ask(query: LedgerQuery, options: LedgerOptions, run_dir: Path) -> _Asked:
    where, limit = options.where, options.limit
    if options.errors:
        kinds = [{"integer"} if name == "jobs" else {"text"} for name in ERROR_COLUMNS]
        return _Asked(
            ERROR_COLUMNS, kinds, query.error_rows(where=where, limit=limit), noun="error"
        )
    columns = options.columns or _columns(query, options.form)
    if options.form == "parquet":
        return _typed(query, columns, options, run_dir)
    return _Asked(columns, [], query.rows(columns, where=where, limit=limit))


def _typed(
    query: LedgerQuery, columns: Sequence[str], options: LedgerOptions, run_dir: Path
) -> _Asked:
    """Rows with the kinds of their values; a row for each vector, where jobs have made some."""
    where, limit = options.where, options.limit
    own = [name for name in vectors.COLUMNS if name not in query.axes]
    plain = [name for name in columns if name not in own]
    kinds = query.kinds(plain, where=where)
    sources = query.rows(vectors.SOURCES, where=where, limit=limit)
    if len(plain) == len(columns) and (
        options.columns or not vectors.any_vectors(sources, run_dir)
    ):
        return _Asked(plain, kinds, query.rows(plain, where=where, limit=limit))
    rows = query.rows([*plain, *vectors.SOURCES], where=where, limit=limit)
    found = vectors.spread(rows, run_dir, warn=lambda words: say(f"warning: {words}"))
    # An axis of the same name keeps it.
    every = [*plain, *(name if name in own else f"{name}_" for name in vectors.COLUMNS)]
    chosen = [every.index(name) for name in columns] if options.columns else range(len(every))
    typed = [*kinds, {"integer"}, {"vector"}]
    picked = (tuple(row[at] for at in chosen) for row in found)
    return _Asked([every[at] for at in chosen], [typed[at] for at in chosen], picked, noun="row")


def _columns(query: LedgerQuery, form: str) -> list[str]:
    if form == "table":
        return [*_TABLE_BEFORE, *query.spread_axes(), *_TABLE_AFTER]
    # JSON has the axes inside of `matrix`; flat formats have a column for each.
    return query.columns if form in ("json", "jsonl") else [*query.columns, *query.axes]


class _Counted:
    """Rows that are counted as they pass."""

    def __init__(self, rows: Iterator[Row]) -> None:
        self._rows = rows
        self.number = 0

    def __iter__(self) -> Iterator[Row]:
        for row in self._rows:
            self.number += 1
            yield row
