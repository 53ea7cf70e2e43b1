"""Reference pictures: what a create refuses, and what only the task finds out."""

import io
from collections.abc import Mapping
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

from dsrun.emulator.tasks import Ailment
from dsrun.emulator.uploads import UploadedFile, UploadStore
from dsrun.emulator.wire import Refusal

RESOLVE_HEADER = "X-DashScope-OssResourceResolve"

# Limits of ref_img, by the page of the wanx-v1 create call.
LARGEST_BYTES = 10 * 2**20
SHORTEST_SIDE = 256
LONGEST_SIDE = 4096
THUMBNAIL_SIDE = 256
FORMATS = ("JPEG", "PNG", "BMP", "TIFF", "WEBP")

# A top-level domain that never exists (RFC 2606), to ask for a failed download.
UNREACHABLE_DOMAIN = ".invalid"

_UNREACHABLE = Ailment(
    code="BadRequest.InputDownloadFailed", message="Failed to download the input file."
)


def find_references(body: Mapping[str, Any]) -> list[str]:
    """Addresses directly below `input` in fields that name a picture."""
    fields = body["input"].items()
    return [text for name, text in fields if isinstance(text, str) and _names_file(name)]


def check_resolve_header(references: list[str], headers: Mapping[str, str]) -> None:
    resolves = headers.get(RESOLVE_HEADER, "").lower() == "enable"
    if not resolves and any(url.startswith("oss://") for url in references):
        message = "Unable to download the media resource during the data inspection process."
        raise Refusal(400, "InvalidParameter.DataInspection", message)


def find_ailment(references: list[str], *, store: UploadStore, model: str) -> Ailment | None:
    """Why the task will fail: it fetches and checks its pictures only when it runs."""
    for url in references:
        if url.startswith("oss://"):
            uploaded = store.find(url, model=model)
            ailment = _UNREACHABLE if uploaded is None else _judge_picture(uploaded)
        else:
            ailment = None if _may_be_reached(url) else _UNREACHABLE
        if ailment is not None:
            return ailment
    return None


def find_thumbnail(references: list[str], *, store: UploadStore, model: str) -> bytes:
    """A small PNG of the first uploaded picture, to be drawn into the results; may be empty."""
    for url in references:
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
    return any(word in field.split("_") for word in ("img", "image", "url"))


def _judge_picture(uploaded: UploadedFile) -> Ailment | None:
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
    if min(sides) < SHORTEST_SIDE or max(sides) > LONGEST_SIDE:
        return Ailment(
            code="InvalidImageResolution",
            message=f"The input image must be {SHORTEST_SIDE} to {LONGEST_SIDE} pixels a side.",
        )
    return None
