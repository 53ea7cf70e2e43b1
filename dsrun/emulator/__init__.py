"""A local DashScope: the published calls, limits and failures, for tests and dry runs.

It never imports another room: it shares only the operation files with the client side, so that the
two cannot agree on the same mistake. Begin with `app`, the routes, then `creates`, `answers` and
`task_calls`.
The server is imported at its first use, so that `--help` can list the faults without it.
"""

import importlib
from typing import TYPE_CHECKING, Any

from dsrun.emulator.faults import FAULTS, Fault, parse_fault
from dsrun.emulator.options import EmulatorOptions

if TYPE_CHECKING:
    from dsrun.emulator.app import Emulator, start_emulator

__all__ = ["FAULTS", "Emulator", "EmulatorOptions", "Fault", "parse_fault", "start_emulator"]


def __getattr__(name: str) -> Any:
    if name in ("Emulator", "start_emulator"):
        return getattr(importlib.import_module("dsrun.emulator.app"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
