"""Reading `manifest.lock.json` of a run directory: its well-formed sections, and nothing else."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson

from dsrun.common.models import Json


def read_lock(run_dir: Path) -> dict[str, Any]:
    """The well-formed sections; none where the file is missing or unreadable."""
    try:
        lock = orjson.loads((run_dir / "manifest.lock.json").read_bytes())
    except (OSError, ValueError):
        return {}
    return fitting(lock) if isinstance(lock, dict) else {}


def fitting(lock: dict[str, Json]) -> dict[str, Any]:
    """The well-formed sections of a lock file."""
    return {name: value for name, value in lock.items() if _FITS.get(name, _is_text)(value)}


def _is_text(value: Json) -> bool:
    return isinstance(value, str)


def _has_texts(value: Json) -> bool:
    return isinstance(value, dict) and all(map(_is_text, value.values()))


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
    "manifest": _is_manifest,
}
