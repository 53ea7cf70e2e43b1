"""Jobs that have succeeded, as the cache takes them in."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import orjson

from dsrun.common.errors import SetupError
from dsrun.common.models import Artifact, JobStatus, Json
from dsrun.ledger.lookup import LedgerLookup
from dsrun.ledger.reader import Row
from dsrun.ledger.view import LedgerView
from dsrun.storage.cache import Finished
from dsrun.storage.cache_index import CachedFile, CachedResult


class Ended(NamedTuple):
    """A job that has succeeded; a file that has several names stands there once a name."""

    job_id: str
    output: Json
    artifacts: Sequence[Artifact]


def finished(ended: Ended, run_dir: str) -> Finished:
    """Of several names of a file the first."""
    first: dict[int, Artifact] = {}
    for item in ended.artifacts:
        first.setdefault(item.index, item)
    files = tuple(
        CachedFile(
            index=item.index,
            sha256=item.sha256,
            source_sha256=item.source_sha256,
            size=item.size,
            media_type=item.media_type,
            extension=item.path.rpartition(".")[2],
            seed=item.seed,
            sample_rate=item.sample_rate,
        )
        for item in first.values()
    )
    result = CachedResult(job_id=ended.job_id, output=ended.output, files=files)
    return Finished(result, [f"{run_dir}/{item.path}" for item in first.values()])


def succeeded(view: LedgerView) -> Iterator[Ended]:
    """The succeeded jobs of a ledger, read page by page."""
    for job, artifacts, _ in view.result_rows():
        if job["status"] == JobStatus.SUCCEEDED:
            with view.reading():
                ended = _ended(job, artifacts)
            yield ended


def succeeded_there(ledger: Path, pages: Iterable[Sequence[str]]) -> Iterator[list[Ended]]:
    """Those of some jobs that have succeeded in another run; nothing where it cannot be read."""
    try:
        view = LedgerLookup(ledger)
    except SetupError:
        return
    with closing(view):
        for page in pages:
            try:
                with view.reading():
                    found = [_ended(*rows) for rows in view.succeeded(page)]
            except SetupError:
                return
            yield found


def _ended(job: Row, artifacts: Iterable[Row]) -> Ended:
    made = [
        Artifact(
            path=row["path"],
            sha256=row["sha256"],
            source_sha256=row["source_sha256"],
            size=row["size"],
            media_type=row["media_type"],
            index=row["idx"],
            seed=row["seed"],
            sample_rate=row["sample_rate"],
        )
        for row in artifacts
    ]
    output = None if job["output"] is None else orjson.loads(job["output"])
    return Ended(job["job_id"], output, made)
