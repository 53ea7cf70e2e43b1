"""Thumbnails that are made while a run goes on, so that its report has not to wait for them."""

import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Self

from dsrun.records import JobResult
from dsrun.report.items import thumb_of

_MOST_WAITING = 64  # pictures that have come and have no thumbnail yet
_LOWEST = 19


class EarlyThumbs:
    """Makes thumbnails while a run goes on, on one thread of low priority.

    What comes faster than it can work is left to the end of the run.
    """

    def __init__(self, run_dir: Path) -> None:
        self._run_dir = run_dir
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="thumbs", initializer=_step_back)
        self._waiting = threading.BoundedSemaphore(_MOST_WAITING)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._pool.shutdown(cancel_futures=True)

    def note_end(self, result: JobResult | None) -> None:
        """Called on the event loop's thread; never waits."""
        for artifact in result.artifacts if result else ():
            is_image = artifact.media_type.startswith("image/")
            if is_image and self._waiting.acquire(blocking=False):
                target = self._run_dir / thumb_of(artifact.sha256)
                self._pool.submit(self._work, self._run_dir / artifact.path, target)

    def _work(self, source: Path, target: Path) -> None:
        from dsrun.report.thumbs import make_thumb  # noqa: PLC0415  # Pillow: only for pictures

        self._waiting.release()
        with suppress(OSError):  # the end of the run tries again, and says so
            target.parent.mkdir(exist_ok=True)
            if not target.exists():
                make_thumb(source, target)


def _step_back() -> None:
    """Give way to the run. Linux has priorities by thread; elsewhere this changes nothing."""
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _LOWEST)
