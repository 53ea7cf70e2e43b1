"""`dsrun report`: the page of a run again, a contact sheet of it, or two runs side by side."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dsrun.common.console import answer_json, answer_path, say
from dsrun.common.errors import ExitCode, UsageError
from dsrun.ledger.reader import LedgerReader
from dsrun.session.opening import run_dir_of
from dsrun.storage.layout import RunLayout

if TYPE_CHECKING:
    from dsrun.session.two_runs import TwoRuns

_PAGES = (".html", ".htm")
_OF_PAIR = ("state", "by", "step", "axes", "changes")
_OF_ROW = ("step", "index", "job_id", "status", "error")


def run(
    directories: Sequence[Path],
    *,
    output: Path | None,
    sheet: Path | None,
    rows: str | None,
    cols: str | None,
    width: int | None,
    serve: bool,
    port: int,
    as_json: bool,
) -> int:
    """Print the path of what was written. Raises UsageError or SetupError."""
    if serve:
        return _serve(directories, port, sheet=sheet or output, as_json=as_json)
    if port:
        raise UsageError("--port says where the page is served: add --serve")
    if sheet is None and (rows or cols or width):
        raise UsageError(
            "--rows, --cols and --width arrange a contact sheet: name its file with --sheet"
        )
    if len(directories) > 1:
        return _compare(directories, output=output, sheet=sheet, as_json=as_json)
    if output is not None:
        raise UsageError(
            "--output names the page of two runs: name both; the report of one stands in its own "
            "directory, and --sheet names a contact sheet"
        )
    run_dir = run_dir_of(directories[0])
    view = LedgerReader(RunLayout.of(run_dir).ledger)
    try:
        if sheet is None:
            from dsrun.report.report import write_report  # noqa: PLC0415  # Jinja2: not for a sheet

            write_report(view, run_dir)
            path = RunLayout.of(run_dir).report
        else:
            from dsrun.report.contact_sheet import write_sheet  # noqa: PLC0415  # Pillow

            left_out = write_sheet(sheet, view, run_dir, rows=rows, cols=cols, width=width)
            if left_out:
                say(f"note: {left_out}")
            path = sheet
    finally:
        view.close()
    if as_json:
        answer_json({"directory": str(run_dir), "sheet" if sheet else "report": str(path)})
    else:
        answer_path(path)
    return ExitCode.OK


def _compare(
    directories: Sequence[Path], *, output: Path | None, sheet: Path | None, as_json: bool
) -> int:
    if sheet is not None:
        raise UsageError("--sheet makes a contact sheet of one run; name one directory")
    if len(directories) > 2:  # noqa: PLR2004  # a pair
        raise UsageError(
            f"found {len(directories)} directories; name one run, or two to see side by side"
        )
    if output is not None and output.suffix.lower() not in _PAGES:
        raise UsageError(f"--output {output}: found {output.suffix or 'no ending'}; allowed: .html")
    left, right = (RunLayout.of(run_dir_of(directory)) for directory in directories)
    if left.run_dir.resolve() == right.run_dir.resolve():
        raise UsageError(
            f"{directories[0]} and {directories[1]} name one run, {left.run_dir}; "
            "`dsrun history` lists the others"
        )
    from dsrun.session.two_runs import TwoRuns, read_run  # noqa: PLC0415  # start-up
    from dsrun.session.two_runs_page import write_comparison  # noqa: PLC0415  # Jinja2

    two = TwoRuns(read_run(left.run_dir), read_run(right.run_dir))
    path = output or right.comparison(left)
    write_comparison(two, path)
    if as_json:
        answer_json(_answer(two, path))
    else:
        answer_path(path)
    return ExitCode.OK


def _answer(two: "TwoRuns", path: Path) -> dict[str, Any]:
    return {
        "directories": [str(run.directory) for run in (two.left, two.right)],
        "report": str(path),
        "counts": {state: two.states[state] for state in ("changed", "unchanged", "new", "gone")},
        "notes": two.notes(),
        "edits": two.edits(),
        "pairs": [_pair(pair) for pair in two.pairs],
    }


def _pair(pair: dict[str, Any]) -> dict[str, Any]:
    rows = {
        side: pair[side] and {key: pair[side][key] for key in _OF_ROW} for side in ("left", "right")
    }
    files = [
        slot | {side: slot[side] and slot[side]["path"] for side in ("left", "right")}
        for slot in pair["files"]
    ]
    return {key: pair[key] for key in _OF_PAIR} | rows | {"files": files}


def _serve(directories: Sequence[Path], port: int, *, sheet: Path | None, as_json: bool) -> int:
    """Raises UsageError or SetupError."""
    if sheet is not None:
        raise UsageError("--serve writes no file: leave --sheet and --output out, or --serve")
    if len(directories) > 1:
        raise UsageError(f"--serve shows one run: found {len(directories)} directories; name one")
    from dsrun.cli.serve import serve  # noqa: PLC0415  # aiohttp

    return serve(run_dir_of(directories[0]), port=port, as_json=as_json)
