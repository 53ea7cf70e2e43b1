"""Writes the page that shows two runs side by side."""

import math
import os
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from dsrun.common.clock import SystemClock
from dsrun.common.console import count_of, say
from dsrun.common.errors import SetupError
from dsrun.common.models import JobStatus
from dsrun.common.shell import command_line
from dsrun.report.entries import add_thumbs, files_with_thumb, gets_thumb
from dsrun.report.page import readable, render
from dsrun.session.two_runs import Entry, Run, TwoRuns
from dsrun.storage.files import write_whole
from dsrun.storage.layout import RunLayout

_PATIENCE_S = 4.0  # before it is said that thumbnails are being made
_SCRIPTS = ("basics", "words", "cards", "view", "controls")  # in the order in which they are joined
_STATES = ("changed", "unchanged", "new", "gone")


def write_comparison(two: TwoRuns, path: Path) -> None:
    """Write the page; `two` gets how much its pictures differ. Raises SetupError."""
    for run in (two.left, two.right):
        _add_thumbs(run)
    add_differences(two)
    write_whole(path, [build_comparison(two, path)])


def build_comparison(two: TwoRuns, path: Path) -> bytes:
    """The page as it would stand at this path, from which its links to both directories go."""
    places = _places(two.left.directory, two.right.directory)
    head = {
        "sides": [
            _side("left", two.left, places[0]),
            _side("right", two.right, places[1]),
        ],
        "states": {state: two.states[state] for state in _STATES if two.states[state]},
        "trouble": sum(map(_has_trouble, two.pairs)),
        "notes": [readable(note) for note in two.notes()],
    }
    data = {
        "key": f"{two.left.digest}-{two.right.digest}",
        "sides": [_links(run, path) for run in (two.left, two.right)],
        "edits": two.edits(),
        "pairs": two.pairs,
    }
    scripts = [f"two_runs/{name}.js" for name in _SCRIPTS]
    styles = ["two_runs/page.css"]
    return render("two_runs/page.html.j2", head, data, styles=styles, scripts=scripts)


def _places(left: Path, right: Path) -> tuple[str, str]:
    """Both directories as far as they tell them apart: `posters/264f03e2ef6a`."""
    paths = left.resolve(), right.resolve()
    try:
        root = Path(os.path.commonpath(paths)).parent
    except ValueError:  # other drives of Windows
        root = Path()
    left_place, right_place = (str(p.relative_to(root) if root in p.parents else p) for p in paths)
    return left_place, right_place


def _side(name: str, run: Run, place: str) -> dict[str, Any]:
    return {
        "side": name,
        "name": readable(run.pipeline),
        "directory": readable(place),
        "about": [
            *(["emulated, nothing was paid"] if run.emulated else [run.cost or "cost nothing"]),
            *([f"started {_moment(run.started_at)}"] if run.started_at else ["never started"]),
            count_of(run.total, "row"),
        ],
        "counts": {str(one): run.counts[one] for one in JobStatus if run.counts.get(one)},
    }


def _moment(stamp: str) -> str:
    """`2026-11-27 17:48 UTC`."""
    return f"{datetime.fromisoformat(stamp).astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def _has_trouble(pair: Entry) -> bool:
    """Whether a job of the pair gave no result."""
    return any(pair[side] and pair[side]["status"] != "succeeded" for side in ("left", "right"))


def _links(run: Run, path: Path) -> dict[str, str]:
    """How the page reaches a run directory, and what a list of its picks is called."""
    folder, here = run.directory.resolve(), path.parent.resolve()  # a link there is replaced
    try:
        base = quote(os.fsencode(Path(os.path.relpath(folder, here)).as_posix()))
    except ValueError:  # another drive of Windows
        base = folder.as_uri()
    return {"base": base, "name": run.pipeline, "list": f"{run.pipeline}-{run.digest[:12]}"}


def _add_thumbs(run: Run) -> None:
    present = [
        {"files": [file for file in entry["files"] if "missing" not in file]}
        for entry in run.entries
    ]
    pictures = list(files_with_thumb(present))
    if not pictures:
        return
    from dsrun.report.thumbs import make_thumbs  # noqa: PLC0415  # Pillow: only for pictures

    clock = SystemClock()
    try:
        made = make_thumbs(run.directory, pictures, clock=clock, budget_s=_PATIENCE_S)
        if made.left:
            words = count_of(made.left, "thumbnail")
            say(f"{run.directory}: {words} are still to be made; this takes a while")
            made = make_thumbs(run.directory, pictures, clock=clock, budget_s=math.inf)
    except SetupError as error:
        say(f"note: the page shows whole pictures, since there can be no thumbnails: {error}")
    else:
        if made.unread:
            verify = command_line("dsrun", "verify", run.directory)
            words = count_of(made.unread, "file")
            say(f"warning: {words} of {run.directory} cannot be shown; `{verify}` tells more")
    thumbs = RunLayout.of(run.directory).thumbs
    add_thumbs(present, {path.name for path in thumbs.iterdir()} if thumbs.is_dir() else ())


def add_differences(two: TwoRuns) -> None:
    """Say of every two files how much they differ, where that can be told."""
    slots = [slot for pair in two.pairs for slot in pair["files"]]
    for slot in slots:
        if slot["same"]:
            slot["difference"] = 0.0
        elif slot["same"] is False and "text" in slot["left"] and "text" in slot["right"]:
            slot["difference"] = _words_apart(slot["left"]["text"], slot["right"]["text"])
    pictures = [slot for slot in slots if slot["same"] is False and all(_seen_in(slot))]
    if not pictures:
        return
    from dsrun.report.picture_distance import distance, signature_of  # noqa: PLC0415  # Pillow

    paths = dict(_pictures_of(two, pictures))
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        signatures = dict(zip(paths, pool.map(signature_of, paths.values()), strict=True))
    for slot in pictures:
        one, other = (signatures[slot[side]["sha256"]] for side in ("left", "right"))
        if one is not None and other is not None:
            slot["difference"] = distance(one, other)


def _seen_in(slot: Entry) -> Iterator[bool]:
    return (gets_thumb(slot[side]["media_type"]) for side in ("left", "right"))


def _pictures_of(two: TwoRuns, slots: Iterable[Entry]) -> Iterator[tuple[str, Path]]:
    """What to look at for each content: its thumbnail, where it has one."""
    folders = {"left": two.left.directory, "right": two.right.directory}
    for slot in slots:
        for side, folder in folders.items():
            file = slot[side]
            yield file["sha256"], folder / file.get("thumb", file["path"])


def _words_apart(left: str, right: str) -> float:
    """The share of words that only one of two texts has."""
    before, now = Counter(left.split()), Counter(right.split())
    total = before.total() + now.total()
    apart = 100 * (1 - 2 * (before & now).total() / total) if total else 0.0
    return round(apart, 1) or 0.1  # another order of the same words is a difference too
