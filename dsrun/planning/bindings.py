"""What a late value is fit for, as far as the row above tells before it is there.

A designed voice speaks only with the model it was made for; where a picture is taken, no sound is.
"""

from collections.abc import Iterator, Mapping

from dsrun.common.late import Late
from dsrun.common.media import MEDIA
from dsrun.common.messages import show
from dsrun.common.models import Json
from dsrun.common.pointer import KeyPath, dotted, value_at
from dsrun.manifest.step_rows import StepRow, parent_of
from dsrun.planning.late_requests import LateValues
from dsrun.service.catalog import Catalog
from dsrun.service.operation import Operation
from dsrun.service.request import upload_field_at


def unfit_files(
    request: Json, late: LateValues, rows: Mapping[str, StepRow], *, operation: Operation,
    catalog: Catalog,
) -> Iterator[tuple[KeyPath, str]]:  # fmt: skip
    """Each file that is of another kind than its field takes, with what is wrong."""
    for at, value in late.items():
        if not isinstance(value, Late) or value.file is None:
            continue
        row, field = rows[value.job_id], upload_field_at(operation, request, at)
        media, parent = catalog[row["operation"]].main.media, parent_of(row)
        if parent and field and media != field.media:
            made, allowed = MEDIA[media].name, MEDIA[field.media].name
            yield at, f"{parent.step} makes files of kind {made}; allowed: {allowed}"


def broken_bindings(
    request: Json, late: LateValues, rows: Mapping[str, StepRow], catalog: Catalog
) -> Iterator[tuple[KeyPath, str]]:
    """Each late value that belongs to something else than the request has, with what is wrong.

    `rows` are those that the values come from, by job id.
    """
    for at, value in late.items():
        if not isinstance(value, Late) or value.at is None:
            continue
        row, output = rows[value.job_id], value.at.rpartition("/")[2]
        parent, rules = parent_of(row), catalog[row["operation"]].output_rules
        for own, other in rules[output].binds.items() if output in rules else ():
            made_for, used = value_at(row["request"], own), value_at(request, other)
            if parent and made_for is not None and used is not None and made_for != used:
                yield (
                    at,
                    (
                        f"{output} of {parent.step} belongs to {dotted(own)} {show(made_for)}, and "
                        f"{dotted(other)} is {show(used)} here; allowed: the same value"
                    ),
                )
