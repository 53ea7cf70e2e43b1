"""Vectors of an export: one row for each that an embedding job has made, in place of the job's own.

What has vectors is told by its file: a JSON list of objects, each with numbers named `embedding`.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from dsrun.common.digest import parse_json
from dsrun.common.models import Json

INDEX, VECTOR = "text_index", "embedding"
COLUMNS = (INDEX, VECTOR)
SOURCES = ("operation", "artifacts")  # columns of the ledger that tell where vectors are
_MOST = 256 << 20  # bytes of a file; a hundred times the longest answer

Row = tuple[Any, ...]


class Unread(Exception):
    """A file with vectors is not there, or not as it was written."""


def any_vectors(rows: Iterable[Row], run_dir: Path) -> bool:
    """Whether a job has made vectors; `rows` have SOURCES. One file of each operation is read."""
    tried: set[str] = set()
    for operation, artifacts in rows:
        path = None if operation in tried else _json_file(artifacts)
        if path is not None:
            tried.add(operation)
            try:
                if _vectors_in(run_dir / path) is not None:
                    return True
            except Unread:
                tried.discard(operation)
    return False


def spread(rows: Iterable[Row], run_dir: Path, *, warn: Callable[[str], None]) -> Iterator[Row]:
    """Rows that end in SOURCES, with COLUMNS in their place; a job with vectors has several."""
    plain: dict[str, bool] = {}  # by operation: whether its files are no vectors
    for *cells, operation, artifacts in rows:
        path = None if plain.get(operation) else _json_file(artifacts)
        vectors = None
        if path is not None:
            try:
                vectors = _vectors_in(run_dir / path)
            except Unread as error:
                warn(f"{run_dir / path}: {error}; its row has no vector")
            else:
                plain.setdefault(operation, vectors is None)
        for index, vector in enumerate(vectors) if vectors else [(None, None)]:
            yield (*cells, index, vector)


def _json_file(artifacts: str | None) -> str | None:
    """The path of the first JSON file of a job."""
    if artifacts is None or "application/json" not in artifacts:
        return None
    files = (item for item in parse_json(artifacts) if item["media_type"] == "application/json")
    return next((str(item["path"]) for item in files), None)


def _vectors_in(path: Path) -> Sequence[Sequence[float]] | None:
    """The vectors of a file by the place of their text; None where it holds something else."""
    try:
        if not path.is_file() or path.stat().st_size > _MOST:
            raise Unread("no file of vectors")
        value = parse_json(path.read_bytes())
    except (OSError, ValueError) as error:
        raise Unread("the file cannot be read as JSON") from error
    if not isinstance(value, list) or not value or not all(map(_is_vector, value)):
        return None
    return [item[VECTOR] for item in sorted(value, key=_place)]


def _is_vector(item: Json) -> bool:
    numbers = item.get(VECTOR) if isinstance(item, dict) else None
    return isinstance(numbers, list) and all(type(one) in (int, float) for one in numbers)


def _place(item: Json) -> int:
    """Which text a vector is of, where the service says so; a sort keeps the rest as they stand."""
    place = item.get(INDEX, item.get("index", 0))
    return place if isinstance(place, int) else 0
