"""The results that an answer names or holds, as the operation file says where they stand. Pure."""

import base64
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from dsrun.common.digest import NotCanonical, canonical_json, json_text
from dsrun.common.models import Json
from dsrun.common.pointer import resolve, resolve_each
from dsrun.service.classify import words
from dsrun.service.operation import ArtifactSpec, Operation

_NO_RESULT = "NoResult"
_FASTEST_HZ = 1_000_000
_WHITE = b" \t\r\n\v\f"

# Every result knows its kind, as the operation file numbers them from 0, and its place among
# those of its kind.


class Address(NamedTuple):
    """A result that waits at the file host."""

    url: str
    kind: int = 0
    place: int = 0


class Content(NamedTuple):
    """A result that came in the answer itself. `format` and `sample_rate` where it names them."""

    data: bytes
    format: str | None = None
    sample_rate: int | None = None
    kind: int = 0
    place: int = 0


class Unkept(NamedTuple):
    """A result that came in an answer and was too large for the ledger: it is on disk, or lost."""

    format: str | None = None
    sample_rate: int | None = None
    kind: int = 0
    place: int = 0


class Missing(NamedTuple):
    """A result that the service has not made, and why."""

    code: str
    message: str
    kind: int = 0
    place: int = 0

    @property
    def is_told(self) -> bool:
        """Whether the reason is in the service's own words."""
        return self.code != _NO_RESULT


Result = Address | Content | Unkept | Missing


def read_results(operation: Operation, payload: Json) -> tuple[Result, ...]:
    """The results of every kind, each kind in the order of the answer."""
    kinds = enumerate(operation.artifacts)
    return tuple(each for number, spec in kinds for each in _results(spec, number, payload))


def holds_result(operation: Operation, payload: Json) -> bool:
    """Whether an answer has anything of what the operation makes at once, or says why not."""
    given = [spec for spec in operation.artifacts if spec.of is None]
    places = [
        *(value for at in operation.outputs.values() for value in resolve_each(payload, at)),
        *(value for spec in given for item in _items(spec, payload) for value in _at(spec, item)),
        *(
            resolve(item, spec.error[0])
            for spec in given
            if spec.error is not None
            for item in _items(spec, payload)
        ),
    ]
    return any(value not in (None, "") for value in places)


def _items(spec: ArtifactSpec, payload: Json) -> list[Json]:
    """The parts of an answer that may hold a result each; without `each`, the whole answer."""
    return [payload] if spec.each is None else resolve_each(payload, spec.each)


def _at(spec: ArtifactSpec, item: Json) -> list[Json]:
    """What stands where a result should; an empty text is none."""
    found = resolve_each(item, spec.at or "")
    return [value for value in found if value is not None and value != ""]


def _results(spec: ArtifactSpec, kind: int, payload: Json) -> Iterator[Result]:
    """The results of one kind, in the order of the answer."""
    if spec.of is not None:
        return
    found = [each for item in _items(spec, payload) for each in _in_item(spec, item)]
    for place, result in enumerate(found):
        yield result._replace(kind=kind, place=place) if kind or place else result


def _in_item(spec: ArtifactSpec, item: Json) -> Iterator[Result]:
    """What an item holds; one that tells no error of this kind may be an item of another kind."""
    read = _READERS[spec.given]
    results = [each for value in _at(spec, item) if (each := read(spec, item, value)) is not None]
    if results:
        yield from results
    elif spec.error is not None:
        code, message = (resolve(item, at) for at in spec.error)
        yield Missing(words(code or _NO_RESULT), words(message or "no address given"))
    elif spec.each is None and not spec.name:
        yield _no_base64(spec, "there is none") if spec.given == "base64" else _NOTHING


_NOTHING = Missing(_NO_RESULT, "the answer holds no result")


def _address(_: ArtifactSpec, __: Json, value: Json) -> Address | None:
    return Address(value) if isinstance(value, str) else None


def _content(spec: ArtifactSpec, item: Json, value: Json) -> Content | Missing:
    try:
        data = _decoded(value)
    except ValueError as error:
        return _no_base64(spec, str(error))
    named, rate = resolve(item, spec.format), resolve(item, spec.sample_rate)
    is_rate = count_in(rate) is not None and 0 < rate <= _FASTEST_HZ
    return Content(data, named if isinstance(named, str) else None, rate if is_rate else None)


def _no_base64(spec: ArtifactSpec, words: str) -> Missing:
    return Missing(f"No{spec.media.capitalize()}", f"the answer holds no base64 text: {words}")


def _value(_: ArtifactSpec, __: Json, value: Json) -> Content:
    """A text as it is, anything else as canonical JSON."""
    if isinstance(value, str):
        return Content(value.encode("utf-8", "replace"))
    try:
        return Content(canonical_json(value))
    except NotCanonical:  # a number that not every reader of JSON can tell apart
        return Content(json_text(value).encode())


_READERS: Mapping[str, Callable[[ArtifactSpec, Json, Json], Result | None]] = {
    "url": _address,
    "base64": _content,
    "value": _value,
}


def _decoded(text: Json) -> bytes:
    """Base64, which may be wrapped, and may be a data URL. Raises ValueError.

    White space goes without a split: megabytes of it would make millions of words.
    """
    if not isinstance(text, str) or not text.isascii():
        raise ValueError("there is none")
    plain = text[text.rfind(",") + 1 :].encode().translate(None, _WHITE)
    return base64.b64decode(plain, validate=True)


def count_in(value: Json) -> int | None:
    """A whole number of an answer."""
    return value if isinstance(value, int) and not isinstance(value, bool) else None
