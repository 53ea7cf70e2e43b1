"""The door to the output directory: files appear whole, checked and synced, or not at all.

A file is written under `.tmp/` of the run directory, identified, hashed, synced and then
renamed. A crash leaves nothing but files in `.tmp/`, which the next run removes.
"""

import hashlib
import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import BinaryIO, NamedTuple

from dsrun.common.batch_worker import GroupWorker
from dsrun.common.errors import GroundLost, SetupError
from dsrun.common.media import HEAD_BYTES, ArtifactInvalid, Kind, extensions_of, identify, kind_of
from dsrun.common.models import Saved
from dsrun.storage.ground import Ground
from dsrun.storage.incoming import Incoming, disk_faults
from dsrun.storage.metadata.splice import Change, ends_of

ARTIFACTS = "artifacts"
TEMP = ".tmp"


class _Keep(NamedTuple):
    incoming: Incoming
    stems: Sequence[str]
    media: str
    declared: str | None
    change: Change | None


class ArtifactStore:
    """Keeps artifacts of one run directory; syncs in groups on its own thread."""

    def __init__(self, run_dir: Path) -> None:
        """Makes the folders, removes what a crash left. Raises SetupError."""
        self._root = str(run_dir)
        self._temp = run_dir / TEMP
        self._numbers = count()
        with disk_faults(run_dir):
            run_dir.mkdir(parents=True, exist_ok=True)
            shutil.rmtree(self._temp, ignore_errors=True)  # leaves a link
        own_folder(self._temp)
        self._ground = Ground(folders=[run_dir, self._temp, run_dir / ARTIFACTS])
        self._worker: GroupWorker[_Keep, Saved] = GroupWorker(self._keep_group, name="store")
        self._made: set[str] = set()

    def close(self) -> None:
        self._worker.close()
        if not self.lost():
            shutil.rmtree(self._temp, ignore_errors=True)
        self._ground.close()

    def lost(self) -> str:
        """Why nobody would find what is kept now; an empty text while all is where it was."""
        return self._ground.lost()

    def incoming(self) -> Incoming:
        """Raises GroundLost."""
        if words := self.lost():
            raise GroundLost(words)
        return Incoming(self._temp / str(next(self._numbers)))

    def find(self, stems: Sequence[str], *, media: str, undo: Change) -> Saved | None:
        """A file that `keep` had put under its last name when the run was cut off.

        `undo` takes a tag out again.
        """
        return find_saved(Path(self._root), stems, media=media, undo=undo)

    async def keep(
        self,
        incoming: Incoming,
        *,
        stems: Sequence[str],
        media: str,
        declared: str | None = None,
        change: Change | None = None,
    ) -> Saved:
        """Make the bytes a file under each of `stems` (below artifacts/, without extension).

        `change` may put a tag into them. Raises ArtifactInvalid, or SetupError when the disk
        does not take it.
        """
        return await self._worker.put(_Keep(incoming, stems, media, declared, change))

    def _keep_group(self, group: Sequence[_Keep]) -> list[Saved | BaseException]:
        """Write all, sync all, rename all: later syncs find most of their work done."""
        if words := self.lost():
            return [GroundLost(words)] * len(group)
        written = [self._write(item) for item in group]
        results: list[Saved | BaseException] = []
        folders: set[str] = set()
        for item, ready in zip(group, written, strict=True):
            if isinstance(ready, BaseException):
                results.append(ready)
                continue
            try:
                with disk_faults(item.incoming.path):
                    results.append(self._place(item, *ready, folders))
            except SetupError as error:
                results.append(error)
        try:
            for folder in folders:
                with disk_faults(Path(folder)):
                    _sync(folder)
        except SetupError as error:
            return [error] * len(group)
        return results

    def _write(self, item: _Keep) -> tuple[int, Kind] | BaseException:
        """The file's open descriptor and its kind, or what is wrong with it."""
        try:
            kind = identify(item.incoming.head, media=item.media, declared=item.declared)
            with disk_faults(item.incoming.path):
                return item.incoming.finish(item.change), kind
        except (ArtifactInvalid, SetupError) as error:
            item.incoming.discard()
            return error

    def _place(self, item: _Keep, descriptor: int, kind: Kind, folders: set[str]) -> Saved:
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        source = str(item.incoming.path)
        targets = [_target(stem, kind.extension) for stem in item.stems]
        for target in targets[1:]:
            copy = f"{source}-copy"
            shutil.copyfile(source, copy)
            _sync(copy)
            self._move(copy, target, folders)
        self._move(source, targets[0], folders)
        sha256, size = item.incoming.written
        return Saved(tuple(targets), sha256, size, kind.media_type, item.incoming.source_sha256)

    def _move(self, source: str, target: str, folders: set[str]) -> None:
        path = f"{self._root}/{target}"
        folder = path.rpartition("/")[0]
        if folder not in self._made:
            self._make_folder(folder)
        os.replace(source, path)  # noqa: PTH105  # a Path an artifact costs more than the rename
        folders.add(folder)

    def _make_folder(self, folder: str) -> None:
        """Below the run directory, which is never made anew."""
        Path(self._root, ARTIFACTS).mkdir(exist_ok=True)
        Path(folder).mkdir(parents=True, exist_ok=True)
        self._made.add(folder)


def own_folder(path: Path) -> None:
    """Make a folder that is dsrun's alone, in one that is there; a link in its place goes.

    What a link leads to is somebody else's. Raises SetupError.
    """
    with disk_faults(path):
        if path.is_symlink():
            path.unlink()
        path.mkdir(exist_ok=True)


def find_saved(run_dir: Path, stems: Sequence[str], *, media: str, undo: Change) -> Saved | None:
    """The file of these names in a run directory; `undo` takes a tag out again."""
    for extension in extensions_of(media):
        path = run_dir / _target(stems[0], extension)
        if not path.is_file():
            continue
        with disk_faults(path), path.open("rb") as file:
            data = file.read()
        kind = kind_of(data[:HEAD_BYTES], media=media, declared=extension)
        paths = tuple(_target(stem, extension) for stem in stems)
        digest = hashlib.sha256(data).hexdigest()
        splice = undo(ends_of(data))
        source = hashlib.sha256(splice.apply(data)).hexdigest() if splice else digest
        return Saved(paths, digest, len(data), kind.media_type, source)
    return None


def make_folder(path: Path) -> None:
    """Raises SetupError where the folder cannot be made."""
    with disk_faults(path):
        path.mkdir(parents=True, exist_ok=True)


@contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """A file to write that replaces `path` as one act, where the block ends well.

    Readers see the old bytes or the new ones. Raises SetupError.
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
    """Replace a file as one act. Raises SetupError."""
    with whole_file(path) as file:
        file.writelines(parts)


def point_latest(link: Path, target: str) -> None:
    """Make the symbolic link `latest` name the newest run, as one act. Raises SetupError."""
    temporary = link.with_name(f".{link.name}.tmp")
    with disk_faults(link):
        temporary.unlink(missing_ok=True)
        temporary.symlink_to(target, target_is_directory=True)
        temporary.replace(link)


def _target(stem: str, extension: str) -> str:
    return f"{ARTIFACTS}/{stem}.{extension}"


def _sync(path: str) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
