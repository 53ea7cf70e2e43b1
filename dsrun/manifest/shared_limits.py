"""Limits that several models share: the group that their operation files name."""

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import NamedTuple

from dsrun.common.units import Rate
from dsrun.manifest.execution import Execution
from dsrun.service.catalog import Catalog
from dsrun.service.operation import Operation


class SharedLimits(NamedTuple):
    """A group: its rate, and how many of its tasks may be open together; None: any number."""

    name: str
    members: Sequence[Operation]
    rate: Rate
    running: int | None


def shared_limits(catalog: Catalog, execution: Execution) -> Iterator[SharedLimits]:
    """The groups of a catalog.

    The members share the rate of the fastest of them: no page says that each has one of its own.
    """
    known = map(catalog.__getitem__, catalog.names)
    grouped = sorted((one for one in known if one.limits.group), key=_group)
    for name, grouping in groupby(grouped, key=_group):
        members = tuple(grouping)
        limits = [execution.limits_of(one) for one in members]
        bounds = [each.group_running for each in limits if each.group_running is not None]
        rate = max((each.rate for each in limits), key=lambda rate: rate.requests / rate.per_s)
        yield SharedLimits(name, members, rate, min(bounds, default=None))


def _group(operation: Operation) -> str:
    return operation.limits.group
