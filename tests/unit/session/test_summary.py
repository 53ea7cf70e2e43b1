"""The exit code of a run, from how its jobs stand."""

import pytest

from dsrun.common.errors import ExitCode
from dsrun.common.models import JobStatus
from dsrun.engine.control import RunControl
from dsrun.session.summary import exit_code_of


@pytest.mark.parametrize(
    ("counts", "code"),
    [
        ({"succeeded": 3}, ExitCode.OK),
        ({"succeeded": 3, "skipped": 1}, ExitCode.JOBS_FAILED),
        ({"failed": 1, "skipped": 400}, ExitCode.JOBS_FAILED),
        ({"unknown": 1, "waiting": 400}, ExitCode.JOBS_FAILED),
        ({"failed": 1, "waiting": 1}, ExitCode.INCOMPLETE),
        ({"unknown": 1, "waiting": 1, "pending": 1}, ExitCode.INCOMPLETE),
    ],
)
def test_what_waits_for_unknown_jobs_does_not_make_a_run_incomplete(counts, code):
    found = {JobStatus(status): number for status, number in counts.items()}
    assert exit_code_of(found, RunControl()) is code


async def test_a_run_that_was_stopped_is_not_done_while_jobs_wait():
    control = RunControl()
    control.stop("enough", ExitCode.INTERRUPTED)
    counts = {JobStatus.UNKNOWN: 1, JobStatus.WAITING: 1}
    assert exit_code_of(counts, control) is ExitCode.INTERRUPTED
