"""A run as Prometheus metrics, for the textfile collector of node-exporter.

Half a dozen gauges with two labels do not need the process registry of prometheus_client.
"""

from collections.abc import Iterator
from datetime import datetime

from dsrun.common.escaping import escaped
from dsrun.common.models import JobStatus
from dsrun.common.run_summary import RunEnd


def metrics_text(end: RunEnd, *, last_success: str | None) -> str:
    """The metrics as text; `last_success` is when a run last succeeded, if one did."""
    return "".join(_lines(end, last_success))


def _lines(end: RunEnd, last_success: str | None) -> Iterator[str]:
    name = {"pipeline": end.pipeline}
    yield from _gauge(
        "dsrun_last_run_timestamp_seconds", "When the last run ended.",
        [(name, _seconds(end.ended_at))],
    )  # fmt: skip
    if last_success is not None:
        yield from _gauge(
            "dsrun_last_success_timestamp_seconds", "When a run last ended with exit code 0.",
            [(name, _seconds(last_success))],
        )  # fmt: skip
    yield from _gauge(
        "dsrun_last_run_exit_code", "Exit code of the last run.", [(name, end.exit_code)]
    )
    yield from _gauge(
        "dsrun_last_run_duration_seconds", "How long the last run took.", [(name, end.duration_s)]
    )
    if end.jobs:
        yield from _gauge(
            "dsrun_jobs", "Jobs of the run directory by status.",
            [({**name, "status": status}, end.jobs.get(status, 0)) for status in JobStatus],
        )  # fmt: skip
    if end.cost:
        yield from _gauge(
            "dsrun_last_run_cost", "What the last run paid for.",
            [({**name, "currency": money.currency}, float(money.amount)) for money in end.cost],
        )  # fmt: skip


def _gauge(metric: str, about: str, samples: list[tuple[dict[str, str], float]]) -> Iterator[str]:
    yield f"# HELP {metric} {about}\n# TYPE {metric} gauge\n"
    for labels, value in samples:
        inside = ",".join(f'{key}="{_label(text)}"' for key, text in labels.items())
        yield f"{metric}{{{inside}}} {value}\n"


def _label(text: str) -> str:
    """A label value that cannot break out of its quotes."""
    return escaped(text).replace("\\", r"\\").replace('"', r"\"")


def _seconds(stamp: str) -> float:
    return datetime.fromisoformat(stamp).timestamp()
