"""Reads and writes the user's crontab, by the program `crontab`."""

import shutil
import subprocess

from dsrun.common.errors import SetupError


def read_crontab() -> str:
    """The table, empty where the user has none. Raises SetupError."""
    done = _crontab("-l", table=None)
    if done.returncode == 0:
        return done.stdout
    if "no crontab for" in done.stderr:
        return ""
    raise SetupError(f"`crontab -l` failed: {done.stderr.strip() or done.returncode}")


def write_crontab(table: str) -> None:
    """Replace the table; cron checks it first. Raises SetupError, and the old one stays."""
    done = _crontab("-", table=table)
    if done.returncode != 0:
        raise SetupError(f"`crontab -` took no new table: {done.stderr.strip() or done.returncode}")


def _crontab(argument: str, *, table: str | None) -> subprocess.CompletedProcess[str]:
    program = shutil.which("crontab")
    if program is None:
        raise SetupError(
            "there is no program `crontab` on this machine; install cron, or use --systemd"
        )
    try:
        return subprocess.run(  # noqa: S603  # the user's own program, no shell, fixed words
            [program, argument],
            input=table, stdin=subprocess.DEVNULL if table is None else None,
            capture_output=True, encoding="utf-8", errors="surrogateescape", check=False,
        )  # fmt: skip
    except OSError as error:
        raise SetupError(f"{program} cannot be run: {error.strerror}") from error
