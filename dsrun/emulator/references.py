"""Reference pictures: what a create refuses, and what only the task finds out."""

import io
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

from dsrun.emulator.operations import Operation
from dsrun.emulator.tasks import Ailment
from dsrun.emulator.uploads import UploadedFile, UploadStore
from dsrun.emulator.wire import Refusal

RESOLVE_HEADER = "X-DashScope-OssResourceResolve"

LARGEST_BYTES = 10 * 2**20  # of every published limit
THUMBNAIL_SIDE = 256
FORMATS = ("JPEG", "PNG", "BMP", "TIFF", "WEBP")

# A top-level domain that never exists (RFC 2606), to ask for a failed download.
UNREACHABLE_DOMAIN = ".invalid"

_INDEX = re.compile(r"/(?:[0-9]+|\*)(?=/|$)")  # of a list, in a pointer

_UNREACHABLE = Ailment(
    code="BadRequest.InputDownloadFailed", message="Failed to download the input file."
)


def find_references(body: Mapping[str, Any]) -> dict[str, str]:
    """Addresses below `input` in fields that name a picture, or a list of them; by pointer."""
    found: dict[str, Any] = _find_in_messages(body["input"].get("messages"))
    for name, value in body["input"].items():
        if not _names_file(name):
            continue
        if isinstance(value, list):
            found |= {f"/input/{name}/{index}": item for index, item in enumerate(value)}
        else:
            found[f"/input/{name}"] = value
    return {place: text for place, text in found.items() if isinstance(text, str)}


def _find_in_messages(messages: Any) -> dict[str, Any]:
    """The addresses in the parts of messages, by pointer."""
    return {
        f"/input/messages/{number}/content/{index}/{kind}": part[kind]
        for number, message in enumerate(messages if isinstance(messages, list) else ())
        for index, part in enumerate(message.get("content", ()))
        for kind in ("image", "audio", "video")
        if isinstance(part, dict) and kind in part
    }


def check_resolve_header(references: Mapping[str, str], headers: Mapping[str, str]) -> None:
    resolves = headers.get(RESOLVE_HEADER, "").lower() == "enable"
    if not resolves and any(url.startswith("oss://") for url in references.values()):
        message = "Unable to download the media resource during the data inspection process."
        raise Refusal(400, "InvalidParameter.DataInspection", message)


def find_ailment(
    references: Mapping[str, str], *, store: UploadStore, operation: Operation
) -> Ailment | None:
    """Why the task will fail: it fetches and checks its pictures only when it runs."""
    fields = operation.rules.get("uploads", {}).get("fields", ())
    limits = {_INDEX.sub("/*", field["at"]): field for field in fields}
    for place, url in references.items():
        if url.startswith("oss://"):
            uploaded = store.find(url, model=operation.model)
            ailment = (
                _UNREACHABLE
                if uploaded is None
                else _judge_picture(uploaded, limits.get(_INDEX.sub("/*", place), {}))
            )
        else:
            ailment = None if _may_be_reached(url) else _UNREACHABLE
        if ailment is not None:
            return ailment
    return None


def find_thumbnail(references: Mapping[str, str], *, store: UploadStore, model: str) -> bytes:
    """A small PNG of the first uploaded picture, to be drawn into the results; may be empty."""
    for url in references.values():
        uploaded = store.find(url, model=model) if url.startswith("oss://") else None
        if uploaded is not None:
            return _thumbnail(uploaded.head)
    return b""


@lru_cache(maxsize=8)
def _thumbnail(content: bytes) -> bytes:
    from PIL import Image

    target = io.BytesIO()
    try:
        with Image.open(io.BytesIO(content), formats=FORMATS) as picture:
            picture.thumbnail((THUMBNAIL_SIDE, THUMBNAIL_SIDE))
            picture.convert("RGB").save(target, "PNG")
    except OSError:  # only its header is whole
        return b""
    return target.getvalue()


def _may_be_reached(url: str) -> bool:
    """Nothing is fetched: an address counts as good unless it is impossible."""
    try:
        host = urlsplit(url).hostname or UNREACHABLE_DOMAIN
    except ValueError:
        return False
    return not host.endswith(UNREACHABLE_DOMAIN)


def _names_file(field: str) -> bool:
    return any(word in field.split("_") for word in ("img", "image", "images", "url"))


def _judge_picture(uploaded: UploadedFile, limits: Mapping[str, Any]) -> Ailment | None:
    """`limits` are those of the field in the operation file; empty where it names none."""
    if uploaded.size > LARGEST_BYTES:
        return Ailment(
            code="BadRequest.TooLarge", message="The size of the input image exceeds 10 MB."
        )
    # Imported only when a picture is checked: Pillow is slow to load.
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(io.BytesIO(uploaded.head), formats=FORMATS) as picture:
            sides = picture.size
    except (UnidentifiedImageError, OSError, Image.DecompressionBombError):
        return Ailment(
            code="InvalidImageFormat",
            message=f"The format of the input image must be one of {', '.join(FORMATS)}.",
        )
    shortest, longest = limits.get("min_side", 1), limits.get("max_side", max(sides))
    flattest, steepest = limits.get("ratio") or (0, max(sides))
    is_even = flattest <= sides[0] / sides[1] <= steepest
    if min(sides) < shortest or max(sides) > longest or not is_even:
        return Ailment(
            code="InvalidImageResolution",
            message=f"The input image must be {shortest} to {longest} pixels a side.",
        )
    return None
