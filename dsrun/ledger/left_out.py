"""Jobs that the last run was not about: `--limit`, `--only` or picks of the manifest left them out.

They stay `pending` or `waiting` for a later run. The table has those that were open when the run
began; what has become of them since is in their status.
"""

from collections.abc import Iterable, Iterator, Sequence

from dsrun.common.digest import json_text

LEFT_OUT = "CREATE TABLE left_out (position INTEGER PRIMARY KEY) STRICT;"
IS_LEFT_OUT = (
    "(job.status IN ('waiting', 'pending') AND job.position IN (SELECT position FROM left_out))"
)
_ALL_OPEN = "INSERT INTO left_out SELECT position FROM job WHERE status IN ('waiting', 'pending')"
_BUT_THESE = (
    "DELETE FROM left_out WHERE position IN "
    "(SELECT position FROM job WHERE job_id IN (SELECT value FROM json_each(?)))"
)


def leaving_out(chosen: Iterable[Sequence[str]] | None) -> Iterator[tuple[str, tuple[str, ...]]]:
    """SQL that leaves out all open jobs but `chosen`, lists of ids; None leaves out none."""
    yield "DELETE FROM left_out", ()
    if chosen is not None:
        yield _ALL_OPEN, ()
        yield from ((_BUT_THESE, (json_text(page),)) for page in chosen)
