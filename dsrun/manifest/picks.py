"""A file of picks: the files or jobs that a person has chosen, one a line, as a report saves them.

A line names a file by its path or its name, with or without the folders before the step's and the
extension, or a job by its id. `#` begins a comment.
"""

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass

_ROOT = "artifacts/"
_JOB_ID = re.compile(r"[0-9a-f]{12,64}").fullmatch
SHORT_ID = 12  # characters of a job id, as a plan shows it
_EXTENSION = re.compile(r"\.[A-Za-z0-9]{1,8}$")
_COMMENT = re.compile(r"\s+#.*$")


@dataclass(frozen=True, slots=True)
class PickFile:
    """A file of picks as it was read; `text` is None where there is no such file."""

    name: str
    text: str | None

    def lines(self) -> Iterator[tuple[int, str]]:
        """Every line that should name something, with its number."""
        for number, line in enumerate((self.text or "").split("\n"), 1):
            stripped = line.strip()
            if stripped and not stripped.startswith("#"):
                yield number, stripped


def job_prefix(line: str) -> str | None:
    """The id of a job that a line may be, or the beginning of one."""
    word = _COMMENT.sub("", line).lower()
    return word if _JOB_ID(word) else None


def file_names(line: str) -> list[str]:
    """What a line may name, as STEP/NAME; the more literal reading comes first."""
    names: list[str] = []
    for text in (line, _COMMENT.sub("", line)):
        path = picked_name(text.replace("\\", "/").removeprefix("./"))
        below = path.partition(_ROOT)[2] if path.startswith(_ROOT) else ""
        far = path.partition(f"/{_ROOT}")[2]  # of a path that begins above the run directory
        for name in filter(None, (below, path, far)):
            names += [name, _EXTENSION.sub("", name)]
    return list(dict.fromkeys(names))


def picked_name(name: str) -> str:
    """A name in the form in which names are compared: some systems take letters apart."""
    return unicodedata.normalize("NFC", name)
