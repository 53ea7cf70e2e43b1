"""Jobs whose files the disk would refuse by their names: they are not sent, and the others are."""

from collections.abc import Iterator

from dsrun.common.console import count_of, say
from dsrun.common.media import MEDIA
from dsrun.common.models import JobResult, OpenJob
from dsrun.engine.fetch import file_names
from dsrun.ledger.reader import LedgerReader
from dsrun.service.catalog import Catalog
from dsrun.storage.layout import ARTIFACTS, RunLayout
from dsrun.storage.name_trial import NameTrial

_TOLD = 5
_ADVICE = (
    "give `filename` other characters, such as `{{ title | slug }}`, or fewer; what is made by "
    "then comes from the cache"
)


def bar_refused(view: LedgerReader, layout: RunLayout, catalog: Catalog) -> str:
    """Try the names of all that would be sent, and let the jobs wait whose names are refused.

    Tells the first of them. Returns why the run will not be complete; an empty text where every
    name is taken. Raises SetupError where the disk takes no name at all.
    """
    refused: dict[str, str] = {}
    for job_id, path, why in _refusals(view, layout, catalog):
        if job_id not in refused and len(refused) < _TOLD:
            say(f"warning: the disk refuses the name {path} ({why}), so its job is not sent")
        refused.setdefault(job_id, path)
    if not refused:
        return ""
    view.bar([list(refused)])
    jobs, first = count_of(len(refused), "job"), next(iter(refused.values()))
    return f"{jobs} not sent, since the disk refuses names such as {first}; {_ADVICE}"


def other_names(job: OpenJob, result: JobResult) -> Iterator[str]:
    """What the user is told of files that are kept under other names than they should have."""
    for item in result.artifacts:
        stems = [f"{ARTIFACTS}/{name}" for name in file_names(job, item.index, item.name)]
        if item.path.rpartition(".")[0] not in stems:
            yield f"warning: {stems[0]}: the disk refuses this name; it is kept as {item.path}"


def _refusals(
    view: LedgerReader, layout: RunLayout, catalog: Catalog
) -> Iterator[tuple[str, str, str]]:
    """Job id, path and reason of each name that is refused."""
    trial = NameTrial(layout.run_dir)
    # As files have it mostly. One with a longer ending gets another name where that is refused.
    endings = {name: next(iter(MEDIA[catalog[name].main.media].formats)) for name in catalog.names}
    for page in view.pending_names():
        paths = [
            (job_id, f"{name}.{endings[operation]}")
            for job_id, operation, names in page
            for name in names
        ]
        if trial.has_taken_like([path for _, path in paths]):
            continue
        for job_id, path in paths:
            if why := trial.refusal(path):
                yield job_id, f"{ARTIFACTS}/{path}", why
