"""The output roots of this machine. Their ledgers know tasks that a lost create must not adopt."""

import os
from pathlib import Path

from dsrun.common.errors import SetupError
from dsrun.common.state_file import StateFile


class OutputRoots:
    """A list of folders on disk; `folder` is where dsrun keeps its state, None without a home."""

    def __init__(self, folder: Path | None) -> None:
        self._file = StateFile(folder, "output-roots")

    def others(self, root: Path) -> list[Path]:
        """The other folders that runs were written to, if they still exist."""
        own = root.resolve()
        named = dict.fromkeys(self._file.lines())
        paths = (Path(os.fsdecode(line)) for line in named if line.startswith(b"/"))
        return [path for path in paths if path != own and path.is_dir()]

    def note(self, root: Path) -> None:
        """Add a folder. Without a home, or a writable one, it is silently not remembered."""
        line = os.fsencode(root.resolve())
        if b"\n" in line or line in self._file.lines():
            return
        try:
            self._file.add(line)
        except SetupError:
            return
