"""dsrun: declarative batch runner for the DashScope (Qwen Cloud) generation APIs.

`load`, `plan`, `run` and `run_sync` do what the commands do. They are imported when they are used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dsrun.api import (
        JobParent,
        JobRecord,
        Pipeline,
        PlanItem,
        PlannedRun,
        ResultFile,
        RunResult,
        load,
        plan,
        run,
        run_sync,
    )
    from dsrun.common.errors import (
        DsrunError,
        ExitCode,
        ManifestError,
        RunFailed,
        RunLocked,
        SetupError,
        UsageError,
    )
    from dsrun.common.models import JobStatus
    from dsrun.common.units import Money

__version__ = "0.1.0"

_HOMES = {
    "dsrun.api": (
        "JobParent", "JobRecord", "Pipeline", "PlanItem", "PlannedRun", "ResultFile", "RunResult",
        "load", "plan", "run", "run_sync",
    ),
    "dsrun.common.errors": (
        "DsrunError", "ExitCode", "ManifestError", "RunFailed", "RunLocked", "SetupError",
        "UsageError",
    ),
    "dsrun.common.units": ("Money",),
    "dsrun.common.models": ("JobStatus",),
}  # fmt: skip
_HOME = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "DsrunError",
    "ExitCode",
    "JobParent",
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


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'dsrun' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
