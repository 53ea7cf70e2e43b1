"""The rows of a plan, kept from its check until the ledger may have them: one walk makes both.

A check may find a problem, and a user may say no, so the ledger gets nothing before. The rows wait
in a temporary SQLite database without a name, which lives in its page cache and spills to disk.
"""

import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from itertools import islice

import orjson

from dsrun.common.models import Job, Json
from dsrun.ledger.writes import Kind, Row, Write, edge_rows, job_values
from dsrun.service.price import Price

Visit = Callable[[Job, bool], None]
_PAGE, _WALKED = 1000, 500
_SETTINGS = "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA cache_size = -2000;"


class CheckedRows:
    """Takes the jobs of a whole plan, in order, and gives what is written of them. Close it.

    `is_complete`: every job was taken, and is still here.
    """

    def __init__(self, prices: Mapping[str, Price], *, is_wanted: bool) -> None:
        """`prices` are by operation."""
        self._is_wanted = is_wanted
        self.is_complete = False
        self.count = 0  # rows of the plan
        self._prices = prices
        self._has_room = True
        self._new: list[list[Json]] = []  # the rows of Kinds, as they were made for this page
        self._twins: list[list[Json]] = []
        self._edges: list[list[Json]] = []
        self._db: sqlite3.Connection | None = None

    def close(self) -> None:
        self.is_complete = False
        if self._db is not None:
            self._db.close()

    @contextmanager
    def taking(self) -> Iterator[tuple[Visit, ...]]:
        """What each job of a plan is to be shown to, in the block; nothing where none is wanted."""
        self.is_complete, self.count = False, 0
        self._new, self._twins, self._edges = [], [], []
        if self._db is not None:
            self._db.execute("DELETE FROM page")
        if not self._is_wanted:
            yield ()
            return
        yield (self._add,)
        self._store()
        self.is_complete = self._has_room

    def _add(self, job: Job, is_new: bool) -> None:
        """`is_new`: no job before was equal."""
        values = [*job_values(job, self.count, self._prices[job.operation])]
        (self._new if is_new else self._twins).append(values)
        if job.parents:
            self._edges += ([*row.values] for row in edge_rows([job]))
        self.count += 1
        if not self.count % _PAGE:
            self._store()

    def pages(self) -> Iterator[tuple[int, Write]]:
        """What is to be written, in order, and of how many rows of the plan."""
        sql = "SELECT text FROM page ORDER BY number"
        for (text,) in self._db.execute(sql) if self._db else ():
            new, twins, edges = orjson.loads(text)
            kinds = ((Kind.JOB, new), (Kind.TWIN, twins), (Kind.EDGE, edges))
            page = tuple(Row(kind, values) for kind, rows in kinds for values in rows)
            yield len(new) + len(twins), page

    def _store(self) -> None:
        if not (self._new or self._twins):
            return
        text = orjson.dumps((self._new, self._twins, self._edges))
        self._new, self._twins, self._edges = [], [], []
        if self._db is None:
            self._db = sqlite3.connect("", isolation_level=None)
            self._db.executescript(
                f"{_SETTINGS} CREATE TABLE page (number INTEGER PRIMARY KEY, text BLOB); BEGIN;"
            )
        try:
            if self._has_room:
                self._db.execute("INSERT INTO page (text) VALUES (?)", (text,))
        except sqlite3.Error:  # the disk for temporary files is full: the plan is walked again
            self._has_room = False


def walked_pages(jobs: Iterator[Job], prices: Mapping[str, Price]) -> Iterator[tuple[int, Write]]:
    """The same for a ledger that may have some of the jobs; `prices` are by operation."""
    position = 0
    while batch := list(islice(jobs, _WALKED)):
        rows = [
            Row(Kind.JOB, job_values(job, position + number, prices[job.operation]))
            for number, job in enumerate(batch)
        ]
        yield len(batch), tuple(rows)
        yield 0, (*(Row(Kind.TWIN, row.values) for row in rows), *edge_rows(batch))
        position += len(batch)
