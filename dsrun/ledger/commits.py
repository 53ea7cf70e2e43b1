"""What the ledger still commits when its disk is full, or its directory has been moved or replaced.

Then nothing new may begin, and what was sent must be recorded: the answers of creates go first.
"""

import sqlite3
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from pathlib import Path

from dsrun.common.errors import GroundLost, SetupError
from dsrun.common.sqlite import NoRoom, beside
from dsrun.ledger.writes import Kind, Row, Write
from dsrun.storage.ground import Ground
from dsrun.storage.layout import RunLayout
from dsrun.storage.reserve import Reserve

Results = Sequence[BaseException | None]

_ANSWERS = frozenset((Kind.TASK, Kind.ANSWER, Kind.LOST, Kind.REFUSAL))


class Commits:
    """Decides on the writer's thread which writes of a group are committed."""

    def __init__(
        self, path: Path, db: sqlite3.Connection, *, commit: Callable[[Sequence[Write]], Results]
    ) -> None:
        """`commit` is one transaction for a group, which fails as a whole."""
        log = beside(path, "-wal")
        self._db = db
        self._commit = commit
        self._ground = Ground(
            folders=[path.parent],
            files=[RunLayout.of(path.parent).lock, path, log, beside(path, "-shm")],
        )
        self._reserve = Reserve(path.parent, log=log)
        self._fault: SetupError | None = None
        self.unrecorded: list[Row] = []  # tasks and answers that the ledger could not take

    def close(self) -> None:
        if not self._ground.lost():
            self._reserve.remove()
        self._ground.close()

    def keep_room(self, creates: int) -> None:
        """Keep room for the answers of so many creates. Raises SetupError where there is none."""
        self._reserve.hold(creates)

    def lost(self) -> str:
        """Why nobody would find what is written now; an empty text while all is where it was."""
        return self._ground.lost()

    def commit(self, group: Sequence[Write]) -> Results:
        """One result for each write of the group."""
        if words := self._ground.lost():
            self._fault = GroundLost(words)
        if self._fault is None:
            results = self._commit(group)
            fault = results[0]
            if not isinstance(fault, NoRoom):
                return results
            self._fault = fault
            self._make_room()
        return self._settle(group, self._fault)

    def _make_room(self) -> None:
        self._reserve.give_up()
        with suppress(sqlite3.Error):  # a log whose pages are all in the database begins anew
            self._db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()

    def _settle(self, group: Sequence[Write], fault: SetupError) -> Results:
        """Record what was sent, then the rest where it would be found again. Begin nothing."""
        results: list[BaseException | None] = [fault] * len(group)
        answers = [place for place, write in enumerate(group) if _has(write, _ANSWERS)]
        others = [
            place
            for place, write in enumerate(group)
            if place not in answers and not _has(write, (Kind.INTENT,))
        ]
        for places in (answers, [] if isinstance(fault, GroundLost) else others):
            if places:
                ends = self._commit([group[place] for place in places])
                for place, end in zip(places, ends, strict=True):
                    results[place] = end
        for write, end in zip(group, results, strict=True):
            if end is not None:
                self.unrecorded += [
                    part
                    for part in write
                    if isinstance(part, Row) and part.kind in (Kind.TASK, Kind.ANSWER)
                ]
        return results


def _has(write: Write, kinds: Collection[Kind]) -> bool:
    return any(isinstance(part, Row) and part.kind in kinds for part in write)
