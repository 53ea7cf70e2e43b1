"""Compares any number of jobs: equal ones, chosen ones, clashing names, and those of earlier runs.

All in little memory: temporary SQLite databases without a name live in their page cache and spill
to disk.
"""

import sqlite3
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from types import TracebackType
from typing import NamedTuple, Protocol, Self

from dsrun.common.digest import json_text
from dsrun.common.models import Job
from dsrun.planning.seen_keys import SeenKeys


class Clash(NamedTuple):
    """Two jobs of a step that would write the same file."""

    step: str
    first_index: int
    second_index: int


@dataclass(frozen=True, slots=True)
class ChosenJob:
    """The fields of a Job that are kept when a selection picks it."""

    job_id: str
    step: str
    operation: str
    index: int
    units: int | None
    needs: tuple[str, ...] = ()  # ids of the jobs that it waits for
    is_bound: bool = False
    is_needed: bool = False  # it is not picked itself, and what is waits for it


_PAGE = 500
_NEWEST = 10_000  # ids that are stored together
_NO_ENDINGS: Mapping[str, Sequence[str]] = {}
_SETTINGS = "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA cache_size = -8000;"


class ChosenJobs:
    """The jobs that a selection picks, each once, in plan order. Close it with `close()`."""

    def __init__(self) -> None:
        self._db = sqlite3.connect("", isolation_level=None)
        self._db.executescript(
            f"{_SETTINGS} CREATE TABLE job (number INTEGER PRIMARY KEY, id TEXT UNIQUE, step TEXT, "
            "operation TEXT, idx INT, units INT, needs TEXT, bound INT, lot BLOB, part INT); "
            "CREATE TABLE edge (child INT, parent INT, PRIMARY KEY (child, parent)) WITHOUT ROWID; "
            "BEGIN;"
        )
        self._count = 0

    def close(self) -> None:
        self._db.close()

    def __len__(self) -> int:
        return self._count

    def add(self, job: Job, *, lot: bytes | None = None) -> None:
        """Add a job unless it is here already; a sample takes the smallest lots."""
        self._count += self._note(job, lot, _CHOSEN)

    def keep_in_mind(self, job: Job) -> None:
        """A job that is not picked, which those that are picked may wait for."""
        self._note(job, None, _SPARE)

    def add_needed(self) -> None:
        """Add all that the chosen jobs wait for, and what those wait for."""
        self._count += self._db.execute(_ADD_NEEDED, (_NEEDED, _SPARE, _CHOSEN)).rowcount

    def keep_sample(self, size: int) -> None:
        """Drop all but the `size` smallest lots."""
        self._keep("lot, number", size)

    def keep_first(self, count: int) -> None:
        self._keep("number", count)

    def pages(self) -> Iterator[list[ChosenJob]]:
        last = 0
        columns = "id, step, operation, idx, units, needs, bound, part, number"
        sql = (
            f"SELECT {columns} FROM job WHERE number > ? AND part <> ? "  # noqa: S608
            "ORDER BY number LIMIT ?"
        )
        while rows := self._db.execute(sql, (last, _SPARE, _PAGE)).fetchall():
            yield [_chosen(*row[:-1]) for row in rows]
            last = rows[-1][-1]

    def ids(self) -> Iterator[list[str]]:
        """The ids of each page."""
        return ([job.job_id for job in page] for page in self.pages())

    def among(self, job_ids: Sequence[str]) -> set[str]:
        """The ids that are chosen, out of these."""
        return self._ids_where("part <> ?", _SPARE, job_ids)

    def needed(self, job_ids: Sequence[str]) -> set[str]:
        """The ids that only came along, out of these."""
        return self._ids_where("part = ?", _NEEDED, job_ids)

    def _ids_where(self, condition: str, part: int, job_ids: Sequence[str]) -> set[str]:
        marks = ",".join("?" * len(job_ids))
        sql = f"SELECT id FROM job WHERE {condition} AND id IN ({marks})"  # noqa: S608  # ours, and question marks
        return {row[0] for row in self._db.execute(sql, (part, *job_ids))}

    def _note(self, job: Job, lot: bytes | None, part: int) -> int:
        """Returns how many jobs this adds to the part."""
        values = (
            job.job_id, job.step, job.operation, job.index, job.units, " ".join(job.needs),
            job.is_bound, lot, part,
        )  # fmt: skip
        added = self._db.execute(_NOTE, values).rowcount
        self._db.executemany(_ADD_EDGE, [(job.job_id, parent) for parent in job.needs])
        return added

    def _keep(self, order: str, count: int) -> None:
        sql = f"UPDATE job SET part = ? WHERE number IN ({_CHOSEN_BY} {order} LIMIT -1 OFFSET ?)"  # noqa: S608  # columns
        values = (_SPARE, _CHOSEN, count)
        self._count -= self._db.execute(sql, values).rowcount


def _chosen(  # noqa: PLR0917  # the columns of a row
    job_id: str, step: str, operation: str, index: int, units: int | None, needs: str, bound: int,
    part: int,
) -> ChosenJob:  # fmt: skip
    return ChosenJob(
        job_id, step, operation, index, units, tuple(needs.split()), bool(bound), part == _NEEDED
    )


_SPARE, _CHOSEN, _NEEDED = 0, 1, 2  # parts of the jobs that were seen
_CHOSEN_BY = "SELECT number FROM job WHERE part = ? ORDER BY"
_NOTE = (
    "INSERT INTO job (id, step, operation, idx, units, needs, bound, lot, part) "
    "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) "
    "ON CONFLICT (id) DO UPDATE SET part = excluded.part, lot = excluded.lot "
    "WHERE part < excluded.part"
)
_ADD_EDGE = (
    "INSERT OR IGNORE INTO edge SELECT child.number, parent.number FROM job AS child, "
    "job AS parent WHERE child.id = ? AND parent.id = ?"
)
# It begins with UPDATE, or sqlite3 would not count its rows.
_ADD_NEEDED = """UPDATE job SET part = ?1 WHERE part = ?2 AND number IN (
    WITH RECURSIVE above (number) AS (
        SELECT edge.parent FROM edge JOIN job ON job.number = edge.child WHERE part = ?3
        UNION SELECT edge.parent FROM edge JOIN above ON edge.child = above.number
    )
    SELECT number FROM above
)"""


class PlanIndex:
    """Takes jobs in batches; tells which are new, and which file names clash."""

    def __init__(self, *, endings: Mapping[str, Sequence[str]] = _NO_ENDINGS) -> None:
        """`endings`: what an operation's further kinds of files have after their names."""
        self._endings = endings
        self._db = sqlite3.connect("", isolation_level=None)
        self._db.executescript(
            _SETTINGS
            + """
            CREATE TABLE job (id BLOB PRIMARY KEY) WITHOUT ROWID;
            CREATE TABLE stem (key BLOB, job BLOB, step TEXT, idx INT);
            CREATE TABLE doubt (key BLOB PRIMARY KEY) WITHOUT ROWID;
            BEGIN;
            """
        )
        self._seen_ids, self._seen_keys = SeenKeys(), SeenKeys()
        self._newest: set[bytes] = set()  # ids that are not in the database yet

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self._db.close()

    def add(self, jobs: Sequence[Job]) -> list[bool]:
        """Whether each job is the first with its id."""
        ids = [bytes.fromhex(job.job_id)[:16] for job in jobs]
        self._add_stems(jobs, ids)
        doubtful = set(self._seen_ids.add(ids))
        there = self._known(doubtful) if doubtful else doubtful
        new = []
        for job_id in ids:
            new.append(job_id not in there)
            if job_id in doubtful:
                there.add(job_id)
        self._newest.update(ids)
        if len(self._newest) >= _NEWEST:
            self._store()
        return new

    def _known(self, ids: set[bytes]) -> set[bytes]:
        """Those of the ids that earlier calls have brought."""
        marks = ",".join("?" * len(ids))
        rows = self._db.execute(f"SELECT id FROM job WHERE id IN ({marks})", [*ids])  # noqa: S608  # only marks
        return (ids & self._newest).union(row[0] for row in rows)

    def _store(self) -> None:
        """In order, so that each part of the table is touched once, however long it is."""
        rows = [(job_id,) for job_id in sorted(self._newest)]
        self._db.executemany("INSERT OR IGNORE INTO job VALUES (?)", rows)
        self._newest.clear()

    def _add_stems(self, jobs: Sequence[Job], ids: Sequence[bytes]) -> None:
        rows = [
            (_stem_key(job.step, stem + end), job_id + bytes((number, kind)), job.step, job.index)
            for job, job_id in zip(jobs, ids, strict=True)
            for kind, end in enumerate(("", *self._endings.get(job.operation, ())))
            for number, stem in enumerate(job.stems)
        ]
        self._db.executemany("INSERT INTO stem VALUES (?, ?, ?, ?)", rows)
        doubtful = self._seen_keys.add(row[0] for row in rows)
        self._db.executemany("INSERT OR IGNORE INTO doubt VALUES (?)", [(key,) for key in doubtful])

    def clashes(self) -> list[Clash]:
        """The clashes, at most one a step."""
        return [Clash(*row) for row in self._db.execute(_CLASHES)]


# The first job that has a name, and the first other one that has it too, of each step.
_CLASHES = """
    WITH named AS (
        SELECT step, idx, rowid AS number, job, key, first_value(job) OVER same AS first_job,
            first_value(idx) OVER same AS first_idx
        FROM stem WHERE key IN (SELECT key FROM doubt)
        WINDOW same AS (PARTITION BY key ORDER BY rowid)
    ), clashing AS (
        SELECT step, first_idx, idx, min(number) FROM named WHERE job <> first_job GROUP BY key
    )
    SELECT step, min(first_idx), idx FROM clashing GROUP BY step
"""


class Seeds(NamedTuple):
    """What a job asks for: `units` results from `seed` on. `key`: of the request without both."""

    key: int
    seed: int
    units: int
    step: str
    replica: int


class Overlap(NamedTuple):
    """The results that requests of a step pay for, and how many seeds they have: fewer."""

    step: str
    paid: int
    seeds: int
    most: int  # units of one request
    is_repeated: bool  # whether replicas have equal seeds


class SeedIndex:
    """Takes the seeds of jobs, each job once; tells where two ask for the same results."""

    def __init__(self) -> None:
        self._db = sqlite3.connect("", isolation_level=None)
        self._db.executescript(
            f"{_SETTINGS} CREATE TABLE seeds (number INTEGER PRIMARY KEY, key INT, seed INT, "
            "units INT, step TEXT, replica INT); BEGIN;"
        )

    def close(self) -> None:
        self._db.close()

    def add(self, seeds: Iterable[Seeds]) -> None:
        sql = "INSERT INTO seeds (key, seed, units, step, replica) VALUES (?, ?, ?, ?, ?)"
        self._db.executemany(sql, seeds)

    def overlaps(self) -> dict[str, Overlap]:
        """The overlaps of each step; a request of several steps counts for the last of them."""
        return {row[0]: Overlap(*row) for row in self._db.execute(_OVERLAPS)}


# In each set of requests that differ in nothing else, by rising seeds: the seeds that none before
# has asked for.
_OVERLAPS = """
    WITH asked AS (
        SELECT *, lag(seed) OVER same AS before,
            max(seed + units) OVER (same ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS ended
        FROM seeds WINDOW same AS (PARTITION BY key ORDER BY seed)
    ), sets AS (
        SELECT max(number) AS last, sum(units) AS paid, max(units) AS most,
            sum(max(0, seed + units - max(seed, ifnull(ended, seed)))) AS seeds,
            max(replica) > 0 AND sum(seed = before) > 0 AS is_repeated
        FROM asked GROUP BY key HAVING paid > seeds
    )
    SELECT step, sum(paid), sum(sets.seeds), max(most), max(is_repeated)
    FROM sets JOIN seeds ON number = last GROUP BY step
"""


class EarlierJob(Protocol):
    """A job as an earlier run planned it; `matrix` is JSON text."""

    @property
    def job_id(self) -> str: ...
    @property
    def step(self) -> str: ...
    @property
    def index(self) -> int: ...
    @property
    def replica(self) -> int: ...
    @property
    def matrix(self) -> str: ...


class Difference(NamedTuple):
    """How many jobs of a plan and of an earlier run are only in one of them, or in both."""

    added: int
    removed: int
    changed: int
    same: int


class PlanDiff:
    """Compares the jobs of a plan, taken in batches, with those of an earlier run.

    A job is the same where its id is. Else it is the change of the job that had its row, or, where
    that row is gone, of the one that stood at its place; a job without either is new. Close it
    with `close()`.
    """

    def __init__(self, earlier: Iterable[Sequence[EarlierJob]]) -> None:
        self._db = sqlite3.connect("", isolation_level=None)
        self._db.executescript(
            _SETTINGS
            + """
            CREATE TABLE old (id TEXT PRIMARY KEY, key BLOB, step TEXT, idx INT, met INT);
            CREATE TABLE new (id TEXT PRIMARY KEY, key BLOB, step TEXT, idx INT, was TEXT);
            BEGIN;
            """
        )
        for page in earlier:
            self._db.executemany(
                "INSERT INTO old VALUES (?, ?, ?, ?, 0)",
                [
                    (job.job_id, _row_key(job.step, job.replica, job.matrix), job.step, job.index)
                    for job in page
                ],
            )
        self._same = 0

    def close(self) -> None:
        self._db.close()

    def add(self, jobs: Sequence[Job]) -> None:
        """Jobs of the plan, each once."""
        marks = ",".join("?" * len(jobs))
        rows = self._db.execute(
            f"UPDATE old SET met = 1 WHERE id IN ({marks}) RETURNING id",  # noqa: S608
            [job.job_id for job in jobs],
        )
        same = {row[0] for row in rows}
        self._same += len(same)
        self._db.executemany(
            "INSERT INTO new VALUES (?, ?, ?, ?, NULL)",
            [
                (
                    job.job_id,
                    _row_key(job.step, job.replica, json_text(job.matrix)),
                    job.step,
                    job.index,
                )
                for job in jobs
                if job.job_id not in same
            ],
        )

    def end(self) -> Difference:
        """After the last job: match what is not the same."""
        self._db.executescript(
            """
            CREATE INDEX old_key ON old (key) WHERE NOT met;
            CREATE INDEX old_place ON old (step, idx) WHERE NOT met;
            UPDATE new SET was = (SELECT id FROM old WHERE old.key = new.key AND NOT met);
            UPDATE old SET met = 1 WHERE id IN (SELECT was FROM new);
            UPDATE new SET was = (
                SELECT id FROM old WHERE old.step = new.step AND old.idx = new.idx AND NOT met
            ) WHERE was IS NULL;
            UPDATE old SET met = 1 WHERE id IN (SELECT was FROM new);
            """
        )
        changed, added = self._db.execute("SELECT count(was), sum(was IS NULL) FROM new").fetchone()
        removed = self._db.execute("SELECT count(*) FROM old WHERE NOT met").fetchone()[0]
        return Difference(added or 0, removed, changed, self._same)

    def differing(self) -> Iterator[list[tuple[str, bool]]]:
        """After `end`: the ids of jobs that are new or changed, and whether each is new."""
        rows = self._db.execute("SELECT id, was IS NULL FROM new")
        while page := rows.fetchmany(_PAGE):
            yield [(job_id, bool(is_new)) for job_id, is_new in page]

    def earlier_id(self, job_id: str) -> str | None:
        """The id that the job had; its own where it is the same, None where it is new."""
        row = self._db.execute("SELECT was FROM new WHERE id = ?", (job_id,)).fetchone()
        if row is None:
            return job_id
        return None if row[0] is None else str(row[0])


def _stem_key(step: str, stem: str) -> bytes:
    """A key that is equal for names that some file system takes for one: by case or composition."""
    name = f"{step}/{stem}"
    if not name.isascii():
        name = unicodedata.normalize("NFC", name)
    return blake2b(name.casefold().encode(), digest_size=16).digest()


def _row_key(step: str, replica: int, matrix: str) -> bytes:
    return blake2b(f"{step}/{replica}/{matrix}".encode(), digest_size=16).digest()
