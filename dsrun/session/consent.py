"""What the user has let pipelines of this machine do at their end: a list of digests on disk."""

import re
from pathlib import Path

from dsrun.common.state_file import StateFile

_LINE = re.compile(rb"[0-9a-f]{64}")


class Consents:
    """`folder` is where dsrun keeps its state; None where the user has no home."""

    def __init__(self, folder: Path | None) -> None:
        self._file = StateFile(folder, "allowed-notices")

    def has(self, digest: str) -> bool:
        return digest.encode() in filter(_LINE.fullmatch, self._file.lines())

    def remember(self, digest: str) -> None:
        """Raises SetupError where the list cannot be written."""
        self._file.add(digest.encode())
