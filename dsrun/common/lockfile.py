"""`manifest.lock.json` of a run directory: its name and its well-formed sections."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson

from dsrun.common.models import Json

NAME = "manifest.lock.json"


def read_lockfile(run_dir: Path) -> dict[str, Any]:
    """The well-formed sections; none where the file is missing or unreadable."""
    try:
        lockfile = orjson.loads((run_dir / NAME).read_bytes())
    except (OSError, ValueError):
        return {}
    return fitting(lockfile) if isinstance(lockfile, dict) else {}


def fitting(lockfile: dict[str, Json]) -> dict[str, Any]:
    """The well-formed sections of a lock file."""
    return {name: value for name, value in lockfile.items() if _FITS.get(name, _is_text)(value)}


def _is_text(value: Json) -> bool:
    return isinstance(value, str)


def _has_texts(value: Json) -> bool:
    return isinstance(value, dict) and all(map(_is_text, value.values()))


def _has_picks(value: Json) -> bool:
    return isinstance(value, dict) and all(
        text is None or _is_text(text) for text in value.values()
    )


def _is_manifest(value: Json) -> bool:
    if not isinstance(value, dict) or not _is_text(value.get("name")):
        return False
    steps = value.get("steps")
    return (
        isinstance(steps, dict)
        and all(isinstance(step, dict) for step in steps.values())
        and isinstance(value.get("params"), dict | None)
        and isinstance(value.get("description"), str | None)
    )


_FITS: dict[str, Callable[[Json], bool]] = {
    "run": _has_texts,
    "files": _has_texts,
    "picks": _has_picks,
    "manifest": _is_manifest,
}
