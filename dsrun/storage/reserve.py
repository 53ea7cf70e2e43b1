"""Room on the disk, kept for what is under way and given to the ledger when the disk is full.

Whoever sends a request that may be paid must be able to write down its answer. The room is a file
of real blocks beside the ledger. When the disk is full the blocks are moved to the end of SQLite's
log, where SQLite takes them for unwritten, so that no download gets them first.
"""

import errno
import os
import stat
from contextlib import suppress
from pathlib import Path

from dsrun.common.errors import SetupError
from dsrun.common.systems import PLAIN, flag, write_at
from dsrun.storage.layout import RunLayout

_MARGIN = 256 << 10  # for how jobs and the run end
_A_CREATE = 64 << 10  # the pages that an intent and its answer touch, twice
_STEP = 128 << 10  # moved at once, so at most so much can be snatched by another writer
_NO_FALLOCATE = {errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL, errno.ENODEV}
_OWN = os.O_RDWR | PLAIN | flag("O_NOFOLLOW")


class Reserve:
    """The room of one run directory. None is kept before `hold`."""

    def __init__(self, run_dir: Path, *, log: Path) -> None:
        """`log` is the file that gets the room."""
        self._path = RunLayout.of(run_dir).reserve
        self._log = log
        self._size = 0

    def hold(self, creates: int) -> None:
        """Keep room for the answers of so many creates. Raises SetupError where there is none.

        What a killed run has left is taken over.
        """
        size = _MARGIN + creates * _A_CREATE
        try:
            descriptor = self._open()
            try:
                os.ftruncate(descriptor, min(size, os.fstat(descriptor).st_size))
                _allocate(descriptor, 0, size)
            finally:
                os.close(descriptor)
        except OSError as error:
            self.remove()
            raise SetupError(
                f"cannot keep {size >> 10} KB in {self._path} for the answers of what would be "
                f"sent: {error.strerror or error}. Nothing was sent. Free the disk or make the "
                "folder writable, then run the same command again; nothing is lost."
            ) from error
        self._size = size

    def give_up(self) -> None:
        """Let the log have the room, piece by piece, as far as the disk allows."""
        if not self._size:
            return
        left, self._size = self._size, 0
        with suppress(OSError):
            own = os.open(self._path, _OWN)
            try:
                log = os.open(self._log, _OWN)
                try:
                    end = os.fstat(log).st_size
                    while left:
                        piece = min(left, _STEP)
                        left -= piece
                        os.ftruncate(own, left)
                        _allocate(log, end, piece)
                        end += piece
                finally:
                    os.close(log)
            finally:
                os.close(own)
        self.remove()

    def remove(self) -> None:
        """Give the room back to everybody. Whatever has this name is ours."""
        self._size = 0
        with suppress(OSError):
            self._path.unlink(missing_ok=True)

    def _open(self) -> int:
        """Open the file. Anything else in its place is removed, a hard link too. Raises OSError."""
        with suppress(FileNotFoundError):
            status = self._path.lstat()
            if not stat.S_ISREG(status.st_mode) or status.st_nlink > 1:
                self._path.unlink()
        return os.open(self._path, _OWN | os.O_CREAT, 0o600)


def _allocate(descriptor: int, start: int, length: int) -> None:
    """Give real blocks to a part of a file. Raises OSError."""
    try:
        os.posix_fallocate(descriptor, start, length)
    except (AttributeError, OSError) as error:  # macOS and Windows have no such function
        if isinstance(error, OSError) and error.errno not in _NO_FALLOCATE:
            raise
        for at in range(start, start + length, _STEP):
            piece = bytes(min(_STEP, start + length - at))
            if write_at(descriptor, piece, at) < len(piece):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)) from error
        os.fsync(descriptor)
