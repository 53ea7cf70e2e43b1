"""Keeps `execution.budget`: what all runs of an output root may spend together in a period."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from datetime import datetime
from decimal import Decimal
from pathlib import Path

from dsrun.common.clock import SystemClock, stamp
from dsrun.common.errors import SetupError
from dsrun.common.periods import Period, period_at
from dsrun.common.sqlite import beside
from dsrun.common.units import Money
from dsrun.engine.control import RunControl
from dsrun.ledger.commitments import Commitment, bucket_of, commitments
from dsrun.ledger.history import History
from dsrun.ledger.reader import LedgerReader, NoLedger
from dsrun.manifest.execution import PeriodBudget
from dsrun.session.budget_standing import BudgetStanding, start_of, told
from dsrun.session.open_run import OpenRun
from dsrun.storage.budget_book import BudgetBook, Entry, Page
from dsrun.storage.layout import RunLayout, is_emulated, removed_of, run_dirs
from dsrun.storage.run_lock import is_locked

_LOOK_S = 5.0  # between two looks at the ledgers of runs that do not write into the book
_PAUSE = 20.0  # times as long as the last look took


class KeptBudget:
    """One run's hold on the budget. Its own spending is in the book before a create is sent."""

    def __init__(
        self,
        layout: RunLayout,
        budget: PeriodBudget,
        book: BudgetBook,
        *,
        own: Callable[[], Iterable[Commitment]],
        clock: SystemClock,
    ) -> None:
        """`own`: what the ledger of this run says. Raises SetupError where the book is not usable.

        The caller holds the lock of the run directory until after `end`.
        """
        self._layout = layout
        self._budget = budget
        self._currency = budget.amount.currency
        self._read_own = own
        self._clock = clock
        self._run = _key_of(layout.run_dir)
        self._own: dict[str, Decimal] = {}
        self._words = ""
        self._look_again_at = 0.0
        self._book = book
        self.recount()

    def end(self) -> None:
        """What the ledger says by now is what is left in the book. Raises SetupError."""
        with self._book.writing() as page:
            state = _state_of(self._layout.ledger)
            page.set_run(self._run, _spends(self._read_own()), state=state, is_kept=False)
            self._look(page)
            self._words = self._standing(page).words

    def words(self) -> str:
        """Where the budget stood when the run ended."""
        return self._words

    def recount(self) -> None:
        """Write down what the ledgers say, that of this run and all others. Raises SetupError."""
        self._own = {}
        for at, currency, amount in _spends(self._read_own()):
            if currency == self._currency:
                self._own[at] = self._own.get(at, Decimal(0)) + amount
        for run_dir in self._others():  # one by one: nobody waits until all are read
            with self._book.writing() as page:
                _read_run(page, run_dir)
        with self._book.writing() as page:
            self._enter(page)

    def reserve(self, amount: Decimal, *, at: str) -> str:
        """Set the price of a create aside before it is sent; in words why that cannot be."""
        period = self._period_at(at)
        since, most = start_of(period), self._budget.amount.amount
        with self._page() as page:
            if self._clock.monotonic() >= self._look_again_at:
                self._look(page)
            if page.total(self._currency, since=since) + amount > most:
                self._look(page)  # what others had set aside may be free by now
            spent = page.total(self._currency, since=since)
            if spent + amount > most:
                standing = self._standing_of(spent, period)
                return _refusal(standing, self._money(amount), out=self._layout.out)
            self._add(page, bucket_of(at), amount)
        return ""

    def settle(self, reserved: Decimal, spent: Decimal, *, at: str) -> None:
        """A create has cost something else than was set aside."""
        with self._page() as page:
            self._add(page, bucket_of(at), spent - reserved)

    def _standing(self, page: Page) -> BudgetStanding:
        period = self._period_at(stamp(self._clock.now()))
        spent = page.total(self._currency, since=start_of(period))
        return self._standing_of(spent, period)

    def _standing_of(self, spent: Decimal, period: Period) -> BudgetStanding:
        return BudgetStanding(self._budget, self._money(spent), period, self._layout.emulated)

    def _period_at(self, at: str) -> Period:
        moment = datetime.fromisoformat(at)
        return period_at(moment, self._budget.per, timezone=self._budget.timezone)

    def _money(self, amount: Decimal) -> Money:
        return Money(amount=amount, currency=self._currency)

    @contextmanager
    def _page(self) -> Iterator[Page]:
        with self._book.writing() as page:
            entry = page.entry(self._run)
            if entry is None or not entry.is_kept:  # the book was lost, and is made anew
                self._enter(page)
            yield page

    def _enter(self, page: Page) -> None:
        own = [(at, self._currency, amount) for at, amount in self._own.items()]
        page.set_run(self._run, own, state="", is_kept=True)
        self._look(page)

    def _add(self, page: Page, at: str, amount: Decimal) -> None:
        page.add(self._run, at, self._currency, amount)
        self._own[at] = max(Decimal(0), self._own.get(at, Decimal(0)) + amount)

    def _look(self, page: Page) -> None:
        """Read the ledgers of runs that do not write into the book, where they have changed."""
        began, found = self._clock.monotonic(), {self._run}
        for run_dir in self._others():
            found.add(_key_of(run_dir))
            _read_run(page, run_dir)
        self._look_at_removed(page, found)
        now = self._clock.monotonic()
        self._look_again_at = now + max(_LOOK_S, _PAUSE * (now - began))

    def _others(self) -> Iterator[Path]:
        """The directories of other runs that spend from this budget."""
        layout = self._layout
        for run_dir in run_dirs(layout.out):
            if is_emulated(run_dir) == layout.emulated and run_dir != layout.run_dir:
                yield run_dir

    def _look_at_removed(self, page: Page, found: set[str]) -> None:
        """What is noted of directories that `keep` has removed; of others the book is the note."""
        out = self._layout.out
        notes = {_key_of(file): _state_of(file) for file in map(removed_of, out.glob("*"))}
        if all(not state or _is_as(page.entry(key), state) for key, state in notes.items()):
            return
        spends: dict[str, list[tuple[str, str, Decimal]]] = defaultdict(list)
        for run_dir, removed in History(out, emulated=self._layout.emulated).removed():
            spends[_key_of(removed_of(run_dir.parent))] += _spends(removed.commitments)
            if _key_of(run_dir) not in found:
                page.forget(_key_of(run_dir))
        for key, state in notes.items():
            if state:
                page.set_run(key, spends[key], state=state, is_kept=False)


@contextmanager
def keeping_budget(run: OpenRun, control: RunControl) -> Iterator[None]:
    """Keep the budget of the manifest, if any, while the run sends."""
    budget, layout, view = run.execution.budget, run.layout, run.ledger.view
    if budget is None:
        _give_up_keeping(layout)
        yield
        return
    kept = None
    with ExitStack() as stack:
        try:
            book = stack.enter_context(closing(BudgetBook(layout.budget)))
            kept = KeptBudget(layout, budget, book, own=lambda: commitments(view), clock=run.clock)
        except SetupError as error:
            control.stop(str(error), error.exit_code)
        control.budget.shared = kept
        try:
            yield
        finally:
            if kept is not None:
                with suppress(SetupError):  # others read the ledger then, once the lock is free
                    kept.end()


def _give_up_keeping(layout: RunLayout) -> None:
    """Of a run that keeps no budget: others read its ledger."""
    if layout.budget.exists():
        with (
            suppress(SetupError),  # nobody else can use such a book either
            closing(BudgetBook(layout.budget)) as book,
            book.writing() as page,
        ):
            page.disown(_key_of(layout.run_dir))


def _read_run(page: Page, run_dir: Path) -> None:
    """Write down what the ledger of another run says, unless the book has it already."""
    layout, entry = RunLayout.of(run_dir), page.entry(_key_of(run_dir))
    is_live, state = is_locked(layout.lock), _state_of(layout.ledger)
    if is_live and entry is not None and entry.is_kept:
        return
    if not is_live and _is_as(entry, state):
        return
    try:
        with closing(LedgerReader(layout.ledger)) as reader:
            spends = _spends(commitments(reader))
    except NoLedger:
        return
    except SetupError as error:
        if entry is None:
            raise SetupError(
                f"the budget cannot be kept, since nobody can tell what a run has spent: {error}"
            ) from error
        return  # what the book has of it still holds
    page.set_run(_key_of(run_dir), spends, state=state, is_kept=False)


def _is_as(entry: Entry | None, state: str) -> bool:
    """Whether a file is as it was when the book took it down."""
    return entry is not None and not entry.is_kept and entry.state == state


def _state_of(file: Path) -> str:
    """How a file, and the log of a ledger, look from outside; empty where there is none."""
    states = []
    for path in (file, beside(file, "-wal")):
        with suppress(OSError):
            found = path.stat()
            states.append(f"{found.st_mtime_ns}:{found.st_size}:{found.st_ino}")
    return " ".join(states)


def _key_of(path: Path) -> str:
    """A run, or the notes about removed ones, as the book names it."""
    return f"{path.parent.name}/{path.name}"


def _spends(found: Iterable[Commitment]) -> list[tuple[str, str, Decimal]]:
    return [(one.at, one.cost.currency, one.cost.amount) for one in found]


def _refusal(standing: BudgetStanding, price: Money, *, out: Path) -> str:
    """Why a run sends nothing more, when it may, and what can be changed."""
    until = standing.period.until
    again = f"It begins anew at {told(until)}" if until else "It never begins anew"
    kind = "emulated" if standing.emulated else "all"
    state = "has no room for the next job" if standing.left.amount else "is used up"
    return (
        f"the budget of {standing.budget} {state} ({standing.spent} spent or under way by {kind} "
        f"runs below {out}; the next job costs {price}). {again}; or raise execution.budget"
    )
