"""A ledger as an older dsrun has left it."""

import sqlite3
from contextlib import closing
from pathlib import Path

from dsrun.ledger.schema import MIGRATIONS, tables_of


def downgrade(ledger: Path, version: int) -> None:
    """Make the ledger one of an older version, which knows less."""
    old = ledger.with_name("old")
    with closing(sqlite3.connect(ledger)) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    with closing(sqlite3.connect(old, isolation_level=None)) as db:
        for step in MIGRATIONS[:version]:
            db.executescript(step)
        db.execute("ATTACH ? AS new", (str(ledger),))
        for table in tables_of(version):
            known = [row[1] for row in db.execute(f"PRAGMA table_info({table})")]
            columns = ", ".join(known)
            db.execute(f"DELETE FROM main.{table}")
            db.execute(f"INSERT INTO main.{table} SELECT {columns} FROM new.{table}")
        db.execute(f"PRAGMA user_version = {version}")
    old.replace(ledger)
