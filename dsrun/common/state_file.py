"""A list of lines in the user's state folder, which many processes read and append to.

A file that other users can write, or that is no regular file, counts as empty.
"""

import os
import stat
from pathlib import Path

from dsrun.common.errors import SetupError
from dsrun.common.systems import PLAIN

_MODE, _FOLDER_MODE = 0o600, 0o700
_BIGGEST = 1_000_000  # bytes; a larger file is not ours


class StateFile:
    """`folder` is where dsrun keeps its state; None where the user has no home."""

    def __init__(self, folder: Path | None, name: str) -> None:
        self._file = None if folder is None else folder / name

    def lines(self) -> list[bytes]:
        if self._file is None or not _is_own(self._file):
            return []
        try:
            return self._file.read_bytes().split(b"\n")
        except OSError:
            return []

    def add(self, line: bytes) -> None:
        """Append a line, even while other processes write. Raises SetupError."""
        if self._file is None:
            raise SetupError("this user has no home directory; set XDG_STATE_HOME")
        try:
            self._file.parent.mkdir(mode=_FOLDER_MODE, parents=True, exist_ok=True)
            if os.path.lexists(self._file) and not _is_own(self._file):
                self._file.unlink()
            descriptor = os.open(self._file, os.O_WRONLY | os.O_APPEND | os.O_CREAT | PLAIN, _MODE)
            try:
                # A line feed before it too, so that a truncated line spoils no other.
                os.write(descriptor, b"\n" + line + b"\n")
            finally:
                os.close(descriptor)
            self._file.chmod(_MODE)
        except OSError as error:
            raise SetupError(f"{self._file} cannot be written: {error.strerror}") from error


def _is_own(file: Path) -> bool:
    try:
        state = file.lstat()
    except OSError:
        return False
    if not stat.S_ISREG(state.st_mode) or state.st_size > _BIGGEST:
        return False
    if not hasattr(os, "getuid"):  # Windows
        return True
    return state.st_uid == os.getuid() and not state.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
