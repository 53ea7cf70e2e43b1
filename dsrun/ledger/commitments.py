"""What ledgers say was paid or may be paid, by the time at which it was asked for.

What is sent counts from the intent on, at its planned price; what has ended, at what it cost. A
job that was sent several times counts as a whole at the time of the last.
"""

from decimal import Decimal
from typing import NamedTuple

from dsrun.common.units import Money
from dsrun.ledger.reader import LedgerReader, checked

_BUCKET = 15  # characters of a stamp: ten minutes


class Commitment(NamedTuple):
    """What was asked for within ten minutes, `at` by the beginning of their stamps."""

    at: str
    cost: Money


def bucket_of(stamp: str) -> str:
    """The ten minutes that a moment is in."""
    return stamp[:_BUCKET]


@checked
def commitments(reader: LedgerReader) -> list[Commitment]:
    """Those of one ledger.

    A create in doubt that was given up for another one may be paid all the same.
    """
    rows = reader.rows(
        f"SELECT substr(coalesce(submitted_at, ended_at, ''), 1, {_BUCKET}) AS at, "  # noqa: S608
        f"currency, unit_price, sum({reader.units.paid} + {reader.units.planned} * "
        f"((status IN ('submitting', 'submitted', 'unknown')) + {reader.repeats})) AS units "
        "FROM job GROUP BY at, currency, unit_price UNION ALL "
        f"SELECT substr(at, 1, {_BUCKET}) AS at, currency, unit_price, "
        f"sum({reader.units.planned}) AS units FROM attempt JOIN job USING (job_id) "
        "WHERE outcome = 'abandoned' GROUP BY 1, currency, unit_price"
    )
    return [
        Commitment(row["at"], Money(amount=cost, currency=row["currency"]))
        for row in rows
        if (cost := Decimal(row["unit_price"]) * row["units"])
    ]
