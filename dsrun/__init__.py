"""dsrun: declarative batch runner for the DashScope (Qwen Cloud) generation APIs.

`load`, `plan`, `run` and `run_sync` do what the commands do. They are imported when they are used.
"""

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dsrun.api import load, plan, run, run_sync
    from dsrun.api_records import JobRecord, PlanItem, PlannedRun, ResultFile, RunResult
    from dsrun.api_words import Pipeline
    from dsrun.errors import (
        DsrunError,
        ExitCode,
        ManifestError,
        RunFailed,
        RunLocked,
        SetupError,
        UsageError,
    )
    from dsrun.execution import Money
    from dsrun.records import JobStatus

__version__ = "0.1.0"

_HOMES = {
    "dsrun.api": ("load", "plan", "run", "run_sync"),
    "dsrun.api_records": ("JobRecord", "PlanItem", "PlannedRun", "ResultFile", "RunResult"),
    "dsrun.api_words": ("Pipeline",),
    "dsrun.errors": (
        "DsrunError", "ExitCode", "ManifestError", "RunFailed", "RunLocked", "SetupError",
        "UsageError",
    ),
    "dsrun.execution": ("Money",),
    "dsrun.records": ("JobStatus",),
}  # fmt: skip
_HOME = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "DsrunError",
    "ExitCode",
    "JobRecord",
    "JobStatus",
    "ManifestError",
    "Money",
    "Pipeline",
    "PlanItem",
    "PlannedRun",
    "ResultFile",
    "RunFailed",
    "RunLocked",
    "RunResult",
    "SetupError",
    "UsageError",
    "__version__",
    "load",
    "plan",
    "run",
    "run_sync",
]


class _Package(ModuleType):
    """`dsrun.plan` is the function, although a module of that name is imported below it."""

    def __getattr__(self, name: str) -> Any:
        if name not in _HOME:
            raise AttributeError(f"module 'dsrun' has no attribute {name!r}")
        return getattr(import_module(_HOME[name]), name)

    def __setattr__(self, name: str, value: object) -> None:
        # Importing `dsrun.plan` would set it here; its importers find it in `sys.modules`.
        if not (name in _HOME and isinstance(value, ModuleType)):
            super().__setattr__(name, value)

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *__all__})


sys.modules[__name__].__class__ = _Package
