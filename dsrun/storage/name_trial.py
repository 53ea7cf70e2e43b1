"""Whether the disk takes the names of artifacts, tried with empty files before anything is sent.

NTFS, exFAT and SMB refuse `Dune: Part Two`, eCryptfs refuses 144 bytes, Windows `con.png`. No list
of rules covers them all, so the disk itself is asked, in a folder of `.tmp/`.

A disk refuses characters, lengths, and what is odd about a name. So a name is tried only where it
has something that no taken name had, or is longer than all of them: a plan of 100,000 names costs a
few tries.
"""

import os
import re
import unicodedata
from collections.abc import Sequence
from contextlib import suppress
from operator import le
from pathlib import Path
from typing import NamedTuple

from dsrun.storage.files import disk_faults
from dsrun.storage.layout import RunLayout

_FOLDER = "name"  # `.tmp/name` is as long as `artifacts`, and so are whole paths below them
# Words that Windows keeps for devices, and what it takes away from the end of a name.
_ODD = re.compile(
    r"(?:^|/)(?:con|prn|aux|nul|com.|lpt.|conin\$|conout\$|clock\$)(?:\.|/|$)|[ .](?:/|$)|(?:^|/) "
)
# The same and more, quickly found in many names at once.
_MAY_BE_ODD = re.compile(
    r"[ .](?:/|$)|(?:^|/)(?: |con|prn|aux|nul|com|lpt|clock)", re.IGNORECASE | re.MULTILINE
)
_PLAIN = "posters/poster.png"


class _Lengths(NamedTuple):
    """Disks limit the bytes of a name, its characters, or the bytes of a whole path."""

    bytes: int
    characters: int
    whole: int


class NameTrial:
    """Tries names in one run directory. It must be locked, and `.tmp/` must be there."""

    def __init__(self, run_dir: Path) -> None:
        self._root = RunLayout.of(run_dir).temp / _FOLDER
        self._file: Path | None = None  # where the empty file is now
        self._taken: set[str] = set()  # what names have had that the disk takes
        self._longest = _lengths("")  # of these
        self._proven: set[str] = set()  # words with which the disk refuses a name, and not all

    def refusal(self, name: str) -> str:
        """Why the disk refuses a path below `artifacts/`; empty where it takes it.

        Raises SetupError where it takes no name at all.
        """
        features, lengths = {*name, *_ODD.findall(name.lower())}, _lengths(name)
        if features <= self._taken and all(map(le, lengths, self._longest)):
            return ""
        try:
            self._try(name)
        except (OSError, ValueError) as error:
            words = getattr(error, "strerror", None) or str(error)
            if words not in self._proven:
                with disk_faults(self._root):
                    self._try(_PLAIN)  # else it is the disk, not the name
                self._proven.add(words)
            return words
        self._taken |= features
        self._longest = _Lengths(*map(max, lengths, self._longest))
        return ""

    def has_taken_like(self, names: Sequence[str]) -> bool:
        """Whether no name of a page has anything new, so that none would be tried.

        False where each has to be looked at.
        """
        text = "\n".join(names)
        if text.count("\n") >= max(1, len(names)) or _MAY_BE_ODD.search(text):
            return False
        data = text.encode(errors="surrogatepass")
        lengths = _Lengths(
            max(map(len, data.replace(b"\n", b"/").split(b"/"))),
            max(map(len, text.replace("\n", "/").split("/"))),
            max(map(len, data.split(b"\n"))),
        )
        return {*text} - {"\n"} <= self._taken and all(map(le, lengths, self._longest))

    def _try(self, name: str) -> None:
        """Give the empty file this name, as an artifact gets its own. Raises OSError."""
        path, old = self._root / name, self._file
        if old is None or not old.exists():
            self._root.mkdir(exist_ok=True)
            old = self._root / "empty"
            old.touch()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            old.replace(path)
            self._file = path
            if old.parent != path.parent:
                self._remove_folders(old)
            self._check_spelling(path)
        except (OSError, ValueError):
            self._remove_folders(path)
            raise

    def _remove_folders(self, path: Path) -> None:
        """Remove the folders that a name has left, as far as they are empty."""
        for folder in path.relative_to(self._root).parents[:-1]:
            with suppress(OSError):
                (self._root / folder).rmdir()

    def _check_spelling(self, path: Path) -> None:
        """Raises OSError where the disk has kept the name in another spelling."""
        while path != self._root:
            kept = os.listdir(path.parent)  # noqa: PTH208  # names alone
            if path.name not in kept and path.name not in map(_composed, kept):
                raise OSError(0, f"it keeps {path.name!r} under another name")
            path = path.parent


def _composed(name: str) -> str:
    return unicodedata.normalize("NFC", name)


def _lengths(name: str) -> _Lengths:
    parts = name.split("/")
    return _Lengths(max(map(_bytes, parts)), max(map(len, parts)), _bytes(name))


def _bytes(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode(errors="surrogatepass"))
