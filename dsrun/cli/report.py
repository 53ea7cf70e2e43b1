"""`dsrun report`: write the page of a run directory again, or a contact sheet of it."""

from pathlib import Path

from dsrun.common.console import answer_json, answer_path, say
from dsrun.common.errors import ExitCode, UsageError
from dsrun.ledger.reader import LedgerReader
from dsrun.session.opening import run_dir_of
from dsrun.storage.layout import RunLayout


def run(
    directory: Path,
    *,
    sheet: Path | None,
    rows: str | None,
    cols: str | None,
    width: int | None,
    as_json: bool,
) -> int:
    """Print the path of what was written. Raises UsageError or SetupError."""
    if sheet is None and (rows or cols or width):
        raise UsageError(
            "--rows, --cols and --width arrange a contact sheet: name its file with --sheet"
        )
    run_dir = run_dir_of(directory)
    view = LedgerReader(RunLayout.of(run_dir).ledger)
    try:
        if sheet is None:
            from dsrun.report.report import write_report  # noqa: PLC0415  # Jinja2: not for a sheet

            path = write_report(view, run_dir)
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
