"""`dsrun ledger`: query and export the results of a run, also while it runs."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from dsrun.common.console import answer_pieces, count_of, say, terminal_width
from dsrun.common.errors import ExitCode, UsageError
from dsrun.ledger.query import ERROR_COLUMNS, LedgerQuery
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
        columns, kinds, rows = _ask(query, options)
        counted = _Counted(rows)
        if options.output is None:
            answer_pieces(to_text(options.form, columns, counted, width=terminal_width()))
        elif options.form == "parquet":
            write_parquet(options.output, columns, kinds, counted)
        else:
            pieces = to_text(options.form, columns, counted)
            write_whole(options.output, (piece.encode() for piece in pieces))
    if options.output is not None or not counted.number:
        number = count_of(counted.number, "error" if options.errors else "job")
        say(f"{number} in {options.output}" if options.output else f"{number} found")
    return ExitCode.OK


def _ask(
    query: LedgerQuery, options: LedgerOptions
) -> tuple[Sequence[str], Sequence[set[str]], Iterator[Row]]:
    """Columns, the kinds of their values (for Parquet alone), and the rows."""
    where, limit = options.where, options.limit
    if options.errors:
        kinds = [{"integer"} if name == "jobs" else {"text"} for name in ERROR_COLUMNS]
        return ERROR_COLUMNS, kinds, query.error_rows(where=where, limit=limit)
    columns = options.columns or _columns(query, options.form)
    kinds = query.kinds(columns, where=where) if options.form == "parquet" else []
    return columns, kinds, query.rows(columns, where=where, limit=limit)


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
