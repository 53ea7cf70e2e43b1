"""A file under a second name, as cheaply as the file system can: reflink, hard link, or copy."""

import errno
import fcntl
import os
import shutil
from contextlib import suppress

_FICLONE = 0x40049409  # Linux; Python names it from 3.12 on
_NO_REFLINK = {errno.EOPNOTSUPP, errno.ENOTTY, errno.EXDEV, errno.EINVAL, errno.ENOSYS}
_NO_LINK = {
    errno.EOPNOTSUPP, errno.EXDEV, errno.EPERM, errno.EACCES, errno.EMLINK, errno.ENOSYS
}  # fmt: skip


class Cloner:
    """Clones files; remembers that a file system has no reflinks.

    `target` must not exist; a crash may leave it half written. A reflink or copy is synced. A
    hard link is the same file: who clones read-only files gets read-only links.
    """

    def __init__(self) -> None:
        self.has_reflinks = True

    def clone(self, source: str, target: str) -> None:
        """Raises OSError."""
        if self.has_reflinks and self._reflink(source, target):
            return
        try:
            os.link(source, target)
        except OSError as error:
            if error.errno not in _NO_LINK:
                raise
            with open(source, "rb") as old, open(target, "xb") as new:
                shutil.copyfileobj(old, new)
                new.flush()
                os.fsync(new.fileno())

    def _reflink(self, source: str, target: str) -> bool:
        with open(source, "rb") as old, open(target, "xb") as new:
            try:
                fcntl.ioctl(new, _FICLONE, old.fileno())
                os.fsync(new.fileno())
            except OSError as error:
                with suppress(OSError):
                    os.unlink(target)
                if error.errno not in _NO_REFLINK:
                    raise
                self.has_reflinks = False
                return False
        return True
