"""What dsrun cannot run yet: an operation file that asks for it is refused when it is loaded.

Each rule stands for something that dsrun has to learn, and goes when it has. What makes no sense in
any operation file is told by `schemas/operation.json` and by `agreement`.
"""

from collections.abc import Iterator, Mapping

from dsrun.common.media import MEDIA
from dsrun.common.messages import show
from dsrun.common.models import Json
from dsrun.common.pointer import EACH, KeyPath, pointer
from dsrun.service.self_contained import Fault

_WITH_EACH = (
    ("endpoint",), ("recovery", "confirm"), ("recovery", "body"), ("artifacts",), ("outputs",),
    ("sample",),
)  # fmt: skip

_ASYNC_HEADER = "x-dashscope-async"
_ENABLE = "enable"


def unrunnable(schema: Mapping[str, Json]) -> Iterator[Fault]:
    """What of a file with a sound frame dsrun cannot do; running it would lose what was paid."""
    about = schema["x-dsrun"]
    yield from _model_faults(schema["properties"].get("model"))
    yield from _upload_faults(about.get("uploads"))
    yield from _header_faults(about["endpoint"]["headers"], about["protocol"])
    yield from _each_faults(about, ("x-dsrun",))


def _model_faults(model: Json) -> Iterator[Fault]:
    name = model.get("const") if isinstance(model, Mapping) else None
    if not isinstance(name, str) or not name:
        words = f"found {show(model)}; allowed: the name of one model, as its const"
        yield Fault(("properties", "model"), words + "; several stand in an enum")


def _upload_faults(uploads: Json) -> Iterator[Fault]:
    for number, field in enumerate(uploads["fields"] if uploads else ()):
        if field["media"] not in MEDIA:
            words = (
                f"found {show(field['media'])}; allowed: {', '.join(MEDIA)}; dsrun can check no "
                "other files yet"
            )
            yield Fault(("x-dsrun", "uploads", "fields", number, "media"), words)


def _header_faults(headers: Json, protocol: str) -> Iterator[Fault]:
    for name, value in headers.items():
        if name.lower() != _ASYNC_HEADER or (protocol == "task" and value == _ENABLE):
            continue
        words = (
            f"found {show(value)}; allowed: {_ENABLE}, for a task"
            if protocol == "task"
            else "found with the protocol sync; it makes a task, whose result nobody would fetch"
        )
        yield Fault(("x-dsrun", "endpoint", "headers", name), words)


def _each_faults(value: Json, path: KeyPath) -> Iterator[Fault]:
    """`*` in pointers; it is understood where several values count, and nowhere else."""
    is_measure = path[1:3] == ("price", "items") and "units" in path
    if path[1:] in _WITH_EACH or path[1:3] == ("uploads", "fields") or is_measure:
        return
    if isinstance(value, Mapping):
        for key, part in value.items():
            if key != "$comment":
                yield from _each_faults(part, (*path, key))
    elif isinstance(value, list):
        for index, part in enumerate(value):
            yield from _each_faults(part, (*path, index))
    elif isinstance(value, str) and value.startswith("/") and EACH in (pointer(value) or ()):
        words = "dsrun understands * in artifacts, outputs, units, uploads and recovery"
        words = f"found {show(value)}; {words}"
        yield Fault(path, words)
