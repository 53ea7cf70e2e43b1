"""The files of a run that a list of picks names, and an archive of them."""

import zipfile
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from dsrun.ledger.reader import LedgerReader
from dsrun.manifest.picks import SHORT_ID, PickFile, file_names, job_prefix, picked_name
from dsrun.storage.files import sha256_of, whole_file
from dsrun.storage.layout import ARTIFACTS, is_below

_BELOW = f"{ARTIFACTS}/"


class PickedFile(NamedTuple):
    """A file by its path below the run directory, with what the ledger says of its bytes."""

    path: str
    sha256: str

    @property
    def name(self) -> str:
        """STEP/NAME, as an archive has it."""
        return self.path.removeprefix(_BELOW)


class Found(NamedTuple):
    """What a list names: each file once, in its order; `idle` are the lines that name nothing."""

    files: list[PickedFile]
    idle: list[tuple[int, str]]


def find_picks(view: LedgerReader, picks: PickFile) -> Found:
    """Look up every line as `only` of a step does: a job first, then its most literal reading."""
    index = _Index(view)
    files: dict[PickedFile, None] = {}
    idle = []
    for number, line in picks.lines():
        named = index.find(line)
        files |= dict.fromkeys(named)
        if not named:
            idle.append((number, line))
    return Found(list(files), idle)


class _Index:
    """The files of a run by everything that a line may call them."""

    def __init__(self, view: LedgerReader) -> None:
        self._by_job: dict[str, list[tuple[str, PickedFile]]] = defaultdict(list)
        self._by_name: dict[str, list[PickedFile]] = defaultdict(list)
        for job_id, _, path, sha256 in view.artifacts():
            file = PickedFile(path, sha256)
            self._by_job[job_id[:SHORT_ID]].append((job_id, file))
            stem = str(Path(file.name).with_suffix(""))
            for name in {file.name, stem}:
                self._by_name[picked_name(name)].append(file)

    def find(self, line: str) -> Sequence[PickedFile]:
        return next(filter(None, self._readings(line)), [])

    def _readings(self, line: str) -> Iterator[Sequence[PickedFile]]:
        if prefix := job_prefix(line):
            jobs = self._by_job.get(prefix[:SHORT_ID], ())
            yield [file for job_id, file in jobs if job_id.startswith(prefix)]
        for name in file_names(line):
            yield self._by_name.get(name, [])


def write_zip(path: Path, run_dir: Path, files: Iterable[PickedFile]) -> list[tuple[str, str]]:
    """Pack the files, in one step, and return those that are left out, each with the reason.

    A file whose bytes are not those that the run fetched is left out. Raises SetupError.
    """
    left_out = []
    # Pictures, sounds and films are packed already; a file may be older than a zip can tell.
    pack = partial(zipfile.ZipFile, mode="w", strict_timestamps=False)
    with whole_file(path) as target, pack(target) as archive:
        for file in files:
            actual = sha256_of(run_dir / file.path) if is_below(file.path) else None
            if actual == file.sha256:
                archive.write(run_dir / file.path, file.name)
            else:
                left_out.append((file.path, "missing" if actual is None else "changed"))
    return left_out
