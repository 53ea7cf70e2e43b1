"""What dsrun adds to a request where the manifest is silent: counts, seeds, names.

A derived value depends on the job alone, so that another row never changes it.
"""

import copy
import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

from dsrun.common.digest import canonical_json, json_text
from dsrun.common.models import Json, UploadFile
from dsrun.common.pointer import EACH, KeyPath, fits, holder_at, iter_paths, put_at, value_at
from dsrun.service.operation import Fill, Operation, UploadField, Uploads
from dsrun.service.price import Bill, Seconds
from dsrun.service.tables import lookup

Request = dict[str, Any]


def fill_request(request: Request, *, operation: Operation, replica: int) -> None:
    """Add what the operation file fills in to a request, in place. Raises NotCanonical."""
    for fill in operation.fills:
        if value_at(request, fill.at) is not None:
            continue
        value = _filled(fill, request)
        if fill.derive is None and value is None:
            continue  # this request is sent without
        parent = holder_at(request, fill.at)
        if not isinstance(parent, dict):
            continue
        key = str(fill.at[-1])
        if fill.derive is None:
            if key not in parent and value is not None:
                parent[key] = value
        elif key not in parent:
            parent[key] = _derive(fill, request, operation, replica)
        elif parent[key] is None:
            del parent[key]  # `seed: null` sends none


def drop_nulls(request: Request, operation: Operation) -> list[KeyPath]:
    """Take out every key whose value is null, which sends nothing; the nulls that are in lists.

    What dsrun derives keeps its null until `fill_request` sees that none is wanted. A fixed fill
    takes the place of a null: it says how many results are made and billed.
    """
    kept = {fill.at for fill in operation.fills if fill.derive}
    in_lists: list[KeyPath] = []
    _drop_nulls(request, (), kept, in_lists)
    return in_lists


def _drop_nulls(value: Any, at: KeyPath, kept: set[KeyPath], in_lists: list[KeyPath]) -> None:
    if isinstance(value, dict):
        for key in [key for key, item in value.items() if item is None]:
            if (*at, key) not in kept and key != UPLOAD:
                del value[key]
    else:
        in_lists += [(*at, index) for index, item in enumerate(value) if item is None]
    for key, item in value.items() if isinstance(value, dict) else enumerate(value):
        if isinstance(item, dict | list):
            _drop_nulls(item, (*at, key), kept, in_lists)


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
    """How many artifacts a request asks for."""
    asked = operation.main.asked
    count = lookup(asked.number, request) if asked.at is None else value_at(request, asked.at)
    return int(count) if isinstance(count, int | float) and count > 0 else 1


def tokens_bound(request: Json) -> int:
    """About the most tokens that the texts of a request are: one a character."""
    if isinstance(request, str):
        return 0 if request.startswith("data:") else len(request)
    if isinstance(request, Mapping):
        return sum(map(tokens_bound, request.values()))
    return sum(map(tokens_bound, request)) if isinstance(request, list) else 0


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


def planned_units(
    request: Json, operation: Operation, *, seconds: Seconds | None = None
) -> int | None:
    """What the request costs when all of it succeeds, in grains; None where nobody can tell.

    `seconds` tells how long a file of the request plays.
    """
    asked = artifact_count(request, operation)
    return operation.price.planned(request, asked=asked, seconds=seconds)


def bill_of(
    request: Json,
    operation: Operation,
    claimed: Sequence[Decimal | None],
    *,
    made: int,
    reserved: int = 0,
    is_failed: bool = False,
) -> Bill:
    """What the answer to a request bills that `made` so many artifacts."""
    asked = artifact_count(request, operation)
    return operation.price.billed(
        request, claimed, asked=asked, made=made, reserved=reserved, is_failed=is_failed
    )


def _filled(fill: Fill, request: Request) -> Json:
    """The value of a fill; None where its table has none for the request."""
    try:
        return lookup(fill.value, request)
    except KeyError:
        return None


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


def iter_uploads(request: Json, uploads: Uploads) -> Iterator[tuple[KeyPath, str, UploadField]]:
    """Place and SHA-256 of every file of a canonical request, and the field that takes it."""
    for field in uploads.fields:
        for at in iter_paths(request, field.at):
            value = value_at(request, at)
            if isinstance(value, dict) and applies(field, request, at):
                yield at, str(value[UPLOAD]).removeprefix(BY_CONTENT), field


def applies(field: UploadField, request: Json, at: KeyPath) -> bool:
    """Whether what stands beside a place makes it one of this field's."""
    beside = value_at(request, at[:-1])
    return all(_word(value_at(beside, (key,))) in words for key, words in field.when)


def data_url_head(file: UploadFile) -> str:
    """What stands before the base64 text of a data URL."""
    return f"data:{file.media_type};base64,"


_LONGEST_HEAD = 32


def data_url_bytes(size: int) -> int:
    """The most bytes that a file of this size has as a data URL."""
    return _LONGEST_HEAD + 4 * ((size + 2) // 3)


def _word(value: Json) -> str:
    """A value as a table of an operation file names it."""
    return value if isinstance(value, str) else "-" if value is None else json_text(value)


def upload_places(operation: Operation) -> tuple[KeyPath, ...]:
    """Where a manifest may name a file, with `*` for each item of a list."""
    places = [field.at for field in operation.uploads.fields] if operation.uploads else []
    form = operation.short
    if form is None:
        return tuple(places)
    for part in form.parts:
        if any(fits((*form.content, 0, part.becomes), at) for at in places):
            places += [("input", part.key), *([("input", part.key, EACH)] * part.is_many)]
    return tuple(places)


def upload_field_at(operation: Operation, request: Json, at: KeyPath) -> UploadField | None:
    """The field that takes a file at a place of the request; None where none does."""
    fields = operation.uploads.fields if operation.uploads else ()
    fitting = (field for field in fields if fits(at, field.at) and applies(field, request, at))
    return next(fitting, None)
