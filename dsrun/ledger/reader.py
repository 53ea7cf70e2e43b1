"""What every reading of a ledger stands on: its file, its pages, and which jobs are chosen."""

import sqlite3
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

import orjson

from dsrun.common.errors import ExitCode, SetupError
from dsrun.common.models import JobStatus
from dsrun.common.sqlite import READ_FAULTS, DamagedLedger, OwnFile, UntouchedFile, disk_error
from dsrun.ledger.check import check_content, check_facts, check_seal
from dsrun.ledger.schema import VERSION
from dsrun.ledger.tail import Head, read_head
from dsrun.storage.layout import is_below

_PAGE = 500

Row = sqlite3.Row


P = ParamSpec("P")
R = TypeVar("R")
Reader = TypeVar("Reader", bound="LedgerReader")


class NoLedger(SetupError):
    """There is no ledger at this place."""

    exit_code = ExitCode.INVALID


class LedgerReader:
    """A read connection to a ledger."""

    def __init__(self, path: Path, *, live: bool = False, thorough: bool = False) -> None:
        """`live`: this process writes the ledger too. Else nothing beside it is touched.

        A ledger that is not live is checked, without sparing if `thorough`. Raises SetupError where
        there is no readable ledger, DamagedLedger where it is not as it was written.
        """
        if not path.is_file():
            raise NoLedger(f"{path} is not there; name a run directory or a pipeline that ran")
        self._path = path
        self._has_chosen = False
        self._not_held = ""
        tail = None if live else read_head(path)  # before the ledger, which is never behind it
        is_sealed = live or check_seal(path, thorough=thorough)
        self._file = OwnFile(path) if live else UntouchedFile(path)
        try:
            self._check(is_sealed=is_sealed, tail=tail, thorough=thorough)
        except BaseException:
            self.close()
            raise

    def _check(self, *, is_sealed: bool, tail: Head | None, thorough: bool) -> None:
        path = self._path
        version = self._one("PRAGMA user_version")[0]
        if version > VERSION:
            raise SetupError(
                f"{path} has version {version}; this dsrun knows up to {VERSION}. Update dsrun."
            )
        if not is_sealed:
            check_content(self._file.connection(), path, thorough=thorough)
        check_facts(self._file.connection(), path, tail.facts if tail else None)
        if not version:
            raise NoLedger(f"{path} is empty: its first run is just starting, or never began")

    def close(self) -> None:
        self._file.close()

    def _all(self, sql: str, values: Sequence[Any] = ()) -> list[Any]:
        try:
            return self._file.connection().execute(sql, values).fetchall()
        except READ_FAULTS as error:
            raise disk_error(error, self._path) from error

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Around what takes rows apart: a value that has not its form is damage, and told so."""
        try:
            yield
        except (ValueError, ArithmeticError, TypeError, LookupError) as error:
            raise DamagedLedger(self._path, f"a row has not its form ({error})") from error

    def _one(self, sql: str, values: Sequence[Any] = ()) -> Any:
        return next(iter(self._all(sql, values)), None)

    def choose(self, pages: Iterable[Sequence[str]]) -> None:
        """From now on `counts`, `cost_to_send`, `open_jobs` and `errors` speak of these jobs alone.

        `pages` are lists of job ids. The choice is a temporary table: it may be of any size.
        """
        self._all("CREATE TEMP TABLE chosen (position INTEGER PRIMARY KEY)")
        for page in pages:
            self._all(
                "INSERT OR IGNORE INTO chosen SELECT position FROM job "
                "WHERE job_id IN (SELECT value FROM json_each(?))",
                (orjson.dumps(page).decode(),),
            )
        self._has_chosen = True

    def hold(self, pages: Iterable[Collection[str]]) -> int:
        """From now on `open_jobs` and `open_steps` pass over these jobs, and over no others.

        `pages` are ids of jobs that have no task. Gives their number.
        """
        self._all("CREATE TEMP TABLE IF NOT EXISTS held (position INTEGER PRIMARY KEY)")
        self._all("DELETE FROM held")
        for page in pages:
            self._all(
                "INSERT OR IGNORE INTO held SELECT position FROM job "
                "WHERE status IN ('pending', 'submitting') "
                "AND job_id IN (SELECT value FROM json_each(?))",
                (orjson.dumps(list(page)).decode(),),
            )
        number = int(self._one("SELECT count(*) FROM held")[0])
        self._not_held = "AND job.position NOT IN (SELECT position FROM held)" if number else ""
        return number

    def ids(self, *statuses: JobStatus) -> Iterator[list[str]]:
        """Ids of the jobs of these statuses, page by page."""
        wanted = orjson.dumps(statuses).decode()
        last = -1
        while rows := self._all(
            f"SELECT position, job_id FROM {self._jobs} WHERE position > ? "  # noqa: S608
            "AND status IN (SELECT value FROM json_each(?)) ORDER BY position LIMIT ?",
            (last, wanted, _PAGE),
        ):
            yield [row["job_id"] for row in rows]
            last = rows[-1]["position"]

    @property
    def _jobs(self) -> str:
        """What to select from: the chosen jobs, or all."""
        return "chosen CROSS JOIN job USING (position)" if self._has_chosen else "job"

    def _beside(
        self, page: Sequence[sqlite3.Row], table: str, order: str
    ) -> dict[str, list[sqlite3.Row]]:
        """The rows of another table that belong to a page of jobs, by job id."""
        found: dict[str, list[sqlite3.Row]] = {}
        for row in self._all(
            f"SELECT other.* FROM job JOIN {table} AS other USING (job_id) "  # noqa: S608
            f"WHERE job.position BETWEEN ? AND ? ORDER BY job.position, {_of_other(order)}",
            (page[0]["position"], page[-1]["position"]),
        ):
            found.setdefault(row["job_id"], []).append(row)
        return found

    def _pages(self, columns: str) -> Iterator[list[sqlite3.Row]]:
        """Jobs in plan order; no cursor stays open while the caller works."""
        last = -1
        while rows := self._all(
            f"SELECT position, {columns} FROM job WHERE position > ? "  # noqa: S608
            f"ORDER BY position LIMIT {_PAGE}",
            (last,),
        ):
            yield rows
            last = rows[-1]["position"]


def inner(path: str) -> str:
    """The path of an artifact, below the run directory. Raises SetupError where it is not."""
    if not is_below(path):
        raise SetupError(
            f"the ledger is damaged: the path {path!r} of a file leads out of the run directory. "
            "Nothing was read or written there; restore the ledger from a backup."
        )
    return path


def taking_apart(
    method: Callable[Concatenate[Reader, P], R],
) -> Callable[Concatenate[Reader, P], R]:
    """For a method that makes values of rows: a row without its form is told as damage."""

    def guarded(reader: Reader, /, *args: P.args, **kwargs: P.kwargs) -> R:
        with reader.reading():
            return method(reader, *args, **kwargs)

    guarded.__doc__ = method.__doc__
    return guarded


def _of_other(columns: str) -> str:
    return ", ".join(f"other.{column.strip()}" for column in columns.split(","))


def as_dict(row: sqlite3.Row) -> dict[str, Any]:
    return {key: row[key] for key in row.keys()}  # noqa: SIM118  # a Row iterates over values
