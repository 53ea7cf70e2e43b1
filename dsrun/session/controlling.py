"""Gives an order to the run that goes on in a directory, and waits until it is taken."""

import getpass
import os
import socket
from contextlib import closing
from pathlib import Path
from uuid import uuid4

from dsrun.common.clock import SystemClock, pause, stamp
from dsrun.common.errors import SetupError, UsageError
from dsrun.ledger.orders import Taken, taken
from dsrun.ledger.reader import LedgerReader, NoLedger
from dsrun.report.resuming import resuming_command
from dsrun.storage import orders
from dsrun.storage.layout import RunLayout
from dsrun.storage.orders import Order
from dsrun.storage.run_lock import is_locked

_PATIENCE_S = 20.0
_LOOK_S = 0.1


def control(run_dir: Path, command: str, value: str | None) -> Taken:
    """How the run took the order. Raises UsageError where it refuses, SetupError where none runs.

    An order that nobody took is taken back: it is never left to a later run.
    """
    layout, clock = RunLayout.of(run_dir), SystemClock()
    until = clock.monotonic() + _PATIENCE_S
    while True:
        run_id = _live_run(layout, clock, until)
        order = Order(
            token=orders.token_of(clock.now(), pid=os.getpid(), salt=uuid4().hex[:8]),
            run_id=run_id, at=stamp(clock.now()), given_by=_who(), pid=os.getpid(),
            command=command, value=value,
        )  # fmt: skip
        orders.give(layout, order)
        answer = _await(layout, order, clock, until)
        if answer is None:
            continue  # it was meant for a run that had been killed; another one has begun
        if answer.refused:
            raise UsageError(f"refused: {answer.refused}. Nothing was changed")
        return answer


def _live_run(layout: RunLayout, clock: SystemClock, until: float) -> int:
    """The number of the run that goes on. Raises SetupError."""
    while True:
        if not is_locked(layout.lock):
            raise SetupError(
                f"no run goes on in {layout.run_dir}, so there is nothing to control; "
                f"`{resuming_command(layout.run_dir)}` begins or goes on with it"
            )
        try:
            with closing(LedgerReader(layout.ledger)) as view:
                last = view.last_run()
                if last is not None and last.ended_at is None:
                    return view.last_run_id()
        except NoLedger:
            pass  # its first run is just starting
        if clock.monotonic() > until:
            raise SetupError(
                f"the run in {layout.run_dir} is just starting or ending; try again in a moment"
            )
        pause(_LOOK_S)


def _await(layout: RunLayout, order: Order, clock: SystemClock, until: float) -> Taken | None:
    """The order as it was taken; None where a run that began meanwhile has dropped it.

    Raises SetupError.
    """
    with closing(LedgerReader(layout.ledger)) as view:
        while True:
            is_over = clock.monotonic() > until
            is_live = is_locked(layout.lock)
            is_gone = not orders.is_waiting(layout, order.token)
            if (answer := taken(view, order.token)) is not None:
                return answer
            if is_gone and is_live:
                return None
            if is_gone or ((is_over or not is_live) and orders.take_back(layout, order.token)):
                break
            pause(_LOOK_S)
    if is_live:
        raise SetupError(
            f"the run in {layout.run_dir} has not taken the order within {_PATIENCE_S:g} s: it is "
            "still planning, or its process is stopped. The order was taken back, and nothing was "
            "changed; try again later"
        )
    raise SetupError(
        f"the run in {layout.run_dir} ended before it took the order; nothing was changed, and "
        f"`{resuming_command(layout.run_dir)}` goes on with it"
    )


def _who() -> str:
    """Whose order it is, for whoever reads the ledger; no proof."""
    try:
        user = getpass.getuser()
    except (ImportError, KeyError, OSError):  # a user without a name, as in a container
        user = "somebody"
    name = f"{user} on {socket.gethostname()}"
    return name.encode(errors="replace").decode()  # the environment may hold any bytes
