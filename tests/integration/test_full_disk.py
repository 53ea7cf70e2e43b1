"""A disk that becomes full while creates are under way: what was paid for is on record.

Real file systems of a few megabytes, in a mount namespace of their own.
"""

import os
import sqlite3
import subprocess
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import pytest

TMPFS = "mount -t tmpfs -o size=SIZEk tmpfs disk"
EXT4 = "truncate -s SIZEk image; mkfs.ext4 -q -F image; mount -o loop image disk"
SCRIPT = """
set -e
MOUNT
cd disk
set +e
(while [ ! -e ../fill ]; do sleep 0.01; done; cat /dev/zero > ballast) 2> /dev/null &
"$@"; echo "full: $?"
ls -A outputs/demo/latest/ 2>&1
rm -f ballast big; cp -r outputs/demo/latest/. ../full
cp -r outputs ..; cd ..
"$@"; echo "after: $?"
"""
WINDOW = 8


def can_mount(*, as_root: bool = False) -> str:
    """An empty text, or why not."""
    tried = subprocess.run(
        [*unshared(as_root=as_root), "mount -t tmpfs tmpfs /mnt"],
        capture_output=True, check=False, text=True,
    )  # fmt: skip
    return tried.stderr.strip() if tried.returncode else ""


def unshared(*, as_root: bool) -> list[str]:
    return ["unshare", *([] if as_root else ["--map-root-user"]), "--mount", "sh", "-c"]


def test_file_systems_can_be_mounted_where_the_tests_are_relied_on():
    """Else those below would be skipped in silence."""
    if os.environ.get("CI") and os.geteuid() == 0:
        assert can_mount() == can_mount(as_root=True) == ""


@dataclass
class Disk:
    work: Any
    as_root: bool
    mount: str

    def run_until_full(self, service, *, jobs, fill_at, size=4000, **execution):
        """Run on a disk of so many kilobytes that is filled up once so much is paid.

        Then run the same where there is room.
        """
        pipeline = self.work.posters(jobs, submit_window=WINDOW, **execution)
        script = SCRIPT.replace("MOUNT", self.mount.replace("SIZE", str(size)))
        child = self.work.spawn_command(
            [*unshared(as_root=self.as_root), script, "sh", *self.work.command, pipeline]
        )
        self.work.until(
            lambda: service.paid() >= fill_at or child.process.poll() is not None, what="payments"
        )
        (self.work.folder / "fill").touch()
        outcome = child.end()
        assert "Traceback" not in outcome.err
        return outcome

    def statuses(self):
        """Of the jobs when the disk was full."""
        with closing(sqlite3.connect(self.work.folder / "full" / "ledger.sqlite3")) as db:
            return dict(db.execute("SELECT status, count(*) FROM job GROUP BY status"))


@pytest.fixture(params=["tmpfs", "ext4"])
def disk(request, work):
    as_root = request.param == "ext4"
    if as_root and os.geteuid() != 0:
        pytest.skip("only root mounts a disk image")
    if words := can_mount(as_root=as_root):
        pytest.skip(f"no mount namespace here: {words}")
    (work.folder / "disk").mkdir()
    return Disk(work, as_root, EXT4 if as_root else TMPFS)


@pytest.mark.parametrize("fill_at", [10, 60])
def test_every_create_that_was_answered_is_on_record(disk, work, serve, fill_at):
    service = serve(picture_scale=0.05, task_time_s=1.0)
    outcome = disk.run_until_full(service, jobs=200, fill_at=fill_at, concurrency=150)

    assert "full: 3" in outcome.out
    assert "nothing is lost" in outcome.err
    assert "unknown" not in disk.statuses()
    assert ".reserve" not in outcome.out
    assert "after: 0" in outcome.out
    assert work.statuses() == {"succeeded": 200}
    assert set(service.creates().values()) == {1}


def test_a_disk_without_room_for_the_answers_sends_nothing(disk, work, emulator):
    outcome = disk.run_until_full(emulator, jobs=20, fill_at=1000, size=900)
    assert "full: 3" in outcome.out
    assert "Nothing was sent" in outcome.err
    assert ".reserve" not in outcome.out
    assert disk.statuses() == {"pending": 20}
    assert "after: 0" in outcome.out
    assert set(emulator.creates().values()) == {1}
