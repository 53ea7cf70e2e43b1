"""`dsrun report DIR --picks FILE --zip FILE`: the picked files of a run as an archive."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dsrun.common.console import answer_json, answer_path, count_of, say
from dsrun.common.errors import ExitCode, UsageError
from dsrun.common.messages import show
from dsrun.common.user_files import TEXT_BYTES
from dsrun.ledger.reader import LedgerReader
from dsrun.manifest.files import read_text
from dsrun.manifest.picks import PickFile
from dsrun.report.picked_files import Found, find_picks, write_zip
from dsrun.session.opening import run_dir_of
from dsrun.storage.layout import RunLayout

_MOST_SAID = 20  # warnings


def run(
    directories: Sequence[Path],
    *,
    picks: Path | None,
    archive: Path | None,
    as_json: bool,
    **others: Any,
) -> int:
    """Print the path of the archive; 1 where a file is missing or changed.

    Raises UsageError, SetupError, or ManifestError where the list cannot be read.
    """
    if picks is None or archive is None:
        missing = "--zip FILE.zip, the archive" if archive is None else "--picks FILE, the list"
        raise UsageError(f"an archive needs a list and a name: add {missing}")
    if archive.suffix.lower() != ".zip":
        raise UsageError(f"--zip {archive}: found {archive.suffix or 'no ending'}; allowed: .zip")
    if given := [f"--{name}" for name, value in others.items() if value]:
        raise UsageError(f"--zip packs files as they are, and {' and '.join(given)} has no use")
    if len(directories) > 1:
        raise UsageError("--zip packs files of one run; name one directory")
    run_dir = run_dir_of(directories[0])
    found = _find(run_dir, _read(picks))
    left_out = write_zip(archive, run_dir, found.files)
    _tell(found, left_out, archive, as_json=as_json)
    return ExitCode.JOBS_FAILED if left_out else ExitCode.OK


def _read(picks: Path) -> PickFile:
    if str(picks) == "-":
        return PickFile("stdin", sys.stdin.read(TEXT_BYTES))
    return PickFile(str(picks), read_text(picks, shown_as=str(picks)))


def _find(run_dir: Path, picks: PickFile) -> Found:
    view = LedgerReader(RunLayout.of(run_dir).ledger)
    try:
        found = find_picks(view, picks)
    finally:
        view.close()
    for number, line in found.idle[:_MOST_SAID]:
        say(f"warning: {picks.name}:{number}: found {show(line)}, which names no file of this run")
    if len(found.idle) > _MOST_SAID:
        say(f"warning: {len(found.idle) - _MOST_SAID} more lines name nothing")
    if not found.files:
        raise UsageError(
            f"{picks.name} names no file of {run_dir}, so there is no archive; allowed: a file or "
            "the id of a job on each line, as Save list of its report writes them"
        )
    return found


def _tell(found: Found, left_out: list[tuple[str, str]], archive: Path, *, as_json: bool) -> None:
    out = {path for path, _ in left_out}
    packed = [file for file in found.files if file.path not in out]
    if as_json:
        answer_json(
            {
                "zip": str(archive),
                "files": [file.path for file in packed],
                "left_out": [{"path": path, "problem": words} for path, words in left_out],
                "idle_lines": [{"line": number, "text": line} for number, line in found.idle],
            }
        )
        return
    for path, words in left_out:
        say(f"warning: {path} is {words}, so it is not in the archive")
    say(f"{count_of(len(packed), 'file')} packed")
    answer_path(archive)
