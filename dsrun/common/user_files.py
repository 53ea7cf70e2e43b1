"""The user's files: where they are, and the only way in which they are opened.

A pipeline may read files below its own folder and below the folders that the user allows for this
run. Only regular files are opened, opening never blocks, and no file is read past its size limit.
A hard link into the folder counts as a file of the folder, because nothing tells the two apart.
"""

import errno
import hashlib
import os
import select
import stat
from collections.abc import Mapping, Sequence
from functools import partial
from io import BufferedReader, FileIO
from pathlib import Path
from typing import Any, NamedTuple

from dsrun.common.errors import FileChanged
from dsrun.common.messages import closest
from dsrun.common.models import UploadFile
from dsrun.common.names import path_fault
from dsrun.common.systems import PLAIN, flag

INPUTS = "inputs"  # folder of the copies, in a run directory

_MB = 2**20
TEXT_BYTES = 16 * _MB  # a manifest, a prompt, an operation file: what is held in memory as text
LOCKFILE_BYTES = 256 * _MB
DATA_BYTES = 2 * 1024 * _MB  # a data file that is read row by row
UPLOAD_BYTES = 16 * 1024 * _MB
_FLAGS = PLAIN | flag("O_NONBLOCK", "O_NOCTTY")
_KINDS = {
    stat.S_IFDIR: "Is a directory",
    stat.S_IFIFO: "this is a pipe; allowed: a regular file",
    stat.S_IFCHR: "this is a device; allowed: a regular file",
    stat.S_IFBLK: "this is a device; allowed: a regular file",
    stat.S_IFSOCK: "this is a socket; allowed: a regular file",
}


class Unreadable(Exception):
    """A file cannot be read. `kind` is the rule that it breaks; `about` adds its name."""

    def __init__(self, kind: str, words: str) -> None:
        super().__init__(words)
        self.kind = kind

    def about(self, name: str) -> str:
        return f"{name} {self}" if self.kind in ("outside", "changed") else f"{name}: {self}"


def nearest_path(path: Path, *, suffixes: Sequence[str] = ()) -> Path | None:
    """What a mistyped path may have meant: a name in its folder, or its name in a like folder."""
    folder = path.parent if path.parent.is_dir() else nearest_path(path.parent)
    if folder is None or not folder.is_dir():
        return None
    if folder != path.parent and (folder / path.name).exists():
        return folder / path.name
    try:
        found = [each for each in folder.iterdir() if not suffixes or each.suffix in suffixes]
    except OSError:
        return None
    names = {each.stem: each for each in found} | {each.name: each for each in found}
    return names.get(closest(path.name, sorted(names)))


class Inputs(NamedTuple):
    """`root` is the folder that names are relative to; files below `allowed` may be read too.

    A lock file has copies in `kept`, and in `pinned` the digests of every file that its run read.
    """

    root: Path
    kept: Path | None = None
    allowed: tuple[Path, ...] = ()
    pinned: Mapping[str, Any] | None = None

    @property
    def folders(self) -> tuple[Path, ...]:
        return tuple(path for path in (self.root, self.kept, *self.allowed) if path is not None)

    def place(self, name: str) -> Path:
        """The file with this name: the copy if there is one, since the file may have changed."""
        if self.kept is not None and can_be_kept(name) and is_file(self.kept / name):
            return self.kept / name
        return self.root / name

    def check(self, name: str, path: Path, sha256: str) -> None:
        """Refuse a file that a lock file names, unless its run read the same bytes.

        A lock file names its own folder, so being in that folder is no permission.
        Raises Unreadable.
        """
        if self.pinned is None or self.pinned.get(name) == sha256:
            return
        trusted = (*self.allowed, *([self.kept] if self.kept else []))
        if not is_below(path, trusted):
            words = f"is not what the lock file's run has read; changed since: {name}"
            raise Unreadable("changed", words)


def can_be_kept(name: str) -> bool:
    """Whether a name stays below the folder that it is relative to."""
    return not Path(name).is_absolute() and ".." not in Path(name).parts


def is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # no name of a file at all
        return False


def is_below(path: Path, folders: Sequence[Path]) -> bool:
    """Whether a path lies in one of the folders once its links are followed."""
    real = Path(os.path.realpath(path))
    return any(real.is_relative_to(os.path.realpath(folder)) for folder in folders)


def open_file(path: Path, *, most: int, folders: Sequence[Path] | None = None) -> BufferedReader:
    """Open a regular file, which must lie in one of `folders` if given. Raises Unreadable."""
    try:
        if folders is not None and (fault := path_fault(path)):
            raise Unreadable("name", f"cannot be read: {fault}")
        if folders is not None and not is_below(path, folders):
            raise Unreadable("outside", OUTSIDE)
        _check_kind(path.stat().st_mode)  # before it is opened: opening a device may do something
        file = _Bounded(os.open(path, os.O_RDONLY | _FLAGS))
    except FileNotFoundError as error:
        raise Unreadable("missing", MISSING) from error
    except OSError as error:
        raise Unreadable("name", f"cannot be read: {error.strerror or error}") from error
    except ValueError as error:
        raise Unreadable("name", "this is no name of a file") from error
    try:
        _check_opened(file, path, most, folders)
    except BaseException:
        file.close()
        raise
    return BufferedReader(file)


def read_file(path: Path, *, most: int, folders: Sequence[Path] | None = None) -> bytes:
    """The bytes of a regular file. Raises Unreadable."""
    with open_file(path, most=most, folders=folders) as file:
        try:
            return file.read()
        except OSError as error:
            raise Unreadable("name", f"cannot be read: {error.strerror or error}") from error


def read_pipe(path: Path, *, most: int, wait_s: float) -> bytes:
    """Everything that a pipe gives; its writer may pause `wait_s` at most. Raises Unreadable."""
    try:
        pipe = os.open(path, os.O_RDONLY | _FLAGS)
    except OSError as error:
        raise Unreadable("name", f"cannot be read: {error.strerror or error}") from error
    data = b""
    with FileIO(pipe) as file:
        while select.select([file], [], [], wait_s)[0]:
            part = file.read(_MB)
            data += part or b""
            if not part:
                return data
            if len(data) > most:
                raise Unreadable("size", _size_words(len(data), most))
    raise Unreadable("kind", f"cannot be read: the pipe gave nothing for {wait_s:g} s")


MISSING = "cannot be read: No such file or directory"
OUTSIDE = (
    "lies outside the folder of the manifest; put it below, or name its folder: --allow-files DIR"
)


def _check_opened(file: FileIO, path: Path, most: int, folders: Sequence[Path] | None) -> None:
    """Check that the opened file is the one that was looked at: names may change in between."""
    opened = os.fstat(file.fileno())
    _check_kind(opened.st_mode)
    if opened.st_size > most:
        raise Unreadable("size", _size_words(opened.st_size, most))
    if folders is None:
        return
    real = os.path.realpath(path)
    try:
        is_same = os.path.samestat(os.lstat(real), opened)
    except OSError:
        is_same = False
    if not is_same or not is_below(Path(real), folders):
        raise Unreadable("outside", OUTSIDE)


def _check_kind(mode: int) -> None:
    kind = _KINDS.get(stat.S_IFMT(mode))
    if kind is not None:
        raise Unreadable("kind", f"cannot be read: {kind}")


def _size_words(size: int, most: int) -> str:
    return f"cannot be read: it has {size / _MB:,.1f} MB; allowed: at most {most / _MB:,.0f} MB"


class _Bounded(FileIO):
    """Fails where more bytes come than the size says, as from a file of /proc."""

    def __init__(self, descriptor: int) -> None:
        super().__init__(descriptor)
        self._size = os.fstat(descriptor).st_size

    def readinto(self, buffer: Any) -> int | None:
        count = super().readinto(buffer)
        self._check()
        return count

    def readall(self) -> bytes:
        data = b"".join(iter(partial(self.read, _MB), b""))
        self._check()
        return data

    def read(self, size: int | None = -1) -> bytes:
        if size is None or size < 0:
            return self.readall()
        data = super().read(size) or b""
        self._check()
        return data

    def _check(self) -> None:
        if self.tell() > self._size:
            raise OSError(errno.EFBIG, "it gives more than its size, or grows")


class CheckedReader(BufferedReader):
    """The bytes of an UploadFile; `check()` after the last one compares them with the plan."""

    def __init__(self, file: UploadFile) -> None:
        """Raises FileChanged where the file is gone or has another size."""
        self._file = file
        self._hash = hashlib.sha256()
        try:
            super().__init__(open_file(file.path, most=UPLOAD_BYTES).detach())
        except Unreadable as error:
            raise _changed(file) from error
        if os.fstat(self.fileno()).st_size != file.size:
            self.close()
            raise _changed(file)

    def read(self, size: int | None = -1, /) -> bytes:
        data = super().read(size)
        self._hash.update(data)
        return data

    def check(self) -> None:
        """Raises FileChanged where the bytes differ from those that the plan was made with."""
        if self._hash.hexdigest() != self._file.sha256:
            raise _changed(self._file)


def _changed(file: UploadFile) -> FileChanged:
    return FileChanged(
        f"{file.name} is not what it was when the plan was made; run again to plan with the file "
        "as it is, or put it back and add --retry-failed"
    )
