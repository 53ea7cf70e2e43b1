"""What dsrun adds to a request where the manifest is silent: counts, seeds, names.

A derived value depends on the job alone, so that another row never changes it.
"""

import copy
import hashlib
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from typing import Any

from dsrun.common.digest import canonical_json
from dsrun.common.models import Json
from dsrun.common.pointer import KeyPath, holder_at, put_at, value_at
from dsrun.service.operation import Fill, Operation, Uploads
from dsrun.service.tables import lookup

Request = dict[str, Any]


def fill_request(request: Request, *, operation: Operation, replica: int) -> None:
    """Add what the operation file fills in to a request, in place. Raises NotCanonical."""
    for fill in operation.fills:
        parent = holder_at(request, fill.at)
        if not isinstance(parent, dict):
            continue
        key = str(fill.at[-1])
        if fill.derive is None:
            if key not in parent:
                parent[key] = fill.value
        elif key not in parent:
            parent[key] = _derive(fill, request, operation, replica)
        elif parent[key] is None:
            del parent[key]  # `seed: null` sends none


def laid_over(base: Json, over: Mapping[str, Any]) -> dict[str, Any]:
    """`over` merged into the constants of the operation, mapping by mapping."""
    merged = dict(base)
    for key, value in over.items():
        below = merged.get(key)
        merged[key] = (
            laid_over(below, value)
            if isinstance(below, dict) and isinstance(value, dict)
            else value
        )
    return merged


def artifact_count(request: Json, operation: Operation) -> int:
    """How many artifacts, and billed units, a request asks for."""
    asked = operation.main.asked
    count = lookup(asked.number, request) if asked.at is None else value_at(request, asked.at)
    return int(count) if isinstance(count, int | float) and count > 0 else 1


def ranges_of(indexes: Iterable[int]) -> list[tuple[int, int]]:
    """Rising indexes as runs without gaps: the first and the number of each."""
    ranges: list[tuple[int, int]] = []
    for index in indexes:
        if ranges and index == sum(ranges[-1]):
            ranges[-1] = (ranges[-1][0], ranges[-1][1] + 1)
        else:
            ranges.append((index, 1))
    return ranges


def part_request(request: Request, operation: Operation, *, first: int, count: int) -> Request:
    """The request for `count` artifacts of another request, from the one at index `first`.

    Where the operation has seeds, they are those that these artifacts would have had.
    """
    part: Request = copy.deepcopy(request)
    count_at, seed_at = operation.main.count, operation.main.seed
    if count_at:
        put_at(part, count_at, count)
    seed = value_at(request, seed_at)
    if seed_at and isinstance(seed, int):
        put_at(part, seed_at, seed + first)
    return part


def price_of(request: Json, operation: Operation) -> Decimal:
    """What the request costs when all of it succeeds, in the operation's currency."""
    return operation.price.amount * artifact_count(request, operation)


def _derive(fill: Fill, request: Request, operation: Operation, replica: int) -> Json:
    identity = {"operation": operation.name, "replica": replica, "request": request}
    state = hashlib.sha256(canonical_json(identity))
    if fill.derive == "name":
        return "v" + state.hexdigest()[: fill.length - 1]
    count = value_at(request, fill.span)
    span = int(count) if isinstance(count, int | float) and 1 <= count <= fill.maximum else 1
    return int.from_bytes(state.digest()[:8]) % (fill.maximum - span + 2)


UPLOAD = "upload"


BY_CONTENT = "sha256:"


def iter_uploads(request: Json, uploads: Uploads) -> Iterator[tuple[KeyPath, str]]:
    """Place and SHA-256 of every file of a canonical request."""
    for field in uploads.fields:
        value = value_at(request, field.at)
        if isinstance(value, dict):
            yield field.at, str(value[UPLOAD]).removeprefix(BY_CONTENT)
