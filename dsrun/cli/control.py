"""`dsrun control`: pause, resume, stop or bound a run that goes on in another process."""

from collections.abc import Mapping, Sequence
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

from dsrun.common.console import answer, answer_json
from dsrun.common.errors import ExitCode, UsageError
from dsrun.common.messages import nearest
from dsrun.common.shell import command_line
from dsrun.common.units import Money
from dsrun.ledger import totals
from dsrun.ledger.orders import Taken
from dsrun.ledger.reader import LedgerReader
from dsrun.session.controlling import control
from dsrun.session.opening import find_run_dir
from dsrun.session.orders import (
    COMMANDS,
    PAUSE,
    RESUME,
    SET,
    STOP,
    read_changes,
    read_words,
    value_of,
    words_of,
)
from dsrun.storage.layout import RunLayout


def run(
    where: Path,
    command: str,
    words: Sequence[str],
    *,
    out: Path,
    emulate: bool,
    set_params: Mapping[str, str],
    allow_files: tuple[Path, ...],
    as_json: bool,
) -> int:
    """Give one order. Raises UsageError where it cannot be obeyed, SetupError where no run is."""
    value = _value(command, words)
    run_dir = find_run_dir(
        where, out=out, emulate=emulate, set_params=set_params, allow_files=allow_files
    )
    taken = control(run_dir, command, value)
    if as_json:
        answer_json(
            {"directory": str(run_dir), **_as_json(taken), "in_force": dict(taken.in_force)}
        )
    else:
        answer(f"{run_dir}: {_told(taken, run_dir)}{_stop_words(taken, run_dir)}")
    return ExitCode.OK


def _value(command: str, words: Sequence[str]) -> str | None:
    """What is wrong with an order is said before a run is looked for. Raises UsageError."""
    if command not in COMMANDS:
        hint = nearest(command, COMMANDS)
        raise UsageError(f"control {command}{hint}; allowed: {', '.join(COMMANDS)}")
    if command != SET:
        if words:
            raise UsageError(f"control {command} takes nothing more; found {' '.join(words)}")
        return None
    settings = read_words(words)
    read_changes(settings)
    return value_of(settings)


def _as_json(taken: Taken) -> dict[str, Any]:
    return {
        "command": words_of(taken.command, taken.value),
        "at": taken.at,
        "taken_at": taken.taken_at,
        "by": taken.given_by,
        "pid": taken.pid,
    }


def _told(taken: Taken, run_dir: Path) -> str:
    again = command_line("dsrun", "control", run_dir, RESUME)
    return {
        PAUSE: "paused: no more creates are sent, and what is under way goes on; "
        f"`{again}` goes on",
        RESUME: "goes on: creates are sent again",
        STOP: "stopping: nothing more is submitted, and what is nearly done may end",
        SET: f"in force now: {in_force_words(taken.in_force)}",
    }[taken.command]


def _stop_words(taken: Taken, run_dir: Path) -> str:
    """That the run has spent what was set as its bound, so that it stops."""
    limit = taken.in_force.get("max_cost")
    if taken.command != SET or limit is None or "max_cost" not in (taken.value or ""):
        return ""
    most = Money.from_json(limit)
    with closing(LedgerReader(RunLayout.of(run_dir).ledger)) as view:
        spent = sum(totals.committed(view, currency=most.currency), Decimal(0))
    if spent < most.amount:
        return ""
    money = Money(amount=spent, currency=most.currency)
    return f"; {money} spent or under way already, so the run sends nothing more"


def in_force_words(in_force: Mapping[str, Any]) -> str:
    """`concurrency 8; wanx-v1 2 in 1 s; max_cost 40 CNY`, of bounds as the ledger has them."""
    limit = in_force.get("max_cost")
    cost = "no max_cost" if limit is None else f"max_cost {Money.from_json(limit)}"
    rates = [
        f"{name} {rate['requests']} in {rate['per_s']:.4g} s"
        for name, rate in in_force.get("rates", {}).items()
    ]
    return "; ".join([f"concurrency {in_force.get('concurrency')}", *rates, cost])
