"""The door to the result cache: finished results by job id, shared by all runs of one output root.

    .cache/
      index.sqlite3            which job has which files
      objects/a/JOB_ID-INDEX   the files, read-only; -NAME follows for a further kind
      lock                     held while the index is opened
      emulated/                the same, of emulated runs

The index's write lock guards the files too: whoever adds or removes some holds it. A file counts
once its job is in the index, and it is never trusted: each use checks size and SHA-256. A crash or
an edit in place may cost a cached result, but never gives a wrong picture.
"""

import errno
import hashlib
import os
import re
import shutil
import stat
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import NamedTuple

from filelock import FileLock

from dsrun.common.errors import SetupError
from dsrun.common.systems import fcntl, sync
from dsrun.storage.cache_index import CachedFile, CachedResult, CacheIndex, faults

_FICLONE = 0x40049409  # Linux; Python names it from 3.12 on
_NO_REFLINK = {errno.EOPNOTSUPP, errno.ENOTTY, errno.EXDEV, errno.EINVAL, errno.ENOSYS}
_NO_LINK = {
    errno.EOPNOTSUPP, errno.EXDEV, errno.EPERM, errno.EACCES, errno.EMLINK, errno.ENOSYS
}  # fmt: skip
_INDEX = "index.sqlite3"
_OBJECTS = "objects"
_DIGITS = 1  # of a job id, in the name of a folder: more would slow down a run of 1,000 jobs
_ID_DIGITS = 64
_OBJECT = re.compile(rf"[0-9a-f]{{{_ID_DIGITS}}}-[0-9]+(?:-[a-z][a-z0-9]*)?").fullmatch
_WRITE_BITS = 0o222
_FORGOTTEN_AT_ONCE = 1000  # so that a run waits only for a moment

Remake = Callable[[Path, CachedFile], CachedFile | None]


class Cloner:
    """Clones files, and remembers when the file system has no reflinks.

    `target` must not exist; a crash may leave it half written. A reflink or a copy is synced. A
    hard link is the same file, so a link to a read-only file is read-only.
    """

    def __init__(self) -> None:
        self.has_reflinks = fcntl is not None

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


class Finished(NamedTuple):
    """A result to keep, and where each of its files is now."""

    result: CachedResult
    paths: Sequence[str]


class Collected(NamedTuple):
    """What `collect` removed. `held` bytes are still in run directories, under the same inode."""

    results: int
    files: int
    freed: int
    held: int


def read_cache(folder: Path) -> "ResultCache | None":
    """A cache to look into: nothing is touched. None where there is none. Raises CacheFault."""
    return ResultCache(folder, read_only=True) if has_cache(folder) else None


def has_cache(folder: Path) -> bool:
    return (folder / _INDEX).exists()


class ResultCache:
    """An open cache. Its methods raise CacheFault where it cannot be read or written."""

    def __init__(self, folder: Path, *, read_only: bool = False) -> None:
        """Makes the folder and the index where they are missing, unless `read_only`.

        A folder that exists and cannot be written to is opened read-only too.
        """
        self._folder = folder
        self._objects = folder / _OBJECTS
        self.is_read_only = read_only or (folder.is_dir() and not os.access(folder, os.W_OK))
        with faults(folder), ExitStack() as stack:
            if not self.is_read_only:
                self._objects.mkdir(parents=True, exist_ok=True)
                # Several processes that make one database at once would trip over each other.
                stack.enter_context(FileLock(folder / "lock"))
            self.index = CacheIndex(folder / _INDEX, read_only=self.is_read_only)
        self.damaged = 0  # results that were passed over because they cannot be trusted
        self._cloner = Cloner()
        self._made: set[str] = set()
        self._unsynced: set[str] = set()

    def close(self) -> None:
        self.index.close()

    def present(self, job_ids: Sequence[str]) -> set[str]:
        """Which of the jobs would be taken from here; contents are not read."""
        results = self.index.find(job_ids)
        return {job_id for job_id, result in results.items() if self._has_files(result)}

    def take(self, job_ids: Sequence[str], *, at: str) -> dict[str, CachedResult]:
        """The results of those jobs that have one, marked as used so that nobody removes them."""
        known = self.index.known(job_ids)
        if not known:
            return {}
        damaged = self.index.damaged(known)
        self.damaged += len(damaged)
        if self.is_read_only:
            return self.index.find(known)
        with self.index.writing():
            self.index.touch(known, at=at)
            if damaged:
                self.index.forget(self.index.damaged(known))  # a new result takes its place
            return self.index.find(known)

    def bring(
        self,
        job_id: str,
        file: CachedFile,
        targets: Iterable[str],
        *,
        temporary: str,
        remake: Remake | None = None,
    ) -> CachedFile | None:
        """Make a checked file appear at the targets; None where it is missing here, or damaged.

        `temporary` is a free name in the file system of the targets. There `remake` may rewrite the
        file; it says what the file is then, or None to leave the target as it is. The targets are
        durable after `sync()`. Raises SetupError where they cannot be written.
        """
        source = self._object(job_id, file)
        if _size_of(source) != file.size or not os.access(source, os.R_OK):
            return None
        brought: CachedFile | None = file
        try:
            for target in targets:
                brought = self._bring_to(target, source, file, temporary=temporary, remake=remake)
                if brought is None:
                    return None
        except OSError as error:
            if error.errno == errno.EIO or not os.path.exists(source):
                return None
            raise SetupError(
                f"cannot take {error.filename or temporary} from the cache: "
                f"{error.strerror or error}. Free the disk or make the folder writable, then run "
                "the same command again; nothing is lost."
            ) from error
        return brought

    def _bring_to(
        self, target: str, source: str, file: CachedFile, *, temporary: str, remake: Remake | None
    ) -> CachedFile | None:
        """What the target is then; None where it is left as it was. Raises OSError."""
        try:
            self._cloner.clone(source, temporary)
            if not _is_whole(temporary, file):
                return None
            made = remake(Path(temporary), file) if remake else file
            if made is not None:
                folder = os.path.dirname(target)
                os.makedirs(folder, exist_ok=True)
                os.replace(temporary, target)
                self._unsynced.add(folder)
            return made
        finally:
            # A rename between two names of one file does nothing, so it may still be there.
            with suppress(FileNotFoundError):
                os.unlink(temporary)

    def sync(self) -> None:
        """Make what was brought survive a crash of the machine."""
        for folder in self._unsynced:
            with faults(Path(folder)):
                sync(folder)
        self._unsynced.clear()

    def keep(self, finished: Sequence[Finished], *, at: str) -> None:
        """Take results in, but none whose files have changed since they were made.

        One that was made of other values than the one that is here takes its place.
        """
        with faults(self._folder), self.index.writing():
            here = self.index.sent([item.result.job_id for item in finished])
            new = [
                item
                for item in finished
                if here.get(item.result.job_id, "") != item.result.sent
                or item.result.job_id not in here
            ]
            self.index.forget([item.result.job_id for item in new])
            self.index.add([item.result for item in new if self._take_in(item)], at=at)

    def discard(self, result: CachedResult) -> None:
        """Forget a result that turned out damaged, unless another run has replaced it."""
        if self.is_read_only:
            return
        with faults(self._folder), self.index.writing():
            if self.index.find([result.job_id]) == {result.job_id: result}:
                self.index.forget([result.job_id])
                for file in result.files:
                    with suppress(FileNotFoundError, IsADirectoryError, PermissionError):
                        os.unlink(self._object(result.job_id, file))

    def collect(self, *, since: str, dry_run: bool) -> Collected:
        """Remove results last used before `since`, and files that no result needs."""
        results = self.index.count_unused(since=since) if dry_run else self._forget(since)
        files = freed = held = 0
        with faults(self._folder):
            for folder in self._own_folders():
                for size, links in self._sweep(folder, since=since, dry_run=dry_run):
                    files += 1
                    freed, held = (freed + size, held) if links == 1 else (freed, held + size)
        return Collected(results, files, freed, held)

    def _own_folders(self) -> list[Path]:
        """The folders of files. What a link leads to is not ours."""
        if self._objects.is_symlink():
            return []
        folders = sorted(self._objects.glob("?"))
        return [path for path in folders if path.is_dir() and not path.is_symlink()]

    def _forget(self, since: str) -> int:
        total = 0
        while True:
            with self.index.writing():
                number = self.index.forget_unused(since=since, limit=_FORGOTTEN_AT_ONCE)
            total += number
            if number < _FORGOTTEN_AT_ONCE:
                return total

    def _sweep(self, folder: Path, *, since: str, dry_run: bool) -> Iterator[tuple[int, int]]:
        """Size and number of links of each file that no result needs any more."""
        with ExitStack() as stack:
            if not dry_run:
                stack.enter_context(self.index.writing())
            needed = self.index.used(folder.name, since=since)
            with os.scandir(folder) as entries:
                for entry in entries:
                    if not _OBJECT(entry.name) or entry.name[:_ID_DIGITS] in needed:
                        continue  # what has no name of ours is not ours
                    if entry.is_dir(follow_symlinks=False):
                        continue
                    status = entry.stat(follow_symlinks=False)
                    if not dry_run:
                        os.unlink(entry.path)
                    yield status.st_size, status.st_nlink

    def _take_in(self, item: Finished) -> bool:
        """Clone the files of a result; False where one is gone or has changed."""
        for file, path in zip(item.result.files, item.paths, strict=True):
            status = _regular(path)
            if status is None or status.st_size != file.size:
                return False
            target = self._object(item.result.job_id, file)
            if not self._place(path, target):
                return False
            if status.st_mode & _WRITE_BITS:
                os.chmod(target, status.st_mode & ~_WRITE_BITS)
        return True

    def _place(self, path: str, target: str) -> bool:
        """Clone a file; False where a directory stands in its place."""
        folder = os.path.dirname(target)
        if folder not in self._made:
            with suppress(FileExistsError):
                os.mkdir(folder)  # never the cache itself, which may have been moved
            self._made.add(folder)
        try:
            self._cloner.clone(path, target)
        except FileExistsError:
            # Left by a run that was killed before its job was in the index.
            if stat.S_ISDIR(os.lstat(target).st_mode):
                return False
            os.unlink(target)
            self._cloner.clone(path, target)
        return True

    def _has_files(self, result: CachedResult) -> bool:
        return all(
            _size_of(self._object(result.job_id, file)) == file.size for file in result.files
        )

    def _object(self, job_id: str, file: CachedFile) -> str:
        ending = f"-{file.name}" if file.name else ""
        return f"{self._objects}/{job_id[:_DIGITS]}/{job_id}-{file.index}{ending}"


def _regular(path: str) -> os.stat_result | None:
    """What the system says of a file; None where there is none, or a folder, a pipe or a link."""
    try:
        status = os.lstat(path)
    except (OSError, ValueError):
        return None
    return status if stat.S_ISREG(status.st_mode) else None


def _size_of(path: str) -> int | None:
    status = _regular(path)
    return None if status is None else status.st_size


def _is_whole(path: str, expected: CachedFile) -> bool:
    """Whether a file has the bytes that were recorded. Its size gives most others away."""
    with open(path, "rb") as file:
        if os.fstat(file.fileno()).st_size != expected.size:
            return False
        return hashlib.file_digest(file, "sha256").hexdigest() == expected.sha256
