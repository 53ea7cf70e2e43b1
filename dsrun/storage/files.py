"""Files that are written aside, synced and renamed: a reader sees the old bytes or the new ones."""

import hashlib
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from dsrun.common.errors import SetupError


class disk_faults:  # noqa: N801  # read as a word after `with`
    """Turns an error of the operating system into words for the user."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, OSError):
            raise SetupError(
                f"cannot write {self._path}: {error.strerror or error}. Free the disk "
                "or make the folder writable, then run the same command again; nothing is lost."
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
    """Make the symbolic link `latest` name the newest run, in one step. Raises SetupError."""
    temporary = link.with_name(f".{link.name}.tmp")
    with disk_faults(link):
        temporary.unlink(missing_ok=True)
        temporary.symlink_to(target, target_is_directory=True)
        temporary.replace(link)


def sync(path: str) -> None:
    """Make a file or folder survive a crash of the machine. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sha256_of(path: Path) -> str | None:
    """The SHA-256 of a file; None where it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return None
