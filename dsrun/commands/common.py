"""What several commands do alike: from a pipeline file to a checked plan."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from dsrun.catalog import load_catalog
from dsrun.clock import SystemClock
from dsrun.execution import Money
from dsrun.manifest import read_manifest
from dsrun.plan import Plan, build_plan
from dsrun.records import Json
from dsrun.selection import EVERYTHING, Selection

OWN_OPERATIONS = "operations"  # folder beside the manifest
DEFAULT_OUT = Path("outputs")


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanOptions:
    """What determines and selects the jobs of a pipeline."""

    pipeline: Path
    out: Path = DEFAULT_OUT
    set_params: Mapping[str, str]
    selection: Selection = EVERYTHING
    emulate: bool = False
    no_cache: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions(PlanOptions):
    """The options of `run`; None leaves the manifest's word or the default."""

    concurrency: int | None = None
    max_cost: Money | None = None
    retry_failed: bool = False
    resubmit_unknown: bool = False
    fail_fast: bool = False
    if_running: str = "fail"
    yes: bool = False
    quiet: bool = False
    progress: bool = True
    junit: Path | None = None
    textfile: Path | None = None


def open_plan(options: PlanOptions) -> Plan:
    """Read and compile. Jobs are not checked yet. Raises ManifestError or UsageError."""
    catalog = load_catalog(options.pipeline.parent / OWN_OPERATIONS)
    manifest = read_manifest(options.pipeline, catalog=catalog, set_params=options.set_params)
    return build_plan(manifest, catalog=catalog, run_values=run_values(SystemClock()))


def run_values(clock: SystemClock) -> dict[str, Json]:
    """`run.date` and `run.datetime` in local time, and `run.id`, unique to the second."""
    now = clock.local_now().replace(microsecond=0)
    return {
        "date": now.date().isoformat(),
        "datetime": now.isoformat(),
        "id": now.strftime("%Y%m%dT%H%M%S%z"),
    }
