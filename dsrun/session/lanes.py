"""A lane for each model that a run uses, with what several of them share."""

from collections.abc import Iterable, Sequence
from datetime import timedelta
from functools import partial

from dsrun.common.clock import SystemClock, stamp
from dsrun.common.units import Rate
from dsrun.engine.backoff import PollEstimate
from dsrun.engine.counters import OpenTasks, TokenWindow
from dsrun.engine.limits import Group, Lane, RateLimiter
from dsrun.ledger.peers import LedgerClaims
from dsrun.manifest.execution import Execution
from dsrun.manifest.shared_limits import SharedLimits, shared_limits
from dsrun.service.catalog import Catalog
from dsrun.service.operation import Operation

_OPEN_S = 10800.0  # the service ends a task that has no result within three hours


def build_lanes(
    catalog: Catalog,
    names: Iterable[str],
    execution: Execution,
    clock: SystemClock,
    claims: LedgerClaims,
) -> dict[str, Lane]:
    """The lanes of these operations, by name."""
    builder = _Builder(execution, clock, claims)
    used = [catalog[name] for name in names]
    in_use = {one.limits.group for one in used}
    groups = {
        shared.name: builder.group(shared)
        for shared in shared_limits(catalog, execution)
        if shared.name in in_use
    }
    return {one.name: builder.lane(one, groups) for one in used}


class _Builder:
    def __init__(self, execution: Execution, clock: SystemClock, claims: LedgerClaims) -> None:
        self._execution = execution
        self._clock = clock
        self._claims = claims

    def group(self, shared: SharedLimits) -> Group:
        names = [one.name for one in shared.members]
        longest_s = max(one.timeout_s for one in shared.members)
        return Group(
            limiter=self._limiter(names, shared.rate, longest_s),
            open=self._open_tasks(names, shared.running),
        )

    def lane(self, operation: Operation, groups: dict[str, Group]) -> Lane:
        execution = self._execution
        limits = execution.limits_of(operation)
        polling = operation.polling
        advised_first, advised_max = (polling.first_s, polling.max_s) if polling else (1.0, 10.0)
        first, longest = execution.poll_first_s, execution.poll_max_s
        max_s = advised_max if longest is None else longest
        return Lane(
            operation,
            limiter=self._limiter([operation.name], limits.rate, operation.timeout_s),
            submit_window=execution.submit_window,
            estimate=PollEstimate(
                first_s=advised_first if first is None else first, max_s=max_s, learns=first is None
            ),
            max_poll_s=max_s,
            open_tasks=self._open_tasks([operation.name], limits.queued_tasks),
            tokens=TokenWindow(limits.tokens, clock=self._clock) if limits.tokens else None,
            group=groups.get(limits.group),
        )

    def _limiter(self, names: Iterable[str], rate: Rate, timeout_s: float) -> RateLimiter:
        """Count recent creates of other runs: a killed one may have sent until this moment."""
        since = stamp(self._clock.now() - timedelta(seconds=rate.per_s + timeout_s))
        used = sum(self._claims.recent_creates(name, since=since) for name in names)
        return RateLimiter(rate, clock=self._clock, used=used)

    def _open_tasks(self, names: Sequence[str], most: int | None) -> OpenTasks | None:
        if most is None:
            return None
        return OpenTasks(most, clock=self._clock, elsewhere=partial(self._elsewhere, names))

    def _elsewhere(self, names: Sequence[str]) -> int:
        since = stamp(self._clock.now() - timedelta(seconds=_OPEN_S))
        return sum(self._claims.open_tasks(name, since=since) for name in names)
