"""What a report shows: an entry for every row of the matrix, and advice on what failed."""

import re
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from fnmatch import fnmatchcase
from functools import cache
from importlib.util import find_spec
from itertools import islice
from typing import Any

from dsrun.common.late import told
from dsrun.common.media import MEDIA, media_of
from dsrun.common.models import Json
from dsrun.manifest.late_values import FILE
from dsrun.manifest.matrix import axis_names
from dsrun.report.picks import yaml_text
from dsrun.storage.layout import THUMBS

_COMMAND = re.compile(r"`(\{again\}[^`]*)`")
_RETRY = "`{again} --retry-failed` sends it again."
_BY_CODE = (
    (
        ("datainspectionfailed", "ipinfringementsuspect", "*datainspection"),
        "The service refuses the content: reword the prompt, then run `{again}`.",
    ),
    (
        ("arrearage", "*overdue", "*unpurchased", "*budgetlimit*", "commoditynotpurchased"),
        f"The account is not in order: settle that at the service; then {_RETRY}",
    ),
    (
        ("*freetieronly", "*allocationquota"),
        f"A quota of the account is used up: raise it at the service; then {_RETRY}",
    ),
    (
        ("invalidurl*", "*downloadfailed", "invalidfile*", "invalidimage*"),
        f"The service could not use a file of the request: check address and format; then {_RETRY}",
    ),
    (
        ("filechanged",),
        "A local file changed while dsrun ran: `{again}` takes the file as it is now.",
    ),
    (
        ("invalidparameter*", "badrequest*", "invalid*"),
        (
            "The service refuses the request: change it, then run `{again}`; "
            "`dsrun schema` names the schemas with limits."
        ),
    ),
    (
        ("internalerror*", "systemerror", "*timeout", "*unavailable", "modelservingerror"),
        f"A fault of the service, often a passing one. {_RETRY}",
    ),
)
_BY_STATUS = {
    "partial": "What came is kept. `{again} --retry-failed` asks for the missing files.",
    "failed": _RETRY,
    "cancelled": _RETRY,
    "unknown": "It may be paid. Each run looks for it; `{again} --resubmit-unknown` sends it anew.",
    "skipped": (
        "It builds on a job that did not give what it needs: mend that one, and `{again} "
        "--retry-failed` sends both."
    ),
    "waiting": "It builds on jobs that have not ended: `{again}` goes on with them.",
    "pending": "Not sent yet: `{again}` sends it.",
    "submitting": "dsrun stopped while sending: `{again}` looks for it.",
    "submitted": "Sent and not finished: `{again}` fetches it.",
}


def advise(status: str, error: Json, *, again: str) -> str | None:
    """What to do about a job; `error` is that of results.jsonl. None where there is nothing.

    `again` is the command that goes on with its run.
    """
    words = _advice(status, error)
    return words and words.replace("{again}", again)


def remedy(status: str, error: Json, *, again: str) -> str | None:
    """The command that `advise` speaks of, as it can be pasted; None where it names none."""
    found = _COMMAND.search(_advice(status, error) or "")
    return found and found[1].replace("{again}", again)


def _advice(status: str, error: Json) -> str | None:
    if error and status in ("failed", "cancelled"):
        code = error["code"].lower().replace("_", "")
        for patterns, words in _BY_CODE:
            if any(fnmatchcase(code, pattern) for pattern in patterns):
                return words
    return _BY_STATUS.get(status)


LEFT_OUT = "left out"  # in place of the status of a job that the last run was not about
MOST_ROWS = 20_000  # what a browser shows without trouble
_SHARED = (
    "job_id", "request", "status", "error", "output", "attempts", "task_id", "request_id", "cost",
    "cached", "submitted_at", "ended_at",
)  # fmt: skip
_OF_FILES = ("path", "sha256", "media_type", "index", "seed", "size")
_FACTS = ("duration_s", "width", "height")
_DIGITS = 24  # of an artifact's SHA-256, in the name of its thumbnail


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """A file of which there is something to see; its path is below the run directory."""

    path: str
    sha256: str
    media: str
    media_type: str
    size: int
    duration_s: float | None = None
    width: int | None = None
    height: int | None = None


def thumb_of(sha256: str) -> str:
    """The path of the small picture of a file below the run directory."""
    return f"{THUMBS}/{sha256[:_DIGITS]}.jpg"


class Entries:
    """The entries of a page, as many as a browser shows without trouble."""

    def __init__(self, *, again: str, most: int = MOST_ROWS) -> None:
        """`again` is the command that goes on with the run."""
        self.rows: list[dict[str, Json]] = []
        self._again = again
        self._most = most

    @property
    def is_full(self) -> bool:
        """Whether no more lines are wanted."""
        return len(self.rows) >= self._most

    def add(self, line: Json) -> None:
        """Add a line of results.jsonl."""
        if not self.is_full:
            self.rows += islice(entries_of(line, again=self._again), self._most - len(self.rows))


def entries_of(line: Json, *, again: str = "dsrun") -> Iterator[dict[str, Json]]:
    """A line of results.jsonl as entries of the page, one for each row of the matrix."""
    files = _files(line["artifacts"])
    parents = line.get("parents", ())
    shared = {key: line[key] for key in _SHARED} | _made_from(line, parents)
    through = {parent["axis"].partition(".")[0] for parent in parents}
    status, error = line["status"], line["error"]
    shared |= {"files": files, "advice": advise(status, error, again=again)}
    shared |= {"command": remedy(status, error, again=again)}
    for row in (line, *line.get("twins", ())):
        axes = {
            name: row_label(value) if name in through else label_of(value)
            for name, value in row["matrix"].items()
        }
        own = {"step": row["step"], "index": row["index"], "axes": axes}
        yield own | {"row": yaml_text(row["matrix"])} | shared


def _made_from(line: Json, parents: Sequence[Mapping[str, Json]]) -> dict[str, Json]:
    """The parents of a job, and its request with short words for what they have not given yet."""
    if not parents:
        return {}
    names = {parent["job_id"]: f"{parent['step']} {parent['index']}" for parent in parents}
    return {"parents": list(parents), "request": told(line["request"], names)}


def row_label(value: Json) -> str:
    """A row of a step as text: all its axes, and the number of the file that is meant."""
    if not isinstance(value, dict):
        return label_of(value)
    words = (_part_label(name, item) for name, item in value.items())
    return ", ".join(words)


def _part_label(name: str, value: Json) -> str:
    if not isinstance(value, dict):
        return label_of(value)
    if name == FILE and value.keys() == {"index", "seed"}:
        return f"file {value['index']}"
    return row_label(value) if FILE in value else label_of(value)


def mark_left_out(
    entries: Iterable[dict[str, Json]], job_ids: Container[str], *, advice: str = ""
) -> None:
    """Mark the entries of these jobs: nothing of them is open. `advice`: how they are sent."""
    for entry in entries:
        if entry["job_id"] in job_ids:
            entry |= {"status": LEFT_OUT, "advice": advice or None, "command": None}


def order_axes(entries: Iterable[dict[str, Any]], manifest: Mapping[str, Json] | None) -> None:
    """Put the axes of each entry in the order in which the manifest of the lock file has them."""
    sections = {} if manifest is None else manifest["steps"]
    orders = {name: axis_names(step) for name, step in sections.items()}
    for entry in entries:
        axes, order = entry["axes"], orders.get(entry["step"], [])
        entry["axes"] = {name: axes[name] for name in (*order, *axes) if name in axes}


def files_with_thumb(entries: Iterable[dict[str, Any]]) -> Iterator[tuple[str, str]]:
    """Path and SHA-256 of every file of these entries that gets a small picture."""
    for entry in entries:
        for file in entry["files"]:
            if gets_thumb(file["media_type"]):
                yield file["path"], file["sha256"]


def gets_thumb(media_type: str) -> bool:
    """Whether a small picture can be made of such a file here."""
    medium = MEDIA.get(media_of(media_type))
    return medium is not None and (medium.is_picture or (medium.is_movie and can_make_posters()))


@cache
def can_make_posters() -> bool:
    """Whether PyAV is installed, the extra `dsrun[video]`."""
    return find_spec("av") is not None


def shown(file: Mapping[str, Any]) -> Shown | None:
    """The file where there is something to see on a contact sheet."""
    medium = MEDIA.get(file["media"])
    if medium is None or not medium.on_sheet:
        return None
    known: dict[str, Any] = {field.name: file.get(field.name) for field in fields(Shown)}
    return Shown(**known)


def add_thumbs(entries: Iterable[dict[str, Any]], made: Container[str]) -> None:
    """Add the path of every existing thumbnail to its file; `made` has their file names."""
    for entry in entries:
        for file in entry["files"]:
            thumb = thumb_of(file["sha256"])
            if thumb.removeprefix(f"{THUMBS}/") in made:
                file["thumb"] = thumb


def label_of(value: Json) -> str:
    """A value of an axis as text; for a row of a data file, its first column."""
    if isinstance(value, dict):
        return label_of(next(iter(value.values()))) if value else ""
    if isinstance(value, list):
        return ", ".join(map(label_of, value))
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return str(value)


def _files(artifacts: Iterable[dict[str, Json]]) -> list[dict[str, Json]]:
    """One file for each place: rows that make the same job have copies of one file.

    Those of the main kind, which has no name, come first.
    """
    files: dict[tuple[str, int], dict[str, Json]] = {}
    for item in artifacts:
        place = (item.get("name", ""), item["index"])
        if place in files:
            continue
        file = {key: item[key] for key in _OF_FILES}
        file |= {key: item[key] for key in _FACTS if item.get(key) is not None}
        file |= {"name": item["name"]} if item.get("name") else {}
        files[place] = file | {"media": media_of(item["media_type"])}
    return [files[place] for place in sorted(files)]
