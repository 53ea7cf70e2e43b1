"""What the request of a job is expected to cost, and what was set aside for it. Pure."""

from decimal import Decimal

from dsrun.common.models import OpenJob
from dsrun.engine.control import Reserved
from dsrun.service.operation import Operation
from dsrun.service.request import planned_units


def planned_amount(job: OpenJob, operation: Operation) -> Decimal:
    """What the request of a job is expected to cost; zero where nobody can tell.

    The plan has read how long a local file plays; its address in the request does not tell.
    """
    units = planned_units(job.request, operation)
    if units is None or 0 < job.planned < units:
        units = job.planned
    return operation.price.of(units).amount


def reserved_before(job: OpenJob, operation: Operation) -> Reserved:
    """What an earlier run has set aside for a job that it sent."""
    return Reserved(planned_amount(job, operation), job.submitted_at or "")
