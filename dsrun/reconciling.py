"""Finding a create again whose answer was lost, before anything is sent in its place."""

from datetime import timedelta
from typing import NamedTuple

import orjson

from dsrun.clock import stamp
from dsrun.control import RunControl
from dsrun.lane import Lane
from dsrun.listing import Lister, Listing, Unlisted
from dsrun.ports import Claims, Clock
from dsrun.records import MadeList, OpenJob, TaskList
from dsrun.recovery import (
    Doubt,
    NotFound,
    Span,
    Trace,
    caller_of,
    find_made,
    find_task,
    measure_skew,
    stamp_window,
)

_RECORD_LIFE_S = 23.5 * 3600  # the service lists 24 h; some of it may pass while we look
_MARGIN_S = 180.0
_LOOKS_S = (1.0, 2.0, 4.0)  # between two looks


class Undecided(NamedTuple):
    """Why nobody can tell whether the create was accepted.

    `is_silent`: the list did not answer, so that a later run may find out.
    """

    reason: str
    is_silent: bool = False


class Reconciler:
    """Looks for lost creates in the lists of the service."""

    def __init__(
        self,
        *,
        claims: Claims,
        control: RunControl,
        clock: Clock,
        lister: Lister,
        grace_s: float,
    ) -> None:
        """Within `grace_s` seconds of its loss an accepted create must show up in the list."""
        self._lister = lister
        self._claims = claims
        self._control = control
        self._clock = clock
        self._grace_s = grace_s

    async def find(self, job: OpenJob, lane: Lane, doubt: Doubt) -> Trace | Undecided | None:
        """What became of the create; None where it was not accepted. Raises Left.

        Another run may have sent the same job, and not know either: then none of them was.
        Call it where no other create of the lane is under way.
        """
        others = self._claims.same_job(job.job_id, since=self._listed_since())
        for each in dict.fromkeys((doubt, *others)):
            found = await self._find(job, lane, each)
            if found is not None:
                return found
        return None

    async def _find(self, job: OpenJob, lane: Lane, doubt: Doubt) -> Trace | Undecided | None:
        if lane.operation.recovery is None:
            return Undecided("the service has no list of what this operation makes")
        if self._now() - doubt.since > _RECORD_LIFE_S:
            return Undecided("it was sent more than a day ago, and the service lists one day")
        looks = 0
        # A killed run has not seen the end of its create: the grace begins with the first look.
        lost_at = doubt.lost_at if doubt.is_seen else min(self._now(), doubt.until)
        while True:
            is_last = self._now() - lost_at >= self._grace_s
            try:
                found = await self._look(job, lane, doubt)
            except Unlisted as unlisted:
                return Undecided(unlisted.reason, unlisted.is_silent)
            if isinstance(found, Trace):
                return found
            if is_last:
                return _conclude(found)
            async with self._control.interruptible():
                await self._clock.sleep(
                    min(_LOOKS_S[min(looks, len(_LOOKS_S) - 1)], max(0.05, self._grace_s / 2))
                )
            looks += 1

    async def _look(self, job: OpenJob, lane: Lane, doubt: Doubt) -> Trace | NotFound | Undecided:
        recovery = lane.operation.recovery
        if isinstance(recovery, MadeList):
            return await self._look_for_made(job, lane, doubt, recovery)
        # The zone of the window's times is not documented, so a narrow list proves presence, and
        # absence only where it shows a task that must be in it.
        try:
            narrow = await self._list_tasks(lane, stamp_window(doubt, margin_s=_MARGIN_S))
        except Unlisted as unlisted:
            if unlisted.is_silent:
                raise
        else:
            known = self._claims.accepted([trace.name for trace in narrow.traces])
            found = self._judge_tasks(lane, doubt, narrow, known)
            if isinstance(found, Trace) or (known and self._reaches(narrow, known)):
                return found
        whole = await self._list_tasks(lane, {})
        known = self._claims.accepted([trace.name for trace in whole.traces])
        found = self._judge_tasks(lane, doubt, whole, known)
        is_unproven = found is NotFound.ABSENT and not known
        # A list that lacks all of our own tasks of the day proves nothing yet: it may be late.
        if is_unproven and self._claims.has_accepted(
            lane.operation.name, since=self._listed_since()
        ):
            return Undecided("the list does not show tasks that must be in it")
        return found

    def _reaches(self, narrow: Listing, known: dict[str, Span]) -> bool:
        """Whether the narrow list holds all that may be ours, though it was cut by our clock."""
        skew = measure_skew(narrow.traces, known=known, served_ahead_s=None)
        return abs(skew.ahead_s) + skew.wide_s < _MARGIN_S

    def _judge_tasks(
        self, lane: Lane, doubt: Doubt, listing: Listing, known: dict[str, Span]
    ) -> Trace | NotFound:
        name, names = lane.operation.name, [trace.name for trace in listing.traces]
        # Rivals first: one that gets its task in between is then both, and never neither.
        rivals = self._claims.rivals(name, job_id=doubt.job_id)
        return find_task(
            doubt,
            listing.traces,
            skew=measure_skew(listing.traces, known=known, served_ahead_s=listing.served_ahead_s),
            claimed=self._claims.claimed(name, names, job_id=doubt.job_id),
            rivals=rivals,
            callers={caller_of(trace) for trace in listing.traces if trace.name in known},
        )

    async def _list_tasks(self, lane: Lane, window: dict[str, str]) -> Listing:
        recovery = lane.operation.recovery
        model = recovery.model_name if isinstance(recovery, TaskList) else ""
        return await self._lister.tasks(model, window)

    async def _look_for_made(
        self, job: OpenJob, lane: Lane, doubt: Doubt, recovery: MadeList
    ) -> Trace | NotFound:
        operation, request = lane.operation, orjson.loads(job.body)
        listing = await self._lister.made(operation, recovery, request, lane.limiter)
        names = [trace.name for trace in listing.traces]
        claimed = self._claims.claimed(operation.name, names, job_id=job.job_id)
        return find_made(doubt, listing.traces, claimed=claimed)

    def _now(self) -> float:
        return self._clock.now().timestamp()

    def _listed_since(self) -> str:
        """What was made before is not listed any more."""
        return stamp(self._clock.now() - timedelta(seconds=_RECORD_LIFE_S))


def _conclude(found: NotFound | Undecided) -> Undecided | None:
    if found is NotFound.ABSENT:
        return None
    if found is NotFound.UNDECIDED:
        return Undecided("several tasks of that time may be it, and the list has no prompts")
    return found
