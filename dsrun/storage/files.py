"""Files that are written aside, synced and renamed: a reader sees the old bytes or the new ones."""

import errno
import hashlib
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from dsrun.common.errors import SetupError

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_FORBIDDEN = {errno.EACCES, errno.EPERM, errno.EROFS}
_IN_THE_WAY = {errno.ENOTDIR, errno.EISDIR, errno.EEXIST}
_NAME = {errno.EINVAL, errno.ENAMETOOLONG, errno.EILSEQ}


class NoLink(SetupError):
    """The disk takes no symbolic link here."""


class NameRefused(SetupError):
    """The disk takes no file of this name."""


def _advice(error: OSError) -> str:
    if error.errno in _FULL:
        return "Free the disk"
    if error.errno in _FORBIDDEN:
        return "Make the folder writable, or write to another one (--out)"
    if error.errno in _IN_THE_WAY:
        return "Move away what is in its place"
    if error.errno in _NAME:
        return "This disk refuses the name: choose another one, or another disk"
    return "Free the disk or make the folder writable"


class disk_faults:  # noqa: N801  # read as a word after `with`
    """Turns an error of the operating system into words for the user."""

    def __init__(self, path: Path | str) -> None:
        self._path = path

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, OSError):
            kind = NameRefused if error.errno in _NAME else SetupError
            raise kind(
                f"cannot write {self._path}: {error.strerror or error}. {_advice(error)}, then run "
                "the same command again; nothing is lost."
            ) from error


def own_folder(path: Path) -> None:
    """Make a folder that is dsrun's alone, in an existing one. A link in its place is removed.

    What a link leads to is somebody else's. Raises SetupError.
    """
    with disk_faults(path):
        if path.is_symlink():
            path.unlink()
        path.mkdir(exist_ok=True)


def make_folder(path: Path) -> None:
    """Make a folder and those above it. Raises SetupError."""
    with disk_faults(path):
        path.mkdir(parents=True, exist_ok=True)


@contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """A file to write, which replaces `path` in one step once the block has ended well.

    Raises SetupError.
    """
    temporary = path.with_name(f".{path.name}.tmp")
    with disk_faults(path):
        temporary.unlink(missing_ok=True)  # never written through, should it be a link
        try:
            with temporary.open("xb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise


def write_whole(path: Path, parts: Iterable[bytes]) -> None:
    """Replace a file in one step. Raises SetupError."""
    with whole_file(path) as file:
        file.writelines(parts)


def point_latest(link: Path, target: str) -> None:
    """Make the symbolic link `latest` name the newest run, in one step.

    Where that cannot be, no link names an older one. Raises NoLink.
    """
    temporary = link.with_name(f".{link.name}.tmp")
    try:
        temporary.unlink(missing_ok=True)
        temporary.symlink_to(target, target_is_directory=True)
        temporary.replace(link)
    except (OSError, NotImplementedError) as error:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
            if link.is_symlink():
                link.unlink()
        words = getattr(error, "strerror", None) or error
        raise NoLink(f"{link} cannot be made: {words}") from error


def sha256_of(path: Path) -> str | None:
    """The SHA-256 of a file; None where it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return None


def are_there(folder: Path, paths: Iterable[str]) -> bool:
    """Whether each of these files below a folder exists. There may be a million of them."""
    root = f"{folder}{os.sep}"
    return all(os.path.exists(root + path) for path in paths)  # noqa: PTH110  # a Path is slow
