"""The door to the result cache: finished results by job id, shared by all runs of one output root.

    .cache/
      index.sqlite3            which job has which files
      objects/a/JOB_ID-INDEX   the files, read-only
      lock                     held while the index is opened
      emulated/                the same, of emulated runs

The index's write lock guards the files too: whoever adds or removes some holds it. A file counts
once its job is in the index, and it is never trusted: each use checks size and SHA-256, so that a
crash or an edit in place costs a job and never gives a wrong picture.
"""

import errno
import fcntl
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
from dsrun.storage.cache_index import CachedFile, CachedResult, CacheIndex, faults

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


Remake = Callable[[Path, CachedFile], CachedFile | None]

_INDEX = "index.sqlite3"
_OBJECTS = "objects"
_DIGITS = 1  # of the job id, as names of folders: more of them cost more than a run of 1,000 jobs
_ID_DIGITS = 64
_OBJECT = re.compile(rf"[0-9a-f]{{{_ID_DIGITS}}}-[0-9]+").fullmatch
_WRITE_BITS = 0o222
_FORGOTTEN_AT_ONCE = 1000  # so that a run waits for a moment only


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
    """To look into only: touches nothing. None where there is no cache. Raises CacheFault."""
    return ResultCache(folder, read_only=True) if has_cache(folder) else None


def has_cache(folder: Path) -> bool:
    return (folder / _INDEX).exists()


class ResultCache:
    """An open cache. Its methods raise CacheFault where the disk does not take or give it."""

    def __init__(self, folder: Path, *, read_only: bool = False) -> None:
        """Makes the folder and the index where they are missing, unless `read_only`.

        A folder that is there and takes no files is read only, too.
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
        self.damaged = 0  # results that were passed over since they cannot be trusted
        self._cloner = Cloner()
        self._made: set[str] = set()
        self._unsynced: set[str] = set()

    def close(self) -> None:
        self.index.close()

    def present(self, job_ids: Sequence[str]) -> set[str]:
        """Which of the jobs would be taken from here; contents are not read."""
        found = self.index.find(job_ids)
        return {job_id for job_id, result in found.items() if self._has_files(result)}

    def take(self, job_ids: Sequence[str], *, at: str) -> dict[str, CachedResult]:
        """The results of those jobs that have one, marked as used: nobody removes them now."""
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
                self.index.forget(self.index.damaged(known))  # what is made anew takes its place
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
        """Make a file appear under other names, checked; None where it is not here or damaged.

        `temporary` is a free name in the file system of the targets; there `remake` may write the
        file anew, and says what it is then, or None to leave it. Durable after `sync()`.
        Raises SetupError where the targets cannot be written.
        """
        source, made = self._object(job_id, file.index), file
        if _size_of(source) != file.size or not os.access(source, os.R_OK):
            return None
        try:
            for target in targets:
                try:
                    self._cloner.clone(source, temporary)
                    if not _is_whole(temporary, file):
                        return None
                    remade = remake(Path(temporary), file) if remake else file
                    if remade is None:
                        return None
                    made = remade
                    folder = os.path.dirname(target)
                    os.makedirs(folder, exist_ok=True)
                    os.replace(temporary, target)
                    self._unsynced.add(folder)
                finally:
                    # Still there, too, where it and the target were one file already.
                    with suppress(FileNotFoundError):
                        os.unlink(temporary)
        except OSError as error:
            if error.errno == errno.EIO or not os.path.exists(source):
                return None
            raise SetupError(
                f"cannot bring {error.filename or temporary} from the cache: "
                f"{error.strerror or error}. Free the disk or make the folder writable, then run "
                "the same command again; nothing is lost."
            ) from error
        return made

    def sync(self) -> None:
        """Until here what was brought may be gone after a crash of the machine."""
        for folder in self._unsynced:
            with faults(Path(folder)):
                descriptor = os.open(folder, os.O_RDONLY)
                try:
                    os.fsync(descriptor)
                finally:
                    os.close(descriptor)
        self._unsynced.clear()

    def keep(self, finished: Sequence[Finished], *, at: str) -> None:
        """Take results in. One whose files are no longer as they were made is left out."""
        with faults(self._folder), self.index.writing():
            here = set(self.index.known([item.result.job_id for item in finished]))
            new = (item for item in finished if item.result.job_id not in here)
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
                        os.unlink(self._object(result.job_id, file.index))

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
        """The folders of files. One that a link leads to is somebody else's."""
        if self._objects.is_symlink():
            return []
        found = sorted(self._objects.glob("?"))
        return [path for path in found if path.is_dir() and not path.is_symlink()]

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
            with os.scandir(folder) as found:
                for item in found:
                    if not _OBJECT(item.name) or item.name[:_ID_DIGITS] in needed:
                        continue  # what has no name of ours is not ours
                    if item.is_dir(follow_symlinks=False):
                        continue
                    status = item.stat(follow_symlinks=False)
                    if not dry_run:
                        os.unlink(item.path)
                    yield status.st_size, status.st_nlink

    def _take_in(self, item: Finished) -> bool:
        """Clone the files of a result; False where one is gone or no longer as it was."""
        for file, path in zip(item.result.files, item.paths, strict=True):
            if _size_of(path) != file.size:
                return False
            target = self._object(item.result.job_id, file.index)
            if not self._place(path, target):
                return False
            status = os.stat(path)
            if status.st_mode & _WRITE_BITS:
                os.chmod(target, status.st_mode & ~_WRITE_BITS)
        return True

    def _place(self, path: str, target: str) -> bool:
        """Clone a file; False where something is in its place that is no file."""
        folder = os.path.dirname(target)
        if folder not in self._made:
            with suppress(FileExistsError):
                os.mkdir(folder)  # and never the cache itself, should it have been moved
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
            _size_of(self._object(result.job_id, file.index)) == file.size for file in result.files
        )

    def _object(self, job_id: str, index: int) -> str:
        return f"{self._objects}/{job_id[:_DIGITS]}/{job_id}-{index}"


def _size_of(path: str) -> int | None:
    """The size of a file; None where there is none, or a folder, a pipe or a link."""
    try:
        status = os.lstat(path)
    except (OSError, ValueError):
        return None
    return status.st_size if stat.S_ISREG(status.st_mode) else None


def _is_whole(path: str, expected: CachedFile) -> bool:
    """Whether a file has the bytes that were recorded. Its size alone tells most that have not."""
    with open(path, "rb") as file:
        if os.fstat(file.fileno()).st_size != expected.size:
            return False
        return hashlib.file_digest(file, "sha256").hexdigest() == expected.sha256
