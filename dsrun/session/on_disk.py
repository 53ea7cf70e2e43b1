"""Recognizes finished jobs by the files of a run directory alone."""

from pathlib import Path

from dsrun.common.media import MEDIA
from dsrun.common.models import Artifact, OpenJob
from dsrun.engine.fetch import artifacts_of, file_names
from dsrun.storage.artifacts import find_saved
from dsrun.storage.metadata.pictures import untagged
from dsrun.storage.metadata.tag import named_in


def pictures_of(job: OpenJob, run_dir: Path, *, media: str) -> tuple[Artifact, ...]:
    """The job's artifacts, if every file is there and names the job in its metadata; else none."""
    made: list[Artifact] = []
    if not MEDIA[media].is_tagged:
        return ()
    for index in range(len(job.stems[0])):
        saved = find_saved(run_dir, file_names(job, index), media=media, undo=untagged)
        named = saved and named_in((run_dir / saved.paths[0]).read_bytes())
        if not saved or not named or (named.job_id, named.place) != (job.job_id, index):
            return ()
        there = saved._replace(paths=tuple(p for p in saved.paths if (run_dir / p).is_file()))
        made += artifacts_of(there, index, seed=named.seed)
    return tuple(made)
