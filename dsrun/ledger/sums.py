"""What a closed ledger adds up to, kept with its seal: a look at a million jobs then reads none.

An answer is known by its question, the text of its SQL, so that a newer dsrun with other questions
finds none and asks the ledger. Any write makes them void, and any edit breaks the seal.
"""

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from dsrun.common.digest import sha256_hex

_DIGITS = 24  # of a question's SHA-256


@dataclass(frozen=True, slots=True)
class Answer:
    """The names of the columns, and the rows."""

    names: Sequence[str]
    rows: Sequence[Sequence[Any]]


Answers = Mapping[str, Answer]


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """What is noted with the seal, and by which `version` of dsrun.

    `views`: size and time of each file that was made of the ledger; `again`: the command in them.
    """

    version: str = ""
    again: str = ""
    sums: Answers = field(default_factory=dict)
    views: Mapping[str, Sequence[int]] = field(default_factory=dict)

    def encoded(self) -> bytes:
        return orjson.dumps(self)


def read_as_note(text: bytes | None) -> Note:
    """A note that was written by `encoded`; an empty one where it was not."""
    try:
        values = orjson.loads(text or b"{}")
        sums = {key: Answer(**answer) for key, answer in values.pop("sums", {}).items()}
        return Note(**values, sums=sums)
    except (ValueError, TypeError, AttributeError):
        return Note()


def question(sql: str, values: Sequence[Any]) -> str:
    """What an answer is known by."""
    return sha256_hex(orjson.dumps([sql, list(values)]))[:_DIGITS]


def answer_of(rows: Sequence[sqlite3.Row]) -> Answer:
    return Answer(rows[0].keys() if rows else [], [tuple(row) for row in rows])


def rows_of(db: sqlite3.Connection, answer: Answer) -> list[Any]:
    """The rows as the ledger gave them."""
    if not answer.rows:
        return []
    columns = ", ".join(
        f'value ->> {number} AS "{name.replace(chr(34), chr(34) * 2)}"'
        for number, name in enumerate(answer.names)
    )
    text = orjson.dumps(answer.rows).decode()
    return db.execute(f"SELECT {columns} FROM json_each(?)", (text,)).fetchall()  # noqa: S608
