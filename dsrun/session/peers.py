"""Other runs in the same output root: what they are making is not sent by this one."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from dsrun.common.clock import SystemClock, stamp
from dsrun.common.console import count_of, say
from dsrun.common.errors import SetupError
from dsrun.common.models import JobStatus, SentElsewhere
from dsrun.common.sqlite import DamagedLedger
from dsrun.engine.control import Left, RunControl
from dsrun.ledger import totals
from dsrun.ledger.check import LostFacts
from dsrun.ledger.peers import LedgerClaims
from dsrun.ledger.reader import LedgerReader
from dsrun.ledger.waiting import ids_among
from dsrun.ledger.writer import Ledger
from dsrun.session.caching import Reuse
from dsrun.session.materials import NotThere, as_told
from dsrun.storage.layout import RunLayout
from dsrun.storage.precedence import Living, Precedence

_LOOK_S = 2.0
_PAUSE = 10.0  # times as long as the last look took


class Neighbours:
    """Enter once the ledger has the plan; leave when the run has ended.

    An emulated run has none: its emulator is its own.
    """

    def __init__(
        self, layout: RunLayout, claims: LedgerClaims, *, since: str, clock: SystemClock,
        quiet: bool, holds: bool,
    ) -> None:  # fmt: skip
        """`since`: what was sent later can still be fetched. Without `holds` nothing is held."""
        self._precedence = None
        if not layout.emulated:
            self._precedence = Precedence(layout.run_dir, out=layout.out)
        self._ledger_name = layout.ledger.name
        self._claims = claims
        self._since = since
        self._clock = clock
        self._quiet = quiet
        self._holds = holds
        self._held = 0
        self._told: set[Path] = set()

    @property
    def held(self) -> int:
        """The number of jobs that are left to another run for now."""
        return self._held

    async def enter(self, ledger: Ledger, reuse: Reuse) -> None:
        """Claim the jobs of the plan: runs that start later leave them to this one.

        Raises SetupError, also where nobody can tell what another run has paid for.
        """
        if self._precedence is not None:
            self._check_others()
            await self._enter(self._precedence, ledger, reuse)

    def leave(self) -> None:
        if self._precedence is not None:
            self._precedence.leave()

    async def released(self, ledger: Ledger, reuse: Reuse, control: RunControl) -> bool:
        """Wait until held jobs fall to this run. False when none is left for it."""
        if self._precedence is None or not self._held or control.is_stopping:
            return False
        jobs = count_of(self._held, "job")
        self._say(f"waiting for {jobs} that another run has in hand; Ctrl-C ends the wait")
        took_s = 0.0
        while self._held:
            self._precedence.rest()
            try:
                with control.interruptible():
                    await self._clock.sleep(max(_LOOK_S, _PAUSE * took_s))
            except Left:
                break
            began = self._clock.monotonic()
            await self._enter(self._precedence, ledger, reuse)
            took_s = self._clock.monotonic() - began
            if totals.open_steps(ledger.view):
                return True
        return False

    async def _enter(self, precedence: Precedence, ledger: Ledger, reuse: Reuse) -> None:
        """Take what other runs made, resume what dead runs sent, hold what live runs have."""
        precedence.enter()
        living = precedence.living()  # before the cache is read: a run that leaves has filled it
        ledger.view.hold(())
        reuse.fill_in(self._claims.other_dirs(), ledger.view)
        await reuse.bring_in(ledger)
        sent = self._claims.open_elsewhere(since=self._since, living=living)
        same = (job for job in sent if job.sent is None or _is_same(job, ledger.view))
        await ledger.share_open(same, at=stamp(self._clock.now()))
        holders = living if self._holds else []
        self._held = ledger.view.hold(self._in_hand(ledger.view, holders))

    def _check_others(self) -> None:
        """Raises DamagedLedger: such a ledger claims nothing, so its tasks could be sent again."""
        for folder in self._claims.other_dirs():
            try:
                LedgerReader(folder / self._ledger_name).close()
            except DamagedLedger:
                raise
            except LostFacts as error:
                say(f"warning: {error}")
            except SetupError:  # empty, or written by a newer dsrun
                continue

    def _in_hand(self, view: LedgerReader, holders: Sequence[Living]) -> Iterator[set[str]]:
        """Pages of jobs that live runs have in hand, among those that this run would still send."""
        pages = view.ids(JobStatus.WAITING, JobStatus.PENDING, JobStatus.SUBMITTING)
        for page in pages if holders else ():
            held: set[str] = set()
            for run in holders:
                in_hand = self._claims.in_hand(page, run.run_dir, planned=run.is_earlier)
                if in_hand:
                    self._tell(run)
                held |= in_hand
            yield held

    def _tell(self, run: Living) -> None:
        if run.run_dir not in self._told:
            self._told.add(run.run_dir)
            self._say(
                f"another run in progress has jobs of this one ({run.run_dir}): what it makes is "
                "taken from there, what it leaves is sent afterwards"
            )

    def _say(self, words: str) -> None:
        if not self._quiet:
            say(words)


def _is_same(sent: SentElsewhere, view: LedgerReader) -> bool:
    """Whether another run sent what this one would: the parents of both gave the same."""
    if not ids_among(view, [sent.job_id], JobStatus.PENDING):
        return False
    try:
        return as_told(view.job(sent.job_id), view) == sent.sent.encode() if sent.sent else True
    except NotThere:
        return False
