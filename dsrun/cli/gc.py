"""`dsrun gc`: removes old results from the cache. Run directories stay."""

from contextlib import closing
from datetime import timedelta
from pathlib import Path

from dsrun.common.clock import SystemClock, stamp
from dsrun.common.console import answer, answer_json, count_of
from dsrun.common.errors import ExitCode, UsageError
from dsrun.common.units import parse_duration
from dsrun.storage.cache import Collected, ResultCache, has_cache
from dsrun.storage.layout import cache_folders

_UNITS = ("bytes", "KB", "MB", "GB", "TB")
_STEP = 1000


def run(out: Path, *, older_than: str, dry_run: bool, as_json: bool) -> int:
    """Both caches of an output directory. Raises CacheFault, and UsageError for `older_than`."""
    since = _moment_before(older_than)
    total = Collected(0, 0, 0, 0)
    for folder in cache_folders(out):
        if not has_cache(folder):
            continue
        with closing(ResultCache(folder, read_only=dry_run)) as cache:
            collected = cache.collect(since=since, dry_run=dry_run)
        total = Collected(*map(sum, zip(total, collected, strict=True)))
    if as_json:
        answer_json({"dry_run": dry_run, **total._asdict()}, indent=False)
    else:
        answer(_words(total, older_than=older_than, dry_run=dry_run))
    return ExitCode.OK


def _moment_before(older_than: str) -> str:
    now = SystemClock().now()
    try:
        since = now - timedelta(seconds=parse_duration(older_than))
    except (ValueError, OverflowError):
        since = None
    if since is None or since > now:
        raise UsageError(f"--older-than {older_than}: this is no age; write it as 30d, 12h or 90s")
    return stamp(since)


def _words(total: Collected, *, older_than: str, dry_run: bool) -> str:
    would = "would be " if dry_run else ""
    shared = f"; {_size(total.held)} more stay in run directories" if total.held else ""
    return (
        f"{count_of(total.results, 'result')} not used for {older_than} and "
        f"{count_of(total.files, 'file')} {would}removed, {_size(total.freed)} {would}freed{shared}"
    )


def _size(number: int) -> str:
    amount, unit = float(number), 0
    while amount >= _STEP and unit < len(_UNITS) - 1:
        amount, unit = amount / _STEP, unit + 1
    return f"{amount:.3g} {_UNITS[unit]}"
