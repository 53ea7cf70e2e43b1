"""The process of the command line names files in UTF-8, whatever the locale says."""

import locale
import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from dsrun.common.names import UTF_8


def enter_utf8_mode() -> None:
    """Begin again in Python's UTF-8 mode where the locale is not UTF-8; read argv as it is meant.

    Nothing else changes the encoding of names for all that opens files, SQLite too. The process
    stays the same one, and as an option, not a variable, the mode is not handed on to a command
    of `notify`. Where it cannot be (a frozen program, `-X utf8=0`) names that need it are refused.
    """
    if sys.getfilesystemencoding() == UTF_8:
        sys.argv[1:] = map(_read_word, sys.argv[1:])
    elif sys.executable and not hasattr(sys, "frozen") and not _is_refused():
        with suppress(OSError):
            os.execv(sys.executable, [sys.executable, "-X", "utf8", *_words()])  # noqa: S606


def _is_refused() -> bool:
    return "utf8" in sys._xoptions  # noqa: SLF001  # documented, for this very question


def _words() -> Iterator[str | bytes]:
    """What follows the interpreter, byte by byte: Python's codecs differ from the C library's."""
    with suppress(OSError):
        words = Path("/proc/self/cmdline").read_bytes().split(b"\0")[:-1]
        if len(words) == len(sys.orig_argv):
            return iter(words[1:])
    return iter(sys.orig_argv[1:])


def _read_word(word: str) -> str:
    """A word that is not UTF-8 is text as the locale writes it, unless a file has this name."""
    if word.isascii() or os.path.lexists(word):
        return word
    for encoding in (UTF_8, locale.getencoding()):
        with suppress(LookupError, UnicodeError):
            return os.fsencode(word).decode(encoding)
    return word  # whoever uses it says so
