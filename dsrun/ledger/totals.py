"""What a ledger adds up to: numbers of jobs by status, what they cost, and their errors."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any, NamedTuple

from dsrun.common.models import JobStatus
from dsrun.common.units import Money, sum_money
from dsrun.ledger.reader import LedgerReader, checked
from dsrun.ledger.rows import names_of
from dsrun.ledger.writes import RETRIED

_DOUBTFUL = "('submitting', 'unknown')"


class StepTotal(NamedTuple):
    """A step as the ledger has it: its open jobs, those of each operation, and what it has cost."""

    step: str
    operations: Mapping[str, int]
    jobs: int
    spent: tuple[Money, ...]


@checked
def counts(reader: LedgerReader) -> dict[JobStatus, int]:
    """Number of jobs by status."""
    rows = reader.sums(f"SELECT status, count(*) FROM {reader.jobs} GROUP BY status")  # noqa: S608
    return {JobStatus(status): number for status, number in rows}


def job_counts(reader: LedgerReader) -> list[tuple[str, str, int]]:
    """Step, operation and number of their jobs."""
    rows = reader.sums("SELECT step, operation, count(*) FROM job GROUP BY step, operation")
    return [tuple(row) for row in rows]


@checked
def step_counts(reader: LedgerReader) -> dict[str, dict[JobStatus, int]]:
    """Number of jobs by step, in plan order, and status."""
    return _status_counts(reader, "step")


@checked
def model_counts(reader: LedgerReader) -> dict[str, dict[JobStatus, int]]:
    """Number of jobs by operation, in plan order, and status."""
    return _status_counts(reader, "operation")


@checked
def compares_models(reader: LedgerReader) -> bool:
    """Whether a step calls several operations."""
    several = "SELECT 1 FROM job GROUP BY step HAVING min(operation) < max(operation) LIMIT 1"
    return bool(reader.sums(several))


def _status_counts(reader: LedgerReader, column: str) -> dict[str, dict[JobStatus, int]]:
    """Number of jobs by a column, in plan order, and status."""
    by_name: dict[str, dict[JobStatus, int]] = {}
    for name, status, number, _ in reader.sums(
        f"SELECT {column}, status, count(*), min(position) AS first FROM job "  # noqa: S608  # ours
        f"GROUP BY {column}, status ORDER BY first"
    ):
        by_name.setdefault(name, {})[JobStatus(status)] = number
    return by_name


@checked
def left_out(reader: LedgerReader) -> dict[str, dict[JobStatus, int]]:
    """Number of open jobs that the last run was not about, by operation and status."""
    by_name: dict[str, dict[JobStatus, int]] = {}
    for name, status, number in reader.sums(
        "SELECT operation, status, count(*) FROM job "  # noqa: S608  # ours
        f"WHERE {reader.is_left_out} GROUP BY operation, status"
    ):
        by_name.setdefault(name, {})[JobStatus(status)] = number
    return by_name


@checked
def open_steps(reader: LedgerReader) -> list[StepTotal]:
    """The steps that have open jobs, by the operation that these call, in plan order."""
    rows = reader.sums(
        "SELECT step, operation, "  # noqa: S608
        "sum(status IN ('waiting', 'pending', 'submitting', 'submitted') "
        f"{reader.not_held}) AS jobs, "
        f"sum({reader.units.paid}) AS units, unit_price, currency FROM {reader.jobs} "
        "GROUP BY step, operation, unit_price, currency ORDER BY min(position)"
    )
    by_step: dict[str, list[Any]] = {}
    for row in rows:
        by_step.setdefault(row["step"], []).append(row)
    return [
        StepTotal(
            step,
            _by_operation(of_step),
            jobs,
            tuple(sum_rows((row["currency"], row["unit_price"], row["units"]) for row in of_step)),
        )
        for step, of_step in by_step.items()
        if (jobs := sum(row["jobs"] for row in of_step))
    ]


def _by_operation(rows: Iterable[Any]) -> Mapping[str, int]:
    jobs = Counter[str]()
    for row in rows:
        jobs[row["operation"]] += row["jobs"]
    return +jobs


def cached_count(reader: LedgerReader) -> int:
    """Number of jobs whose result came from the cache."""
    return int(reader.sums(f"SELECT count(*) FROM {reader.jobs} WHERE cached")[0][0])  # noqa: S608


def may_be_paid(reader: LedgerReader, *, since: str, only_tasks: bool = False) -> int:
    """How many jobs were sent and are not settled; `unknown` ones only after `since`."""
    some = "AND coalesce(task_id, answer) IS NOT NULL" if only_tasks else ""
    return int(
        reader.row(
            "SELECT count(*) FROM job WHERE (status IN ('submitting', 'submitted') "  # noqa: S608
            f"OR (status = 'unknown' AND submitted_at > ?)) {some}",
            (since,),
        )[0]
    )


@checked
def spent(reader: LedgerReader, *, operation: str | None = None) -> list[Money]:
    """What ended jobs cost, by currency; all of them, or those of one operation."""
    rows = reader.sums(
        f"SELECT currency, unit_price, sum({reader.units.paid}) FROM job "  # noqa: S608
        "WHERE ?1 IS NULL OR operation = ?1 GROUP BY currency, unit_price",
        (operation,),
    )
    return sum_rows(rows)


@checked
def in_doubt(reader: LedgerReader) -> list[Money]:
    """What creates would cost that may have been accepted and paid, by currency."""
    rows = reader.sums(
        "SELECT currency, unit_price, "  # noqa: S608  # ours
        f"sum({reader.units.planned} * ((status IN {_DOUBTFUL}) + {reader.repeats})) FROM job "
        f"WHERE status IN {_DOUBTFUL} OR {reader.repeats} > 0 GROUP BY currency, unit_price"
    )
    return sum_rows(rows)


@checked
def repeated(reader: LedgerReader) -> tuple[int, list[Money]]:
    """How many creates were sent again after their answers were lost, and what the lost ones cost.

    They cost that at most: nobody can tell which of them were accepted.
    """
    rows = reader.sums(
        f"SELECT currency, unit_price, sum({reader.units.planned} * {reader.repeats}), "  # noqa: S608  # ours
        f"sum({reader.repeats}) FROM job "
        f"WHERE {reader.repeats} > 0 GROUP BY currency, unit_price"
    )
    return sum(row[3] for row in rows), sum_rows(row[:3] for row in rows)


@checked
def retried(reader: LedgerReader) -> dict[str, int]:
    """How many failed tasks were tried again, by their error codes, the commonest first."""
    rows = reader.sums(
        "SELECT coalesce(error_code, ''), count(*) AS tasks FROM attempt "
        "WHERE phase = 'end' AND outcome = ? GROUP BY 1 ORDER BY tasks DESC",
        (RETRIED,),
    )
    return {code: int(number) for code, number in rows}


@checked
def committed(reader: LedgerReader, *, currency: str) -> tuple[Decimal, Decimal]:
    """What ended jobs cost, and what jobs that may be paid already will cost."""
    paid = under_way = Decimal(0)
    for price, units, wanted in reader.sums(
        f"SELECT unit_price, sum({reader.units.paid}), "  # noqa: S608
        f"sum({reader.units.planned} * "
        f"((status IN ('submitting', 'submitted', 'unknown')) + {reader.repeats})) "
        "FROM job WHERE currency = ? GROUP BY unit_price",
        (currency,),
    ):
        paid += Decimal(price) * units
        under_way += Decimal(price) * wanted
    return paid, under_way


@checked
def cost_to_send(reader: LedgerReader) -> list[Money]:
    """What the pending jobs will cost, by currency."""
    rows = reader.sums(
        f"SELECT currency, unit_price, sum({reader.units.planned}) FROM {reader.jobs} "  # noqa: S608
        f"WHERE status IN ('waiting', 'pending') {reader.not_held} GROUP BY currency, unit_price"
    )
    return sum_rows(rows)


def errors(reader: LedgerReader, limit: int) -> list[tuple[str, str, int]]:
    """The commonest errors of jobs: code, message, number. Skipped jobs have none of their own."""
    rows = reader.sums(
        f"SELECT error_code, error_message, count(*) AS jobs FROM {reader.jobs} "  # noqa: S608
        "WHERE error_code IS NOT NULL AND status NOT IN ('succeeded', 'pending', 'skipped') "
        "GROUP BY 1, 2 ORDER BY jobs DESC LIMIT ?",
        (limit,),
    )
    return [tuple(row) for row in rows]


def skipped(reader: LedgerReader, limit: int) -> list[tuple[str, int]]:
    """Why jobs were skipped, the commonest first, and how many for each reason.

    What was skipped for a job that was itself skipped has one reason, and what is beyond `limit`.
    """
    if not reader.knows_edges():
        return []
    of_skipped = (
        "EXISTS (SELECT 1 FROM edge JOIN job AS parent ON parent.job_id = edge.parent_id "
        "WHERE edge.job_id = job.job_id AND takes IS NOT NULL AND parent.status = 'skipped')"
    )
    rows = reader.sums(
        f"SELECT iif({of_skipped}, NULL, error_message) AS why, count(*) AS jobs "  # noqa: S608
        f"FROM {reader.jobs} WHERE status = 'skipped' GROUP BY 1 "
        "ORDER BY why IS NULL, jobs DESC, min(position)"
    )
    told = [(row["why"] or "they build on skipped jobs", row["jobs"]) for row in rows]
    rest = sum(number for _, number in told[limit:])
    return told[:limit] + ([("for other jobs", rest)] if rest else [])


@checked
def unknown(reader: LedgerReader, limit: int) -> list[tuple[str, str, str]]:
    """Jobs that may be paid: the name of their first file, when it was sent, and the doubt."""
    rows = reader.sums(
        "SELECT step, stems, submitted_at, error_message "  # noqa: S608
        f"FROM {reader.jobs} WHERE status = 'unknown' ORDER BY position LIMIT ?",
        (limit,),
    )
    return [(names_of(row)[0], row["submitted_at"] or "", row["error_message"]) for row in rows]


def sum_rows(rows: Iterable[Sequence[Any]]) -> list[Money]:
    """Sums by currency of rows of (currency, price, units)."""
    return sum_money(
        Money(amount=Decimal(price) * units, currency=currency) for currency, price, units in rows
    )
