"""Local files that were uploaded, and the addresses that the service gave them."""

import asyncio
from abc import abstractmethod

from dsrun.ledger.reader import LedgerReader
from dsrun.ledger.writes import Row, Statement

_UPLOADED = "oss://"  # how every address begins that the service gives


class UploadRows:
    """What `Ledger` can do with uploads."""

    view: LedgerReader
    _endpoint: str

    @abstractmethod
    def _write(self, *write: Row | Statement) -> "asyncio.Future[None]": ...

    def find_upload(self, sha256: str, *, model: str, since: str) -> str | None:
        """The address of a file that was uploaded after `since` for a model of this endpoint."""
        row = self.view.row(
            "SELECT url FROM upload WHERE sha256 = ? AND model = ? AND endpoint = ? "
            "AND uploaded_at > ?",
            (sha256, model, self._endpoint, since),
        )
        url = None if row is None else str(row["url"])
        return url if url is not None and url.startswith(_UPLOADED) else None

    async def record_upload(self, sha256: str, *, model: str, url: str, at: str) -> None:
        await self._write(
            Statement(
                "INSERT INTO upload VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET "
                "url = excluded.url, uploaded_at = excluded.uploaded_at",
                (sha256, model, self._endpoint, url, at),
            )
        )

    async def forget_upload(self, sha256: str, *, model: str) -> None:
        await self._write(
            Statement("DELETE FROM upload WHERE sha256 = ? AND model = ?", (sha256, model))
        )

    async def forget_uploads(self) -> None:
        """The host that kept the uploaded files is gone, and the one that kept results."""
        await self._write(Statement("DELETE FROM upload", ()), Statement("DELETE FROM address", ()))
