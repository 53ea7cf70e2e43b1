"""The values of an axis that runs through a step: what templates know of the rows above.

A value has no late part: a template that reaches for one by another way than its name finds
nothing there.
"""

from collections.abc import Mapping
from typing import Any

from dsrun.common.models import Json, Parent


class StepRow(dict[str, Any]):
    """A row of a step, or one file of it, or a group of rows, as a mapping for templates."""

    __slots__ = ("_depth", "_files", "_parent", "_plain")

    def __init__(
        self, values: Mapping[str, Any], *, plain: Json, parent: Parent | None, files: int,
        depth: int,
    ) -> None:  # fmt: skip
        """`plain`: as it is recorded; `parent` is without its axis, None for a group.

        `files`: how many the row asks for; `depth`: of the job that makes it.
        """
        super().__init__(values)
        self._plain = plain
        self._parent = parent
        self._files = files
        self._depth = depth


def plain(value: Json) -> Json:
    """The value of an axis as it is recorded."""
    return value._plain if isinstance(value, StepRow) else value  # noqa: SLF001  # no template sees it


def plain_row(row: Mapping[str, Json]) -> dict[str, Json]:
    return {name: plain(value) for name, value in row.items()}


def late_names(row: StepRow) -> list[str]:
    """What templates can read of a value besides its parts, once its jobs have ended."""
    if parent_of(row) is None:
        return ["artifacts"]
    return ["output"] if "artifact" in row else ["artifact", "artifacts", "output"]


def files_of(row: StepRow) -> int:
    return row._files  # noqa: SLF001  # as above


def depth_of(row: StepRow) -> int:
    return row._depth  # noqa: SLF001  # as above


def parent_of(row: StepRow) -> Parent | None:
    """The job that makes a row, without the name of an axis; None for a group."""
    return row._parent  # noqa: SLF001  # as above
