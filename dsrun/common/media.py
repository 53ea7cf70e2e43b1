"""The kinds of files that operations make, and which one some bytes are, from their beginning.

What a whole file has to be, and how long or large it is, is told by `whole_files`.
"""

import codecs
import warnings
from collections.abc import Mapping
from functools import lru_cache
from io import BytesIO
from typing import NamedTuple

from dsrun.common.picture_heads import sized

HEAD_BYTES = 4096
_MOST_PIXELS = 1 << 27


class ArtifactInvalid(Exception):
    """The bytes are not what the job asked for."""


class Medium(NamedTuple):
    """What all files of one kind have in common."""

    name: str  # in messages
    formats: Mapping[str, str]  # media types by extension, the commonest first
    largest: int  # bytes
    is_tagged: bool = False  # its files carry their request as metadata
    is_picture: bool = False
    is_movie: bool = False
    is_text: bool = False
    on_sheet: bool = True  # there is something to see


# The largest files: an incompressible picture of 4096x4096 pixels has 50 MB, and so have 17
# minutes of speech at 24 kHz: twice as much as any of the APIs makes. A minute of video at 1080p
# has up to 60 MB, and the words of a recording of 12 hours, each with its times, have 30 MB.
MEDIA: Mapping[str, Medium] = {
    "image": Medium(
        "image",
        {
            "png": "image/png", "jpg": "image/jpeg", "webp": "image/webp", "bmp": "image/bmp",
            "tiff": "image/tiff", "gif": "image/gif",
        },
        64 << 20,
        is_tagged=True,
        is_picture=True,
    ),
    "audio": Medium(
        "audio",
        {
            "wav": "audio/wav", "mp3": "audio/mpeg", "opus": "audio/ogg", "ogg": "audio/ogg",
            "flac": "audio/flac", "m4a": "audio/mp4", "aac": "audio/aac", "amr": "audio/amr",
            "pcm": "audio/pcm",
        },
        64 << 20,
        on_sheet=False,
    ),
    "video": Medium(
        "video", {"mp4": "video/mp4", "mov": "video/quicktime"}, 1 << 30, is_movie=True
    ),
    "text": Medium("text", {"txt": "text/plain"}, 64 << 20, is_text=True),
    "json": Medium("JSON", {"json": "application/json"}, 64 << 20, is_text=True),
    "captions": Medium("SRT captions", {"srt": "application/x-subrip"}, 64 << 20, is_text=True),
    "model": Medium("GLB model", {"glb": "model/gltf-binary"}, 512 << 20),
}  # fmt: skip
_BY_FILETYPE = {"audio/x-wav": "audio/wav", "audio/x-flac": "audio/flac"}  # other names for ours
_PCM = "pcm"
_DECLARED = ("wav", "mp3", "opus")
_BOM = codecs.BOM_UTF8
_MARKUP = (b"<!doctype html", b"<html", b"<?xml")  # pages and errors of hosts
_QUICKTIME = b"qt  "


class Kind(NamedTuple):
    media_type: str
    extension: str


class Facts(NamedTuple):
    """How long a file plays, and its pixels; None where it has none, or nobody can tell."""

    duration_s: float | None = None
    width: int | None = None
    height: int | None = None


class Identified(NamedTuple):
    kind: Kind
    facts: Facts  # as far as its first bytes have them


def identify(
    head: bytes, *, media: str, declared: str | None = None, in_answer: bool = False
) -> Identified:
    """The kind of a received file, once its header is read. Raises ArtifactInvalid.

    The arguments are those of `kind_of`.
    """
    medium = MEDIA[media]
    if medium.is_picture and (known := sized(head)):
        return Identified(_kind(medium, known.extension), _facts_of(known.width, known.height))
    kind = kind_of(head, media=media, declared=declared, in_answer=in_answer)
    return Identified(kind, _picture_facts(head) if medium.is_picture else Facts())


def kind_of(
    head: bytes, *, media: str, declared: str | None = None, in_answer: bool = False
) -> Kind:
    """The kind of a file, from its first HEAD_BYTES. Raises ArtifactInvalid.

    `media` is what the operation makes, a key of MEDIA. `declared` is the format that an answer
    names for the file in its own body: those bytes cannot be fetched again, so where they are
    ambiguous, the answer is believed. `in_answer`: they came so, whatever they are called; then a
    text may be empty, or a page of HTML.
    """
    medium = MEDIA[media]
    if not head and not (medium.is_text and in_answer):
        raise ArtifactInvalid("the file is empty")
    if declared == _PCM and media == "audio" and not head.startswith((b"RIFF", b"OggS", b"ID3")):
        return _kind(medium, _PCM)
    if extension := _extension(head, media, in_answer=in_answer):
        return _kind(medium, extension)
    if media == "audio" and declared in _DECLARED:
        return _kind(medium, declared)
    raise ArtifactInvalid(f"the file is no {medium.name}: {_guess(head)}")


def extensions_of(media: str) -> list[str]:
    """The extensions of the files of a kind."""
    return sorted(MEDIA[media].formats)


def is_kind(media_type: str, extension: str) -> bool:
    """Whether files of this type are kept under this extension."""
    return any(medium.formats.get(extension) == media_type for medium in MEDIA.values())


@lru_cache
def media_of(media_type: str) -> str:
    """The kind of files of this type, a key of MEDIA; empty for a type that we do not make."""
    for media, medium in MEDIA.items():
        if media_type in medium.formats.values():
            return media
    return ""


def end_mark(head: bytes) -> bytes:
    """The bytes near the end of every whole picture of this kind; empty where there are none."""
    if head.startswith(b"\x89PNG"):
        return b"IEND\xae\x42\x60\x82"
    return b"\xff\xd9" if head.startswith(b"\xff\xd8") else b""


def _kind(medium: Medium, extension: str) -> Kind:
    return Kind(medium.formats[extension], extension)


def _extension(head: bytes, media: str, *, in_answer: bool) -> str:
    """The extension for a file of this kind; empty where the bytes are no such file."""
    match media:
        case "image":
            return _by_filetype(head, media)
        case "audio":
            return _by_filetype(head, media) or ("m4a" if _movie(head) == "mp4" else "")
        case "video":
            return _movie(head)
        case "model":
            return "glb" if head.startswith(b"glTF") else ""
        case _:
            is_page = head.removeprefix(_BOM).lstrip().lower().startswith(_MARKUP)
            is_text = _is_utf8(head) and (in_answer or not is_page)
            return next(iter(MEDIA[media].formats)) if is_text else ""


def _by_filetype(head: bytes, media: str) -> str:
    import filetype  # noqa: PLC0415  # start-up: only a run pays for it

    matchers = filetype.image_matchers if media == "image" else filetype.audio_matchers
    match = filetype.match(head, matchers)
    media_type = _BY_FILETYPE.get(match.mime, match.mime) if match else _mp3_by_sync(head, media)
    if media_type == "audio/ogg":
        return "opus" if b"OpusHead" in head else "ogg"
    formats = MEDIA[media].formats
    return next((name for name, known in formats.items() if known == media_type), "")


def _mp3_by_sync(head: bytes, media: str) -> str | None:
    """MPEG audio frames begin with eleven set bits; `filetype` knows only some of them."""
    is_sync = media == "audio" and head[0] == 0xFF and head[1:2] >= b"\xe0"  # noqa: PLR2004
    return "audio/mpeg" if is_sync else None


def _movie(head: bytes) -> str:
    """MP4 or QuickTime by its first box; the whole file tells whether it holds pictures."""
    if head[4:8] != b"ftyp":
        return ""
    return "mov" if head[8:12] == _QUICKTIME else "mp4"


def _is_utf8(head: bytes) -> bool:
    """Whether this is the beginning of a text; its last character may be cut."""
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return False
    return b"\0" not in head


def _guess(head: bytes) -> str:
    import filetype  # noqa: PLC0415  # as above

    start = head[:20].decode("ascii", "replace")
    return filetype.guess_mime(head) or f"it starts with {start!r}"


def picture_size(head: bytes) -> tuple[int, int] | None:
    """Width and height of a picture, from its first HEAD_BYTES; None where they come later."""
    if known := sized(head):
        return known.width, known.height
    from PIL import ImageFile  # noqa: PLC0415  # as above

    parser = ImageFile.Parser()
    try:
        parser.feed(head)
    except Exception:  # noqa: BLE001  # as below; who asks has had the header checked
        return None
    return parser.image.size if parser.image else None


def _picture_facts(head: bytes) -> Facts:
    """Read the picture's size as a viewer would, without decoding a pixel."""
    from PIL import Image  # noqa: PLC0415  # as above

    try:
        with (
            warnings.catch_warnings(action="ignore"),  # of a head that is no whole picture
            Image.open(BytesIO(head)) as picture,
        ):
            width, height = picture.size
    except Exception as error:  # a decoder may fail in any way on foreign bytes
        if isinstance(error, OSError) and len(head) >= HEAD_BYTES:
            return Facts()  # its size may come after the bytes that we have
        raise ArtifactInvalid(f"the picture's header cannot be read: {error}") from error
    return _facts_of(width, height)


def _facts_of(width: int, height: int) -> Facts:
    if width * height > _MOST_PIXELS:
        raise ArtifactInvalid(f"the picture has {width}x{height} pixels, which nobody asked for")
    return Facts(width=width, height=height)
