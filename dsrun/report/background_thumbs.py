"""Makes thumbnails during a run, on a thread of its own, while the run leaves the processor alone.

A run mostly waits for the service, and its report should not delay its end. One whose jobs end as
fast as the processor can follow has no time for this: a thread beside the event loop takes Python's
lock from it. Thumbnails that are not made here are made at the end of the run, or by
`dsrun report`.
"""

import logging
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from queue import Full, Queue

from dsrun.common.clock import Clock, demand_of_this_thread
from dsrun.common.errors import SetupError
from dsrun.common.models import JobResult
from dsrun.report.entries import gets_thumb, thumb_of
from dsrun.storage.files import own_folder
from dsrun.storage.layout import RunLayout

_log = logging.getLogger(__name__)
_MOST_WAITING = 5_000  # pictures; the others are left for the end
_REST = 9.0  # times what the last thumbnail took
_LOOK_S = 0.1  # the least time between two thumbnails: so long is the run looked at
_IDLE = 0.25  # of a processor: a run that wants less mostly waits for the service


class BackgroundThumbs:
    """Takes the results of jobs as they end; close it before the report is written."""

    def __init__(
        self, run_dir: Path, *, clock: Clock, demand_s: Callable[[], float] | None = None
    ) -> None:
        """`demand_s`: for how long the run has used a processor so far, or waited for one.

        It is made on the thread of the run's event loop, which is the one that counts.
        """
        self._run_dir = run_dir
        self._clock = clock
        self._demand_s = demand_s or demand_of_this_thread()
        self._waiting: Queue[tuple[str, str]] = Queue(_MOST_WAITING)  # path, sha256
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None

    def note_end(self, result: JobResult | None) -> None:
        """Queue the pictures and videos of a job that has ended."""
        for item in result.artifacts if result else ():
            if gets_thumb(item.media_type):
                with suppress(Full):
                    self._waiting.put_nowait((item.path, item.sha256))
                if self._thread is None:
                    self._thread = threading.Thread(target=self._run, name="thumbs", daemon=True)
                    self._thread.start()

    def close(self) -> None:
        """Start no further thumbnail. Blocks until the current one is done."""
        self._closing.set()
        with suppress(Full):
            self._waiting.put_nowait(("", ""))  # wakes the thread
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        try:
            own_folder(RunLayout.of(self._run_dir).thumbs)
        except SetupError as error:
            return _log.debug("no thumbnails: %s", error)  # the report itself will say so
        while True:
            path, sha256 = self._waiting.get()
            target = self._run_dir / thumb_of(sha256)
            if not self._closing.is_set() and target.exists():
                continue
            if not self._run_rests():
                return None
            from dsrun.report.thumbs import make_thumb  # noqa: PLC0415  # Pillow: once there is time

            began = self._clock.monotonic()
            make_thumb(self._run_dir / path, target)
            self._closing.wait(_REST * (self._clock.monotonic() - began))

    def _run_rests(self) -> bool:
        """Wait until the run leaves the processor alone; False where it ends before."""
        while not self._closing.is_set():
            since, before_s = self._clock.monotonic(), self._demand_s()
            self._closing.wait(_LOOK_S)
            if self._demand_s() - before_s < _IDLE * (self._clock.monotonic() - since):
                break
        return not self._closing.is_set()
