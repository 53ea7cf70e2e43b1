"""Names of files: UTF-8 on every disk, whatever the locale says.

Python names files in the encoding of the locale that it began with, and nothing changes that later.
`cli.utf8_mode` begins again; the process of a program that calls the API is its own, so there a
name that would come out otherwise is refused before anything is sent.
"""

import os
import sys
from pathlib import Path

UTF_8 = "utf-8"


def path_fault(path: Path) -> str:
    """Why a path is none that dsrun can write down; an empty text where its bytes are UTF-8."""
    try:
        os.fsencode(path).decode()
    except UnicodeError:
        return _words()
    return ""


def written(path: Path) -> str:
    """The path as a text that any other process can read; `path_fault` has found none."""
    return os.fsencode(path).decode()


def read_back(text: str) -> Path:
    """The path of a text that `written` gave."""
    return Path(os.fsdecode(text.encode()))


def name_fault(name: str) -> str:
    """Why a text cannot be the name of a file; an empty text where the disk gets it as UTF-8."""
    if name.isascii():
        return ""  # it is the same in every locale
    try:
        is_kept = os.fsencode(name) == name.encode()
    except UnicodeError:
        is_kept = False
    return "" if is_kept else _words()


def _words() -> str:
    encoding = sys.getfilesystemencoding()
    if encoding == UTF_8:
        return "the name is not UTF-8; rename it, as `convmv -f gbk -t utf-8 --notest` does"
    return f"this Python names files in {encoding}, not in UTF-8; start it with PYTHONUTF8=1"
