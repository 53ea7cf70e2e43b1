"""The door to the output directory: files appear whole, checked and synced, or not at all.

A file is written in `.tmp/` of the run directory, identified, hashed, synced and then renamed. A
crash leaves files only in `.tmp/`, which the next run removes.
"""

import errno
import hashlib
import os
import re
import shutil
from collections.abc import Callable, Sequence
from contextlib import suppress
from io import BufferedReader
from itertools import count
from pathlib import Path
from typing import NamedTuple

from dsrun.common.batch_worker import GroupWorker
from dsrun.common.errors import GroundLost, SetupError
from dsrun.common.media import (
    HEAD_BYTES,
    MEDIA,
    ArtifactInvalid,
    Identified,
    end_mark,
    extensions_of,
    identify,
)
from dsrun.common.models import Saved
from dsrun.common.systems import PLAIN, sync, write_all
from dsrun.common.user_files import is_file
from dsrun.common.whole_files import examine, is_decided_by_head
from dsrun.storage.files import disk_faults, own_folder
from dsrun.storage.ground import Ground
from dsrun.storage.layout import ARTIFACTS, RunLayout
from dsrun.storage.metadata.splice import Change, Written, ends_of, rewrite

_KEEP_IN_MEMORY = 1 << 20
_TAIL_BYTES = 8  # as long as the longest end mark
_NOT_THE_NAME = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO}
_NOT_PLAIN = re.compile(r"[^A-Za-z0-9]+")
_PLAIN_LENGTH = 60


class Incoming:
    """Bytes on their way to a file: small ones wait in memory, large ones go to `.tmp/`."""

    def __init__(self, name: str | Path, *, lost: Callable[[], str] = str) -> None:
        """`lost`: why nobody would find what is written there; an empty text where all is well."""
        self.name = str(name)  # a Path for each costs more than most of what is done with it
        self._lost = lost
        self.size = 0  # as it came
        self.head = b""  # the first bytes, enough to identify the file
        self._tail = b""  # the last bytes of what is on disk already
        self._has_end = False  # the end mark is among what is on disk already
        self._hash = hashlib.sha256()
        self._parts: list[bytes] = []
        self._held = 0
        self._written: Written | None = None  # where it was changed

    @property
    def path(self) -> Path:
        return Path(self.name)

    @property
    def source_sha256(self) -> str:
        """Of the bytes as they came."""
        return self._hash.hexdigest()

    @property
    def written(self) -> Written:
        """What is on disk once `finish` has ended."""
        return self._written or Written(self.source_sha256, self.size)

    def add(self, chunk: bytes) -> None:
        """Take a chunk. Raises GroundLost, or SetupError when the disk is full."""
        self._parts.append(chunk)
        self.size += len(chunk)
        self._held += len(chunk)
        if len(self.head) < HEAD_BYTES:
            self.head += chunk[: HEAD_BYTES - len(self.head)]
        if self._held > _KEEP_IN_MEMORY:
            self._has_end = self._has_end or self._shows_end()
            self._tail = self._parts[0][-_TAIL_BYTES:]
            if words := self._lost():
                raise GroundLost(words)
            with disk_faults(self.name):
                os.close(self.write())

    def is_cut_off(self) -> bool:
        """Whether the end mark is missing that its kind of file has. More may follow the mark."""
        return bool(end_mark(self.head)) and not self._has_end and not self._shows_end()

    def finish(self, change: Change | None) -> int:
        """Write the rest, and apply the change; returns the descriptor of the open file."""
        is_on_disk = self._held < self.size
        if change is None or not is_on_disk:
            return self.write(change)
        os.close(self.write())
        self._written = rewrite(self.path, change)
        return os.open(self.path, os.O_RDWR | PLAIN)

    def write(self, change: Change | None = None) -> int:
        """Write what is held, changed where it is the whole file; returns the open descriptor."""
        descriptor = os.open(self.name, os.O_WRONLY | os.O_CREAT | os.O_APPEND | PLAIN, 0o666)
        try:
            data = self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
            self._hash.update(data)
            write_all(descriptor, [data] if change is None else self._changed(data, change))
        except BaseException:
            os.close(descriptor)
            raise
        self._parts.clear()
        self._held = 0
        return descriptor

    def _shows_end(self) -> bool:
        """Whether the end mark is in what is held, which is joined to one piece here."""
        held = b"".join(self._parts)
        self._parts = [held]
        mark = end_mark(self.head)
        return held.endswith(mark) or mark in self._tail + held

    def _changed(self, data: bytes, change: Change) -> list[bytes | memoryview]:
        splice = change(ends_of(data))
        if splice is None:
            return [data]
        parts = splice.parts(data)
        state = hashlib.sha256()
        for part in parts:
            state.update(part)
        self._written = Written(state.hexdigest(), sum(map(len, parts)))
        return parts

    def discard(self) -> None:
        self._parts.clear()
        with suppress(OSError):
            self.path.unlink(missing_ok=True)


class _Keep(NamedTuple):
    incoming: Incoming
    stems: Sequence[str]
    media: str
    declared: str | None
    in_answer: bool
    change: Change | None


class ArtifactStore:
    """Keeps the artifacts of one run directory; syncs them in groups on its own thread."""

    def __init__(self, run_dir: Path) -> None:
        """Make the folders, and remove what a crash has left. Raises SetupError."""
        self._root = str(run_dir)
        layout = RunLayout.of(run_dir)
        self._temp = layout.temp
        self._numbers = count()
        with disk_faults(run_dir):
            run_dir.mkdir(parents=True, exist_ok=True)
            shutil.rmtree(self._temp, ignore_errors=True)  # passes over a link
        own_folder(self._temp)
        self._ground = Ground(folders=[run_dir, self._temp, layout.artifacts])
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
        return Incoming(f"{self._temp}/{next(self._numbers)}", lost=self.lost)

    def read(self, path: str) -> bytes:
        """The bytes of a file that `keep` has made. Raises SetupError."""
        file = Path(self._root, path)
        with disk_faults(file):
            return file.read_bytes()

    def find(self, stems: Sequence[str], *, media: str, undo: Change) -> Saved | None:
        """A file that `keep` had already renamed when its run was cut off.

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
        in_answer: bool = False,
        change: Change | None = None,
    ) -> Saved:
        """Make the bytes a file under each of `stems` (below artifacts/, without extension).

        `media`, `declared` and `in_answer` are those of `kind_of`. `change` may put a tag into
        them. Raises ArtifactInvalid, or SetupError where they cannot be written.
        """
        return await self._worker.put(_Keep(incoming, stems, media, declared, in_answer, change))

    def _keep_group(self, group: Sequence[_Keep]) -> list[Saved | BaseException]:
        """Write all, then sync and rename each: the later syncs find most of their work done."""
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
                with disk_faults(item.incoming.name):
                    results.append(self._place(item, *ready, folders))
            except SetupError as error:
                results.append(error)
        try:
            for folder in folders:
                with disk_faults(Path(folder)):
                    sync(folder)
        except SetupError as error:
            return [error] * len(group)
        return results

    def _write(self, item: _Keep) -> tuple[int, Identified] | BaseException:
        """The descriptor of the open file and what it is, or what is wrong with it."""
        incoming = item.incoming
        try:
            found = identify(
                incoming.head, media=item.media, declared=item.declared, in_answer=item.in_answer
            )
            with disk_faults(incoming.name):
                descriptor = incoming.finish(item.change)
                if is_decided_by_head(found):
                    return descriptor, found
                try:
                    with incoming.path.open("rb") as file:
                        return descriptor, found._replace(facts=examine(file, found))
                except BaseException:
                    os.close(descriptor)
                    raise
        except (ArtifactInvalid, SetupError) as error:
            item.incoming.discard()
            return error

    def _place(self, item: _Keep, descriptor: int, found: Identified, folders: set[str]) -> Saved:
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        source, kind = item.incoming.name, found.kind
        targets = []
        for stem in item.stems[1:]:
            copy = f"{source}-copy"
            shutil.copyfile(source, copy)
            sync(copy)
            targets.append(self._move(copy, stem, kind.extension, folders))
        targets.insert(0, self._move(source, item.stems[0], kind.extension, folders))
        sha256, size = item.incoming.written
        source_sha256 = item.incoming.source_sha256
        return Saved(tuple(targets), sha256, size, kind.media_type, source_sha256, found.facts)

    def _move(self, source: str, stem: str, extension: str, folders: set[str]) -> str:
        """Give a file its name, or another one where the disk refuses that: it may be paid."""
        target = _target(stem, extension)
        try:
            self._rename(source, target, folders)
        except OSError as error:
            if error.errno in _NOT_THE_NAME:
                raise
            target = _target(_other_name(stem), extension)
            try:
                self._rename(source, target, folders)
            except OSError:
                raise error from None
        return target

    def _rename(self, source: str, target: str, folders: set[str]) -> None:
        path = f"{self._root}/{target}"
        folder = path.rpartition("/")[0]
        if folder not in self._made:
            self._make_folder(folder)
        os.replace(source, path)  # noqa: PTH105  # a Path an artifact costs more than the rename
        folders.add(folder)

    def _make_folder(self, folder: str) -> None:
        """Make a folder below the run directory, which is never made anew."""
        Path(self._root, ARTIFACTS).mkdir(exist_ok=True)
        Path(folder).mkdir(parents=True, exist_ok=True)
        self._made.add(folder)


def find_saved(run_dir: Path, stems: Sequence[str], *, media: str, undo: Change) -> Saved | None:
    """The file of these names in a run directory; `undo` takes a tag out again."""
    for extension in extensions_of(media):
        paths = tuple(_found(run_dir, stem, extension) for stem in stems)
        path = run_dir / paths[0]
        if not is_file(path):
            continue
        with disk_faults(path), path.open("rb") as file:
            head = file.read(HEAD_BYTES)
            try:
                found = identify(head, media=media, declared=extension, in_answer=True)
                facts = examine(file, found)
            except ArtifactInvalid:
                continue  # somebody else's, under the same name
            return _saved(file, paths, found._replace(facts=facts), media=media, undo=undo)
    return None


def _saved(
    file: BufferedReader, paths: tuple[str, ...], found: Identified, *, media: str, undo: Change
) -> Saved:
    """What `keep` has said of an open file."""
    file.seek(0)
    media_type = found.kind.media_type
    if not MEDIA[media].is_tagged:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        return Saved(paths, digest, file.tell(), media_type, digest, found.facts)
    data = file.read()
    digest = hashlib.sha256(data).hexdigest()
    splice = undo(ends_of(data))
    source = hashlib.sha256(splice.apply(data)).hexdigest() if splice else digest
    return Saved(paths, digest, len(data), media_type, source, found.facts)


def _found(run_dir: Path, stem: str, extension: str) -> str:
    """The name that `keep` gave, if it did."""
    other = _target(_other_name(stem), extension)
    return other if is_file(run_dir / other) else _target(stem, extension)


def _other_name(stem: str) -> str:
    """A stem in the same step that every disk takes, the same each time."""
    step, _, rest = stem.partition("/")
    plain = _NOT_PLAIN.sub("-", rest)[:_PLAIN_LENGTH].strip("-")
    return f"{step}/{plain}-{hashlib.sha256(stem.encode()).hexdigest()[:8]}"


def _target(stem: str, extension: str) -> str:
    return f"{ARTIFACTS}/{stem}.{extension}"
