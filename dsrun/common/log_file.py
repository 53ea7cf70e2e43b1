"""The file of `--log-file`, which turns over when it is large."""

import logging
import sys
from contextlib import suppress
from logging.handlers import RotatingFileHandler

from dsrun.common.console import WARNING, show_line, speak


class LogFile(RotatingFileHandler):
    """A log file; when it cannot be written any more, that is said once and stops nothing."""

    _has_told = False

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802  # logging's name
        del record
        if not self._has_told:
            self._has_told = True
            fault = sys.exc_info()[1]
            words = fault.strerror if isinstance(fault, OSError) else fault
            speak(
                f"{WARNING}--log-file {self.baseFilename} cannot be written: {words}",
                show=show_line,
            )

    def close(self) -> None:
        with suppress(OSError):  # said when it was written
            super().close()
