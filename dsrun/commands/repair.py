"""`dsrun verify --repair`: a new ledger from what is left of a damaged one.

From its readable rows, the plan of the lock file, results.jsonl, the tail and the files on the
disk. The damaged ledger is kept. Of what may be paid nothing is sent before the service's lists
were asked, or the user has decided.
"""

import asyncio
import hashlib
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from dsrun import __version__
from dsrun.commands.common import PlanOptions, open_plan
from dsrun.commands.comparing import LOST_ROW, bears
from dsrun.console import count_of, say
from dsrun.errors import DsrunError, ManifestError, SetupError
from dsrun.fetching import artifacts_of, file_names
from dsrun.layout import lock_of
from dsrun.ledger import Ledger
from dsrun.ledger_check import is_own_job
from dsrun.ledger_file import DamagedLedger
from dsrun.ledger_reader import NoLedger
from dsrun.ledger_salvage import Known, Restoring, empty_ledger, salvage
from dsrun.ledger_tail import NAME as TAIL
from dsrun.ledger_tail import read_entries, read_head
from dsrun.ledger_view import LedgerView
from dsrun.lockfile import run_lock
from dsrun.plan import Plan
from dsrun.records import Artifact, JobStatus, OpenJob

_LONG_AGO = "1970-01-01T00:00:00.000Z"
_ENDED = (JobStatus.FAILED, JobStatus.CANCELLED, JobStatus.PARTIAL)


def repair(run_dir: Path) -> None:
    """Raises SetupError where it cannot, RunLocked where a run holds the directory."""
    with run_lock(
        lock_of(run_dir), if_running="fail", describe_owner=lambda: "a run",
        check=lambda: None, say=say,
    ):  # fmt: skip
        ledger = run_dir / "ledger.sqlite3"
        try:
            LedgerView(ledger, thorough=True).close()
        except (DamagedLedger, NoLedger):
            say(asyncio.run(_Repair(run_dir, ledger).run()))
        except SetupError:
            asyncio.run(_catch_up(ledger))
            say(f"what the tail has was put back into {ledger}")
        else:
            say(f"{ledger} is whole: there is nothing to repair")


async def _catch_up(ledger: Path) -> None:
    """Opening puts back what the log has lost; the next run asks the service for the rest."""
    opened = Ledger(ledger)
    opened.close()
