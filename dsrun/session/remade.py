"""Which results of the cache a run would not take: they were made of what others give no more."""

from collections.abc import Sequence
from functools import lru_cache

from dsrun.common.digest import sha256_hex
from dsrun.common.late import Late
from dsrun.common.models import Job, Json, OpenJob
from dsrun.ledger.reader import LedgerReader
from dsrun.service.request import BY_CONTENT, UPLOAD
from dsrun.session.materials import NotThere, value_in, value_of, with_values
from dsrun.storage.cache import ResultCache
from dsrun.storage.cache_index import CachedResult

_KEPT = 5_000  # results of parents that stay in memory


class Remade:
    """Looks at the jobs of a plan in order, so that those above are known before those below."""

    def __init__(self, cache: ResultCache, ledger: LedgerReader | None) -> None:
        self._cache = cache
        self._ledger = ledger
        self._remade: set[str] = set()
        self._result = lru_cache(_KEPT)(self._find)

    def look_at(self, jobs: Sequence[Job]) -> None:
        """Find out which of the jobs are in the cache, but made of other values. CacheFault."""
        late = {job.job_id: job for job in jobs if job.late}
        for job_id, result in self._cache.index.find(list(late)).items() if late else ():
            if not self.is_same(late[job_id], result):
                self._remade.add(job_id)

    def among(self, job_ids: Sequence[str]) -> set[str]:
        return self._remade.intersection(job_ids)

    def is_same(self, job: Job | OpenJob, result: CachedResult) -> bool:
        """Whether a result was made of what others give now. Raises CacheFault."""
        try:
            told = with_values(job.body, job.late, self._value)
        except NotThere:
            return False
        return sha256_hex(told) == result.sent

    def _value(self, late: Late) -> Json:
        """What a job gives: one that has ended in this run, or one of the cache."""
        if self._ledger is not None:
            try:
                return value_in(self._ledger, late)
            except NotThere:
                pass  # it has not ended here
        made = None if late.job_id in self._remade else self._result(late.job_id)
        if made is None:
            raise NotThere(f"job {late.job_id[:12]} is to be made")
        if late.at is not None:
            return value_of(made.output, late)
        for file in made.files:
            if file.index == late.file and not file.name:
                return {UPLOAD: f"{BY_CONTENT}{file.source_sha256}"}
        raise NotThere(f"job {late.job_id[:12]} gave no file {late.file}")

    def _find(self, job_id: str) -> CachedResult | None:
        if not self._cache.present([job_id]):
            return None
        return self._cache.index.find([job_id]).get(job_id)
