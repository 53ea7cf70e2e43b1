"""Where the files that a pipeline names lie: in its folder, or in the copies that a run keeps."""

from pathlib import Path
from typing import NamedTuple

INPUTS = "inputs"  # folder of the copies, in a run directory


class Inputs(NamedTuple):
    """`root` is the folder that names are relative to. A lock file has copies in `kept` too."""

    root: Path
    kept: Path | None = None

    def place(self, name: str) -> Path:
        """The file of a name; a copy goes before the file, which may have changed since."""
        if self.kept is not None and can_be_kept(name) and (self.kept / name).is_file():
            return self.kept / name
        return self.root / name

    def holds(self, path: Path) -> bool:
        """Whether a resolved path lies below one of the folders."""
        folders = (self.root, self.kept) if self.kept else (self.root,)
        return any(path.is_relative_to(folder.resolve()) for folder in folders)


def can_be_kept(name: str) -> bool:
    """Whether a name stays below the folder that it is relative to."""
    return not Path(name).is_absolute() and ".." not in Path(name).parts
