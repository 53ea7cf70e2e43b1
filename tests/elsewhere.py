"""Runs dsrun as it finds itself on another disk or system: `elsewhere.py WHERE ARGUMENTS...`.

A disk is an audit hook: Python asks it before each call of the system, so the call itself fails. A
system without something is one from which that is taken away before dsrun is imported.
"""

import asyncio
import errno
import os
import re
import runpy
import sys
from collections.abc import Callable

FAILS: dict[str, Callable[[str], int]] = {
    "ntfs": lambda name: errno.EINVAL if re.search(r'[:?*<>|"]|[ .]$', name) else 0,
    "ecryptfs": lambda name: errno.ENAMETOOLONG if len(name.encode()) > 143 else 0,
    "latin-1": lambda name: errno.EILSEQ if any(ord(sign) > 255 for sign in name) else 0,
    "no-links": lambda _: 0,
}
_NAMING = {"open": [0], "os.mkdir": [0], "os.rename": [0, 1], "os.link": [1]}
_MISSING = [
    "O_CLOEXEC", "O_DIRECTORY", "O_NOCTTY", "O_NOFOLLOW", "O_NONBLOCK", "chown", "fchmod", "fchown",
    "fdatasync", "fork", "forkpty", "getegid", "geteuid", "getgid", "getuid", "killpg", "lchown",
    "mkfifo", "nice", "posix_fallocate", "pread", "pwrite", "sched_getaffinity", "setsid",
    "statvfs", "sync", "sysconf", "uname",
]  # fmt: skip
_MODULES = ["fcntl", "grp", "pwd", "pty", "resource", "syslog", "termios", "tty"]


def _mount(disk: str) -> None:
    """From now on what is below a folder `outputs` is on this disk."""
    fails = FAILS[disk]

    def refuse(event: str, arguments: tuple[object, ...]) -> None:
        if event == "os.symlink" and disk == "no-links":
            raise OSError(errno.EPERM, os.strerror(errno.EPERM), arguments[1])
        for at in _NAMING.get(event, []):
            if not isinstance(arguments[at], str | os.PathLike):
                continue
            path = os.fspath(arguments[at])
            _, found, below = str(path).partition("outputs/")
            for name in below.split("/") if found else []:
                if number := fails(name):
                    raise OSError(number, os.strerror(number), path)

    sys.addaudithook(refuse)


def _leave_unix() -> None:
    """What Windows does not have; dsrun must not have been imported."""
    for name in _MODULES:
        sys.modules[name] = None  # type: ignore[assignment]  # so that its import fails
    for name in _MISSING:
        if hasattr(os, name):
            delattr(os, name)
    loop = asyncio.SelectorEventLoop
    del loop.add_signal_handler, loop.remove_signal_handler

    def symlink(*_: object, **__: object) -> None:
        raise OSError(errno.EINVAL, "A required privilege is not held by the client")

    os.symlink = symlink


def main() -> None:
    where = sys.argv.pop(1)
    if where == "windows":
        _leave_unix()
    else:
        _mount(where)
    runpy.run_module("dsrun", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
