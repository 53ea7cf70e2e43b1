"""Finding a create again whose answer was lost, before anything is sent in its place."""

import math
from collections.abc import Collection, Mapping, Sequence
from datetime import timedelta
from typing import NamedTuple

import orjson

from dsrun.common.clock import Clock, stamp
from dsrun.common.doubt import Doubt, Span
from dsrun.common.errors import ApiError
from dsrun.common.models import Json, OpenJob
from dsrun.engine.control import RunControl
from dsrun.engine.limits import Lane, RateLimiter
from dsrun.engine.listing import Lister, Listing, Unlisted
from dsrun.engine.matching import (
    Evidence,
    Finding,
    Listed,
    NotFound,
    Skew,
    find_made,
    find_task,
    measure_skew,
    weigh,
)
from dsrun.engine.places import leave_place
from dsrun.engine.ports import Claims, GenerationApi
from dsrun.service.lists import TaskRow, task_window
from dsrun.service.operation import MadeList, Operation, TaskList
from dsrun.service.replies import Done

Echoes = Mapping[str, Sequence[Json]]  # by pointer into a request, what a task repeats of it

_RECORD_LIFE_S = 23.5 * 3600  # the service lists 24 h; some of it may pass while we look
_MARGIN_S = 180.0
_FIRST_LOOK_S, _RAREST_LOOK_S = 1.0, 4.0  # between two looks
_SHORTEST_PAUSE_S = 0.05
_SHARP_S = 0.2  # error of the list's times below which more tasks of ours would not help much
_PATIENCE = 6.0  # graces, after which absence counts without a later task as witness
_LATE = 4.0  # graces, after which a list that is late shows a witness
_LONGEST_S = 1800.0  # to wait for a witness while other creates are under way
_JUMP_S = 2.0  # by which the computer's clock may differ from the time that has passed
_FEW = 3  # creates that show how long one usually takes
_LEAST_USUAL_S = 0.5
_MOST_ASKED = 5  # candidates that are asked what made them


class Undecided(NamedTuple):
    """Why nobody can tell whether the create was accepted.

    `is_silent`: the list did not answer, so that a later run may find out. `is_foreign`: what
    answered in its place is not the API.
    """

    reason: str
    is_silent: bool = False
    is_foreign: bool = False


class _Known(NamedTuple):
    """What our ledgers say of the tasks of a list, and how far its clock is from ours."""

    accepted: Mapping[str, Span]
    rivals: Sequence[Doubt]
    claimed: Collection[str]
    skew: Skew
    usual_s: float


class _Look(NamedTuple):
    """What one look at a list has shown; it counts `wait_s` after the create was lost."""

    finding: Finding
    wait_s: float = math.inf
    reason: str = ""
    needs_witness: bool = False  # a later create may decide it


class Reconciler:
    """Looks for lost creates in the lists of the service.

    Absence is never guessed. It counts once the list shows something of ours that was accepted
    after the lost create or, after a longer wait, before it.
    """

    def __init__(
        self,
        *,
        api: GenerationApi,
        claims: Claims,
        control: RunControl,
        clock: Clock,
        lister: Lister,
        limiter: RateLimiter,
        grace_s: float,
        sharing: Mapping[str, Collection[str]] | None = None,
    ) -> None:
        """Within `grace_s` seconds of its loss an accepted create must show up in the list.

        `sharing`: the operations of one model, whose tasks stand in one list, by each of them.
        `limiter` keeps the rate of task queries.
        """
        self._api = api
        self._lister = lister
        self._limiter = limiter
        self._claims = claims
        self._control = control
        self._clock = clock
        self._grace_s = grace_s
        self._sharing = sharing or {}
        self._began = (clock.now().timestamp(), clock.monotonic())

    def is_dated(self, operation: Operation, run_id: int | None) -> bool:
        """Whether tasks of the run show how far the list's clock is from the run's own."""
        spans = self._claims.newly_accepted(operation.name).values()
        return run_id is not None and any(span.run_id == run_id for span in spans)

    async def find(self, job: OpenJob, lane: Lane, doubt: Doubt) -> Listed | Undecided | None:
        """What became of the create; None where it was not accepted. Raises Left.

        Another run may have sent the same job and be in doubt as well. Then None says that none
        of these creates was accepted.
        """
        others = self._claims.same_job(job.job_id, since=self._listed_since())
        undecided = None
        for each in dict.fromkeys((doubt, *others)):
            outcome = await self._find(job, lane, each)
            if not isinstance(outcome, Undecided | None):
                return outcome
            undecided = undecided or outcome
        return undecided

    async def _find(self, job: OpenJob, lane: Lane, doubt: Doubt) -> Listed | Undecided | None:
        """Look at once; if that decides nothing, leave the job's place to others and look again."""
        if not isinstance(lane.operation.recovery, TaskList | MadeList):
            return Undecided("the service has no list of what this operation makes")
        if self._now() - doubt.since > _RECORD_LIFE_S:
            return Undecided("it was sent more than a day ago, and the service lists one day")
        began, lost_for_s = self._clock.monotonic(), self._lost_for(doubt)
        outcome = _outcome(await self._look(job, lane, doubt), lost_for_s)
        if outcome is NotFound.UNDECIDED:
            leave_place()
            outcome = await self._look_again(job, lane, doubt, began, lost_for_s)
        return None if isinstance(outcome, NotFound) else outcome

    async def _look_again(
        self, job: OpenJob, lane: Lane, doubt: Doubt, began: float, lost_for_s: float
    ) -> Listed | Undecided | NotFound:
        """Look until it is decided, or until no further look would help.

        `lost_for_s`: how long before the first look, at `began`, the create was lost.
        """
        number, took_s = 0, 0.0
        patience_s = max(self._grace_s * _PATIENCE, lane.latest_witness_s + self._grace_s * _LATE)
        while True:
            await self._pause(number, took_s)
            looked_at = self._clock.monotonic()
            look = await self._look(job, lane, doubt)
            now = self._clock.monotonic()
            took_s, waited_s = now - looked_at, now - began
            outcome = _outcome(look, lost_for_s + waited_s)
            if outcome is not NotFound.UNDECIDED:
                return outcome
            if waited_s >= patience_s and not _may_tell_more(look, lane, waited_s):
                return Undecided(look.reason)
            number += 1

    async def _pause(self, number: int, took_s: float) -> None:
        """Short at first, then longer and longer, and longer still where a look takes long."""
        first_s = min(_FIRST_LOOK_S, self._grace_s / 2)
        most_s = min(_RAREST_LOOK_S, self._grace_s * 2)
        usual_s = max(_SHORTEST_PAUSE_S, min(first_s * 1.5 ** min(number, 20), most_s))
        with self._control.interruptible(may_be_paid=True):
            await self._clock.sleep(max(usual_s, 2 * took_s))

    async def _look(self, job: OpenJob, lane: Lane, doubt: Doubt) -> _Look | Undecided:
        """One look, while no create of the operation is under way."""
        async with lane.alone(self._control):
            try:
                if isinstance(lane.operation.recovery, MadeList):
                    return await self._look_for_made(job, lane, doubt, lane.operation.recovery)
                return await self._look_for_task(job, lane, doubt)
            except Unlisted as unlisted:
                return Undecided(unlisted.reason, unlisted.is_silent, unlisted.is_foreign)

    async def _look_for_task(self, job: OpenJob, lane: Lane, doubt: Doubt) -> _Look:
        recovery = lane.operation.recovery
        model = recovery.model_name if isinstance(recovery, TaskList) else ""
        # The zone of the window's times is not documented, so a narrow list proves presence, and
        # absence only where it shows a task that must be in it.
        if self._is_steady(doubt):
            try:
                window = task_window(doubt.since - _MARGIN_S, doubt.until + _MARGIN_S)
                narrow = await self._lister.tasks(model, window)
            except Unlisted as unlisted:
                if unlisted.is_silent:
                    raise
            else:
                look = await self._judge_tasks(job, lane, doubt, narrow, margin_s=_MARGIN_S)
                if math.isfinite(look.wait_s):
                    return look
        return await self._judge_tasks(job, lane, doubt, await self._lister.tasks(model, {}))

    async def _judge_tasks(
        self,
        job: OpenJob,
        lane: Lane,
        doubt: Doubt,
        listing: Listing[TaskRow],
        *,
        margin_s: float = math.inf,
    ) -> _Look:
        """`margin_s`: how far around the doubt the list reaches, by our clock."""
        known = self._known(lane.operation, doubt, listing)
        finding = _find(doubt, listing, known)
        echoes = await self._ask(lane.operation, finding.candidates)
        request = job.request
        evidence = {name: weigh(request, told) for name, told in echoes.items()}
        ours = [row for row in finding.candidates if evidence.get(row.name) is Evidence.OURS]
        if len(ours) == 1 and self._is_no_rivals(echoes[ours[0].name], known.rivals):
            return _Look(Finding(ours[0]), 0.0)
        disproved = [name for name, says in evidence.items() if says is Evidence.NOT_OURS]
        if disproved:
            finding = _find(doubt, listing, known, disproved=disproved)
        skew = known.skew
        wait_s = math.inf
        if not isinstance(finding.verdict, NotFound):
            # By elimination, for which the tasks of others must have had time to show up.
            wait_s = 0.0 if finding.is_proven else self._grace_s
        elif abs(skew.ahead_s) + skew.wide_s < margin_s or math.isinf(margin_s):
            unlisted = self._unlisted(lane.operation, listing)
            wait_s = self._wait_for_absence(doubt, known.accepted, unlisted)
        needs_witness = finding.verdict is NotFound.ABSENT or skew.doubt_s > _SHARP_S
        return _Look(finding, wait_s, _why_open(finding, wait_s), needs_witness)

    def _known(self, operation: Operation, doubt: Doubt, listing: Listing[TaskRow]) -> _Known:
        names = [row.name for row in listing.rows]
        accepted = self._claims.accepted(names)
        run_id = doubt.run_id if self._is_steady(doubt) else None
        # Rivals first: one that gets its task in between is then both, and never neither.
        sharing = self._sharing.get(operation.name, (operation.name,))
        rivals = self._claims.rivals(sharing, job_id=doubt.job_id)
        claimed = self._claims.claimed(operation.name, names, job_id=doubt.job_id)
        skew = measure_skew(
            listing.rows, known=accepted, served_ahead_s=listing.served_ahead_s, run_id=run_id
        )
        return _Known(accepted, rivals, claimed, skew, _usual_s(accepted, run_id))

    def _is_no_rivals(self, echoes: Echoes, rivals: Sequence[Doubt]) -> bool:
        """Whether a task that repeats our request cannot be that of another create in doubt.

        Another job may have the same prompt, and then the prompt proves nothing.
        """
        wanted = {rival.job_id for rival in rivals}
        requests = self._claims.requests(wanted) if wanted else {}
        return requests.keys() == wanted and all(
            weigh(orjson.loads(body), echoes) is Evidence.NOT_OURS for body in requests.values()
        )

    async def _ask(
        self, operation: Operation, candidates: Collection[TaskRow]
    ) -> dict[str, Echoes]:
        """What each candidate repeats of its request, where there are not too many of them."""
        echoes: dict[str, Echoes] = {}
        if len(candidates) > _MOST_ASKED:
            return echoes
        for name in [row.name for row in candidates]:
            with self._control.interruptible(may_be_paid=True):
                async with self._limiter.slot():
                    try:
                        answer = await self._api.query(operation, name)
                    except ApiError:
                        continue
            # A task that has not ended may show numbers that are not final.
            if isinstance(answer, Done):
                echoes[name] = answer.echoes
        return echoes

    def _unlisted(self, operation: Operation, listing: Listing[TaskRow]) -> dict[str, Span]:
        """Tasks of ours that the list should show and does not."""
        spans = self._claims.newly_accepted(operation.name)
        listed = {row.name for row in listing.rows}
        return {name: span for name, span in spans.items() if name not in listed}

    def _wait_for_absence(
        self, doubt: Doubt, known: Mapping[str, Span], unlisted: Mapping[str, Span]
    ) -> float:
        """How long after its loss a create that is not in the list counts as never accepted."""
        later = [span for span in known.values() if _is_later(span, doubt)]
        if not later:
            is_behind = any(_is_later(span, doubt) for span in unlisted.values())
            return self._grace_s * _PATIENCE if known and not is_behind else math.inf
        grace_s = self._grace_s * (_PATIENCE if doubt.is_slow else 1.0)
        witness = max(later, key=lambda span: (span.run_id or 0, span.sent))
        # A list that lacks what was accepted before its witness has holes.
        since = doubt.since - _MARGIN_S
        has_holes = any(
            span.run_id == witness.run_id and since < span.answered < witness.sent
            for span in unlisted.values()
        )
        return math.inf if has_holes else grace_s

    async def _look_for_made(
        self, job: OpenJob, lane: Lane, doubt: Doubt, recovery: MadeList
    ) -> _Look:
        operation, request = lane.operation, job.request
        listing = await self._lister.made(operation, recovery, request, lane.limiter)
        names = [row.name for row in listing.rows]
        claimed = self._claims.claimed(operation.name, names, job_id=job.job_id)
        is_dated = doubt.since <= self._now() + _MARGIN_S
        verdict = find_made(doubt, listing.rows, claimed=claimed, is_dated=is_dated)
        known = self._claims.made(operation.name, listing.names)
        wait_s = self._wait_for_absence(doubt, known, {})
        if not isinstance(verdict, NotFound):
            return _Look(Finding(verdict), 0.0)
        if verdict is NotFound.UNDECIDED:
            return _Look(Finding(verdict), reason=_SEVERAL)
        return _Look(Finding(verdict), wait_s, _NO_WITNESS, needs_witness=True)

    def _is_steady(self, doubt: Doubt) -> bool:
        """Whether the clock was not set since this run began, so that the doubt's time is right."""
        wall, monotonic = self._began
        passed_s = self._clock.monotonic() - monotonic
        has_moved = abs(self._now() - wall - passed_s) > _JUMP_S
        return not has_moved and doubt.since <= self._now() + _JUMP_S

    def _lost_for(self, doubt: Doubt) -> float:
        """Seconds since the loss; after a kill nobody saw it, and the grace begins with a look."""
        lost_at = doubt.lost_at if doubt.is_seen else min(self._now(), doubt.until)
        return max(0.0, self._now() - lost_at)

    def _now(self) -> float:
        return self._clock.now().timestamp()

    def _listed_since(self) -> str:
        """The time before which the service lists nothing any more."""
        return stamp(self._clock.now() - timedelta(seconds=_RECORD_LIFE_S))


_SEVERAL = "the list shows several of that name, and nothing tells them apart"
_NO_WITNESS = "the list shows nothing of this run that was accepted later, so it may not be current"


def _find(
    doubt: Doubt, listing: Listing[TaskRow], known: _Known, *, disproved: Collection[str] = ()
) -> Finding:
    return find_task(
        doubt,
        listing.rows,
        skew=known.skew,
        claimed={*known.claimed, *disproved},
        rivals=known.rivals,
        callers={row.caller for row in listing.rows if row.name in known.accepted},
        usual_s=known.usual_s,
    )


def _outcome(look: _Look | Undecided, waited_s: float) -> Listed | Undecided | NotFound:
    """What a look decides; UNDECIDED where another one may decide more."""
    if isinstance(look, Undecided):
        return look
    return look.finding.verdict if waited_s >= look.wait_s else NotFound.UNDECIDED


def _may_tell_more(look: _Look | Undecided, lane: Lane, waited_s: float) -> bool:
    """Whether another create may come that shows what this look does not."""
    needs_witness = isinstance(look, _Look) and look.needs_witness
    return needs_witness and lane.expects_creates and waited_s < _LONGEST_S


def _why_open(finding: Finding, wait_s: float) -> str:
    """Why a look decides nothing, in words for the user."""
    if finding.verdict is NotFound.ABSENT:
        return _NO_WITNESS if math.isinf(wait_s) else "the list may be behind"
    names = ", ".join(row.name for row in finding.candidates[:3])
    tasks = f"tasks of that time that may be it: {names}" if names else "a task may be it"
    if finding.is_shared:
        return f"others use this key, and the list has no prompts; {tasks}"
    return f"the list has no prompts; {tasks}"


def _is_later(span: Span, doubt: Doubt) -> bool:
    """Whether a create of ours was sent after the lost one was given up."""
    if span.run_id is not None and doubt.run_id is not None and span.run_id != doubt.run_id:
        return span.run_id > doubt.run_id
    return span.sent >= doubt.lost_at


def _usual_s(known: Mapping[str, Span], run_id: int | None) -> float:
    """How long a create of the run takes to be accepted, judged by its other creates."""
    took_s = [span.answered - span.sent for span in known.values() if span.run_id == run_id]
    if run_id is None or len(took_s) < _FEW:
        return math.inf
    return max(_LEAST_USUAL_S, 4 * max(took_s))
