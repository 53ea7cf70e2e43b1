"""Reading from a ledger which files were uploaded, and where to."""

import sqlite3
from pathlib import Path

from dsrun.common.sqlite import connect_readonly, disk_error

_SCHEME = "oss://"  # of every address that the service gives


class LedgerUploads:
    """The addresses of uploaded files. It connects when it is asked first: most runs never do."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._db: sqlite3.Connection | None = None

    def close(self) -> None:
        if self._db is not None:
            self._db.close()

    def find(self, sha256: str, *, model: str, endpoint: str, since: str) -> str | None:
        """The address of a content that was uploaded after `since`. Raises SetupError."""
        try:
            if self._db is None:
                self._db = connect_readonly(self._path)  # which never makes the file anew
            row = self._db.execute(
                "SELECT url FROM upload WHERE sha256 = ? AND model = ? AND endpoint = ? "
                "AND uploaded_at > ?",
                (sha256, model, endpoint, since),
            ).fetchone()
        except sqlite3.Error as error:
            raise disk_error(error, self._path) from error
        url = None if row is None else str(row["url"])
        return url if url is not None and url.startswith(_SCHEME) else None
