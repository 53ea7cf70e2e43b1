"""The kind of a media file, from its first bytes, and whether its header is readable."""

import warnings
from io import BytesIO
from typing import NamedTuple

HEAD_BYTES = 4096

# The largest file of each kind. An incompressible picture of 4096x4096 pixels has 50 MB, and so
# have 17 minutes of speech at 24 kHz: twice as much as any of the APIs makes.
LARGEST = {
    "image": 64 << 20, "audio": 64 << 20, "text": 64 << 20, "json": 64 << 20, "captions": 64 << 20,
}  # fmt: skip
_MOST_PIXELS = 1 << 27

_EXTENSIONS = {
    "image/png": "png",
    "image/jpeg": "jpg",
    "image/webp": "webp",
    "image/bmp": "bmp",
    "image/tiff": "tiff",
    "image/gif": "gif",
    "audio/wav": "wav",
    "audio/x-wav": "wav",
    "audio/mpeg": "mp3",
    "audio/ogg": "opus",
    "audio/pcm": "pcm",
}
_TEXTS = {
    "text": ("text/plain", "txt"),
    "json": ("application/json", "json"),
    "captions": ("application/x-subrip", "srt"),
}
_PCM = "audio/pcm"
_DECLARED = {"wav": "audio/wav", "mp3": "audio/mpeg", "opus": "audio/ogg"}


class ArtifactInvalid(Exception):
    """The bytes are not what the job asked for."""


class Kind(NamedTuple):
    media_type: str
    extension: str


def identify(head: bytes, *, media: str, declared: str | None) -> Kind:
    """The kind of a received file, once its header is read. Raises ArtifactInvalid.

    The arguments are those of `kind_of`.
    """
    kind = kind_of(head, media=media, declared=declared)
    if media == "image" and kind.media_type not in _DECLARED.values():
        _check_header(head)
    return kind


def kind_of(head: bytes, *, media: str, declared: str | None = None) -> Kind:
    """The kind of a file, from its first HEAD_BYTES. Raises ArtifactInvalid.

    `media` is what the operation makes (image or audio). `declared` is the format that an answer
    names for the file in its own body: those bytes cannot be fetched again, so where they are
    ambiguous, the answer is believed.
    """
    import filetype  # noqa: PLC0415  # start-up: only a run pays for it

    if not head:
        raise ArtifactInvalid("the file is empty")
    if media in _TEXTS:
        return Kind(*_TEXTS[media])
    if declared == "pcm" and not head.startswith((b"RIFF", b"OggS", b"ID3")):
        return Kind(_PCM, _EXTENSIONS[_PCM])
    matchers = filetype.image_matchers if media == "image" else filetype.audio_matchers
    match = filetype.match(head, matchers)
    media_type = match.mime if match else _mp3_by_sync(head, media)
    if media_type not in _EXTENSIONS:
        if declared in _DECLARED:
            return Kind(_DECLARED[declared], declared)
        start = head[:20].decode("ascii", "replace")
        what = media_type or f"it starts with {start!r}"
        raise ArtifactInvalid(f"the file is no {media}: {what}")
    plain = "audio/wav" if media_type == "audio/x-wav" else str(media_type)
    return Kind(plain, _EXTENSIONS[plain])


def extensions_of(media: str) -> list[str]:
    """The extensions of image or audio files."""
    if media in _TEXTS:
        return [_TEXTS[media][1]]
    return sorted({ext for name, ext in _EXTENSIONS.items() if name.startswith(f"{media}/")})


def is_kind(media_type: str, extension: str) -> bool:
    """Whether files of this type are kept under this extension."""
    return _EXTENSIONS.get(media_type) == extension or (media_type, extension) in _TEXTS.values()


def end_mark(head: bytes) -> bytes:
    """The bytes near the end of every whole picture of this kind; empty where there are none."""
    if head.startswith(b"\x89PNG"):
        return b"IEND\xae\x42\x60\x82"
    return b"\xff\xd9" if head.startswith(b"\xff\xd8") else b""


def _mp3_by_sync(head: bytes, media: str) -> str | None:
    """MPEG audio frames begin with eleven set bits; `filetype` knows only some of them."""
    is_sync = media == "audio" and head[0] == 0xFF and head[1:2] >= b"\xe0"  # noqa: PLR2004
    return "audio/mpeg" if is_sync else None


def picture_size(head: bytes) -> tuple[int, int] | None:
    """Width and height of a picture, from its first HEAD_BYTES; None where they come later."""
    from PIL import ImageFile  # noqa: PLC0415  # as above

    parser = ImageFile.Parser()
    try:
        parser.feed(head)
    except Exception:  # noqa: BLE001  # as below; who asks has had the header checked
        return None
    return parser.image.size if parser.image else None


def _check_header(head: bytes) -> None:
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
            return  # its size may come after the bytes that we have
        raise ArtifactInvalid(f"the picture's header cannot be read: {error}") from error
    if width * height > _MOST_PIXELS:
        raise ArtifactInvalid(f"the picture has {width}x{height} pixels, which nobody asked for")
