"""Obeys what `dsrun control` orders of a run, while it goes on; each order is in the ledger.

The folder of orders is looked at twice a second: it is one system call, the same on every system
and disk, while notices of changed files are lost on shared disks and need a library.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

from dsrun.common.console import say
from dsrun.common.errors import ExitCode, SetupError, UsageError
from dsrun.common.units import Money, Rate
from dsrun.engine.control import RunControl
from dsrun.engine.job_runner import Runner
from dsrun.engine.places import Places
from dsrun.planning.plan import called
from dsrun.session.host import STOPPED_BY_ORDER, drain
from dsrun.session.open_run import OpenRun
from dsrun.session.orders import (
    COMMANDS,
    PAUSE,
    RESUME,
    SET,
    STOP,
    Bounds,
    Changes,
    per_s,
    rate_words,
    read_changes,
    settings_in,
    slower,
    words_of,
)
from dsrun.storage import orders
from dsrun.storage.orders import Order

_LOOK_S = 0.5
_CONSEQUENCES = {
    PAUSE: "no more creates are sent; what is under way goes on",
    RESUME: "creates are sent again",
    STOP: "nothing more is submitted; what is nearly done may end",
    SET: "in force from now on, for this run alone",
}


class Steering:
    """The bounds of a run as they are now, and what changes them."""

    def __init__(self, run: OpenRun, control: RunControl) -> None:
        self._run = run
        self._control = control
        self._runner: Runner | None = None
        self._places: Places | None = None
        self._seen: set[str] = set()  # tokens: a file that cannot be removed is taken once
        self._now = self._at_first = Bounds.at_first(run.plan, run.execution)

    @property
    def concurrency(self) -> int:
        return self._now.concurrency

    @asynccontextmanager
    async def followed(self) -> AsyncIterator[None]:
        """Take orders in here."""
        task = asyncio.ensure_future(self._follow())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait([task])
            orders.clear(self._run.layout)  # who gave one that was not taken sees that it is gone
            if not task.cancelled():
                task.result()  # a bug in there is one of the run

    def steer(self, runner: Runner) -> None:
        """Have the creates of a runner keep the rates of now, and those that are ordered later."""
        self._runner = runner
        for name, rate in self._now.rates.items():
            if rate != self._at_first.rates[name]:
                runner.order_rate(name, rate)

    def place(self, places: Places) -> None:
        self._places = places

    async def _follow(self) -> None:
        while True:
            try:
                for order in orders.waiting(self._run.layout):
                    token = order if isinstance(order, str) else order.token
                    if token not in self._seen:
                        self._seen.add(token)
                        await self._take(order)
            except SetupError as error:  # the ledger takes no more
                self._control.stop(str(error), error.exit_code)
                return
            await self._run.clock.sleep(_LOOK_S)

    async def _take(self, order: Order | str) -> None:
        """Obey an order, and record it. What only holds back is not put off by a slow disk."""
        if isinstance(order, str):
            say(f"warning: {order} in {self._run.layout.orders} is no order, and is passed over")
            orders.take_back(self._run.layout, order)
            return
        if order.run_id != self._run.ledger.run_id:
            orders.take_back(self._run.layout, order.token)
            return
        try:
            wanted, refused = self._judge(order), ""
        except UsageError as error:
            wanted, refused = self._now, str(error)
        if wanted.is_paused:
            self._control.pause()
        await self._run.ledger.record_order(
            order, at=self._run.now(), refused=refused, in_force=wanted.as_json()
        )
        orders.take_back(self._run.layout, order.token)
        self._tell(order, refused)
        if not refused:
            self._obey(order.command, wanted)

    def _judge(self, order: Order) -> Bounds:
        """What would be in force then. Raises UsageError where the run does not obey."""
        if order.command not in COMMANDS:
            raise UsageError(f"{order.command} is none of {', '.join(COMMANDS)}")
        if self._control.is_stopping:
            raise UsageError(f"the run is stopping already: {self._control.reason}")
        if order.command in (PAUSE, RESUME):
            return replace(self._now, is_paused=order.command == PAUSE)
        if order.command == STOP:
            return self._now
        return self._changed(read_changes(settings_in(order.value)))

    def _changed(self, changes: Changes) -> Bounds:
        now = self._now
        if changes.rate is not None:
            now = replace(now, rates=self._rates(changes))
        if changes.max_cost is not None:
            self._check_max_cost(changes.max_cost)
            now = replace(now, max_cost=changes.max_cost)
        return replace(now, concurrency=changes.concurrency or now.concurrency)

    def _rates(self, changes: Changes) -> dict[str, Rate]:
        """Every operation at this rate, or at its own where that is slower."""
        wanted, bounds = changes.rate, self._at_first.rates
        if wanted is None:
            return dict(self._now.rates)
        if all(per_s(wanted) > per_s(bound) for bound in bounds.values()):
            known = ", ".join(f"{name} {rate_words(rate)}" for name, rate in bounds.items())
            raise UsageError(
                f"set rate: {rate_words(wanted)} is more than this run began with ({known}), "
                "which is the published limit or the manifest's own. An account that has more says "
                "so in execution.limits of the manifest"
            )
        return {name: slower(bound, wanted) for name, bound in bounds.items()}

    def _check_max_cost(self, limit: Money) -> None:
        """Raises UsageError where it could not hold: as for --max-cost."""
        used = [*called(self._run.plan.manifest, self._run.plan.catalog)]
        currencies = {one.price.currency for one in used}
        if currencies != {limit.currency}:
            known = ", ".join(sorted(currencies))
            raise UsageError(f"set max_cost={limit}: the prices of this run are in {known}")
        if self._at_first.max_cost is None and any(one.price.steady is None for one in used):
            raise UsageError(
                f"set max_cost={limit}: some prices of this run are known only from the answers. "
                "Stop it, and run it again with --max-cost, which looks at every job first"
            )

    def _tell(self, order: Order, refused: str) -> None:
        if self._run.options.quiet:
            return
        by = f"{order.given_by} (process {order.pid})"
        try:
            words = words_of(order.command, order.value)
        except UsageError:
            words = order.command
        if refused:
            say(f"`control {words}` of {by} is refused: {refused}")
        else:
            say(f"`control {words}` of {by}: {_CONSEQUENCES[order.command]}")

    def _bound_cost(self, limit: Money | None) -> None:
        budget, at_first = self._control.budget, self._at_first.max_cost
        budget.limit = None if limit is None else limit.amount
        budget.is_lowered = limit is not None and (
            at_first is None or limit.amount < at_first.amount
        )

    def _obey(self, command: str, wanted: Bounds) -> None:
        before, self._now = self._now, wanted
        if not wanted.is_paused:
            self._control.resume()
        self._bound_cost(wanted.max_cost)
        if self._places is not None:
            self._places.change(wanted.concurrency)
        if self._runner is not None:
            for name, rate in wanted.rates.items():
                if rate != before.rates[name]:
                    self._runner.order_rate(name, rate)
        if command == STOP:
            drain(self._control, STOPPED_BY_ORDER, ExitCode.INTERRUPTED)
