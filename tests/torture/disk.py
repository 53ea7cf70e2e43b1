"""A disk of a few MB that fills up, and is freed again. Needs the right to mount."""

import contextlib
import subprocess
import tempfile
from pathlib import Path

KINDS = ("tmpfs", "ext4")
SIZE_MB = 16
_CHUNK = 64 * 1024


class NoMount(Exception):
    """This machine lets nobody mount a disk here."""


class SmallDisk:
    """A file system of its own at `place`, from `mount` to `unmount`."""

    def __init__(self, place, kind):
        self._place = place
        self._kind = kind
        self._filler = place / "filler"

    def mount(self):
        """Raises NoMount."""
        self._place.mkdir()
        if self._kind == "tmpfs":
            _call("mount", "-t", "tmpfs", "-o", f"size={SIZE_MB}m", "tmpfs", self._place)
            return
        image = self._place.with_name("disk.img")
        with image.open("wb") as file:
            file.truncate(SIZE_MB * 2**20)
        _call("mkfs.ext4", "-q", "-m", "0", image)  # no reserve: root would write into it
        _call("mount", "-o", "loop", image, self._place)

    def unmount(self):
        self.free()
        _call("umount", "-l", self._place)

    def fill(self, leave):
        """Leave so many bytes at most."""
        with self._filler.open("ab", buffering=0) as file:
            size = _CHUNK
            while size:
                try:
                    if file.write(bytes(size)) < size:
                        size //= 2
                except OSError:
                    size //= 2
            file.truncate(max(0, file.tell() - leave))

    def free(self):
        with contextlib.suppress(FileNotFoundError):
            self._filler.unlink()


def check_mounting(kinds=KINDS):
    """Raises NoMount."""
    with tempfile.TemporaryDirectory() as folder:
        for kind in kinds:
            disk = SmallDisk(Path(folder) / kind, kind)
            disk.mount()
            disk.unmount()


def mountable():
    """The kinds of disk that this machine lets us mount."""
    found = []
    for kind in KINDS:
        with contextlib.suppress(NoMount):
            check_mounting([kind])
            found.append(kind)
    return found


def _call(*command):
    try:
        subprocess.run(command, check=True, capture_output=True, text=True)
    except (OSError, subprocess.CalledProcessError) as error:
        words = getattr(error, "stderr", "") or str(error)
        words = f"a small disk cannot be mounted here: {command[0]}: {words.strip()}"
        raise NoMount(f"{words}; it takes root, mount and mkfs.ext4") from error
