"""Reference pictures: what a create refuses, and what only the task finds out."""

import base64
import io
import wave
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from dsrun.emulator.operations import Operation
from dsrun.emulator.pointers import places, read_pointer
from dsrun.emulator.tasks import Ailment
from dsrun.emulator.uploads import UploadedFile, UploadStore
from dsrun.emulator.wire import Refusal

if TYPE_CHECKING:
    from PIL.Image import Image

RESOLVE_HEADER = "X-DashScope-OssResourceResolve"

LARGEST_BYTES = 10 * 2**20  # of every published limit
FILE_WORDS = {"img", "image", "images", "audio", "video", "url", "urls"}
THUMBNAIL_SIDE = 256
FORMATS = ("JPEG", "PNG", "BMP", "TIFF", "WEBP")

# A top-level domain that never exists (RFC 2606), to ask for a failed download.
UNREACHABLE_DOMAIN = ".invalid"

_UNREACHABLE = Ailment(
    code="BadRequest.InputDownloadFailed", message="Failed to download the input file."
)


def find_references(body: Mapping[str, Any], operation: Operation) -> dict[str, str]:
    """Addresses and data URLs in fields that take a file; by pointer."""
    fields = operation.rules_for(body).get("uploads", {}).get("fields", ())
    taken = {place for field in fields for place in places(body, field["at"])}
    return {
        place: text
        for place, text in _texts(body.get("input", {}), "/input")
        if place in taken or text.startswith("oss://") or _names_file(place)
    }


def check_resolve_header(body: Mapping[str, Any], headers: Mapping[str, str]) -> None:
    """An `oss://` address anywhere in the body must be resolved by the service."""
    resolves = headers.get(RESOLVE_HEADER, "").lower() == "enable"
    if not resolves and any(text.startswith("oss://") for _, text in _texts(body, "")):
        message = "Unable to download the media resource during the data inspection process."
        raise Refusal(400, "InvalidParameter.DataInspection", message)


def find_ailment(
    references: Mapping[str, str],
    *,
    store: UploadStore,
    operation: Operation,
    body: Mapping[str, Any],
) -> Ailment | None:
    """Why the call will fail: the service fetches and checks its files only when it runs."""
    fields = operation.rules_for(body).get("uploads", {}).get("fields", ())
    limits = {
        place: field
        for field in fields
        for place in places(body, field["at"])
        if _fits(field.get("when", {}), read_pointer(body, place.rpartition("/")[0]))
    }
    for place, url in references.items():
        field, file = limits.get(place, {}), _fetch(url, store, operation.model)
        if file is not None:
            ailment = _judge(file, field, sent=len(url) if field.get("as") == "data" else file.size)
        else:
            is_gone = url.startswith(("oss://", "data:")) or not _may_be_reached(url)
            ailment = _UNREACHABLE if is_gone else None
        if ailment is not None:
            return ailment
    return None


def find_thumbnail(references: Mapping[str, str], *, store: UploadStore, model: str) -> bytes:
    """A small PNG of the first picture that is here, to be drawn into the results; may be empty."""
    for url in references.values():
        file = _fetch(url, store, model)
        small = _thumbnail(file.head) if file is not None else b""
        if small:
            return small
    return b""


def sound_seconds(url: str, *, store: UploadStore, model: str) -> float | None:
    """How long an uploaded WAV plays; None for anything else."""
    file = _fetch(url, store, model)
    try:
        with wave.open(io.BytesIO(file.head if file is not None else b""), "rb") as sound:
            frame = sound.getnchannels() * sound.getsampwidth()
            frames = min(sound.getnframes(), file.size // frame if file is not None else 0)
            return frames / sound.getframerate()
    except (wave.Error, EOFError, ZeroDivisionError):
        return None


def _fetch(url: str, store: UploadStore, model: str) -> UploadedFile | None:
    """An uploaded file, or what a data URL holds; None where it is elsewhere or gone."""
    if url.startswith("oss://"):
        return store.find(url, model=model)
    head, comma, text = url.partition(",")
    if not (head.startswith("data:") and head.endswith(";base64") and comma):
        return None
    try:
        content = base64.b64decode(text, validate=True)
    except ValueError:
        return None
    return UploadedFile(model=model, uploaded_at=0, size=len(content), head=content)


def _texts(value: Any, place: str) -> Iterator[tuple[str, str]]:
    """Every text of a document with its pointer."""
    if isinstance(value, str):
        yield place, value
    elif isinstance(value, dict):
        for name, item in value.items():
            yield from _texts(item, f"{place}/{name.replace('~', '~0').replace('/', '~1')}")
    elif isinstance(value, list):
        for at, item in enumerate(value):
            yield from _texts(item, f"{place}/{at}")


@lru_cache(maxsize=8)
def _thumbnail(content: bytes) -> bytes:
    from PIL import Image

    target = io.BytesIO()
    try:
        with Image.open(io.BytesIO(content), formats=FORMATS) as picture:
            picture.thumbnail((THUMBNAIL_SIDE, THUMBNAIL_SIDE))
            _on_white(picture).save(target, "PNG")
    except OSError:  # only its header is whole
        return b""
    return target.getvalue()


def _on_white(picture: "Image") -> "Image":
    """Without transparency, which also a palette may have."""
    from PIL.Image import new

    if not picture.has_transparency_data:
        return picture.convert("RGB")
    clear = picture.convert("RGBA")
    paper = new("RGB", clear.size, "white")
    paper.paste(clear, mask=clear.getchannel("A"))
    return paper


def _may_be_reached(url: str) -> bool:
    """Nothing is fetched: an address counts as good unless it is impossible."""
    try:
        host = urlsplit(url).hostname or UNREACHABLE_DOMAIN
    except ValueError:
        return False
    return not host.endswith(UNREACHABLE_DOMAIN)


def _names_file(place: str) -> bool:
    """Whether the last name on the way to a value says that it is a file."""
    names = [part for part in place.split("/") if not part.isdecimal()]
    return not FILE_WORDS.isdisjoint(names[-1].split("_"))


def _fits(when: Mapping[str, str], siblings: Any) -> bool:
    """Whether the values beside a file say that the limits of a field are meant for it."""
    return all(
        str(read_pointer(siblings, f"/{name}")) in allowed.split(" | ")
        for name, allowed in when.items()
    )


def _judge(file: UploadedFile, limits: Mapping[str, Any], *, sent: int) -> Ailment | None:
    """`limits` are those of the field in the operation file; empty where it names none.

    `sent` is the size that counts: that of the file, or of the text that a data URL is.
    """
    largest = limits.get("max_bytes") or LARGEST_BYTES
    if sent > largest:
        size = f"{largest / 2**20:g} MB"
        message = f"The size of the input file exceeds {size}."
        return Ailment(code="BadRequest.TooLarge", message=message)
    return _judge_picture(file, limits) if limits.get("media", "image") == "image" else None


def _judge_picture(uploaded: UploadedFile, limits: Mapping[str, Any]) -> Ailment | None:
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
    shortest, longest = limits.get("min_side") or 1, limits.get("max_side") or max(sides)
    steepest = limits.get("max_ratio", max(sides))
    low, high = limits.get("ratio") or (1 / steepest, steepest)
    is_even = low <= sides[0] / sides[1] <= high
    if min(sides) < shortest or max(sides) > longest or not is_even:
        return Ailment(
            code="InvalidImageResolution",
            message=f"The input image must be {shortest} to {longest} pixels a side.",
        )
    return None
