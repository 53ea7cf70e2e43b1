"""Whether the files and folders that a run writes to are still where they were at its start.

SQLite and open descriptors go on with a file that was removed, renamed or replaced: all seems well,
and nobody can find what is written. So each name is compared with what it first stood for.
"""

import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from dsrun.common.systems import flag


class Ground:
    """Names, each with the file or folder that it first stood for. Close it with `close()`."""

    def __init__(self, *, folders: Sequence[Path], files: Sequence[Path] = ()) -> None:
        """What does not exist yet counts from when it is first seen.

        Somebody else must hold the files open, or their inode numbers could be used again. They
        must not be opened here: closing a descriptor would release SQLite's locks.
        """
        self._folders = tuple(map(str, folders))
        self._files = tuple(map(str, files))
        self._known: dict[str, tuple[int, int]] = {}
        self._held: list[int] = []  # descriptors that keep the inode numbers of the folders in use
        self.lost()

    def close(self) -> None:
        for descriptor in self._held:
            os.close(descriptor)
        self._held.clear()

    def lost(self) -> str:
        """What is no longer where it was, and why; an empty text while all is."""
        for name in (*self._folders, *self._files):
            known = self._known.get(name)
            try:
                status = os.stat(name)  # noqa: PTH116  # before every commit
            except OSError as error:
                if known is None:
                    continue
                return f"{name} is no longer there ({error.strerror})"
            if known is None:
                self._note(name, status)
            elif known != (status.st_dev, status.st_ino):
                return f"{name} is another {'folder' if name in self._folders else 'file'} now"
        return ""

    def _note(self, name: str, status: os.stat_result) -> None:
        if name in self._folders:
            with suppress(OSError):  # Windows opens no folder, and removes none that is in use
                self._held.append(os.open(name, os.O_RDONLY | flag("O_DIRECTORY")))
        self._known[name] = (status.st_dev, status.st_ino)
