"""What kind of file some bytes are, and whether their header can be read."""

from typing import NamedTuple

HEAD_BYTES = 4096

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
_PCM = "audio/pcm"


class ArtifactInvalid(Exception):
    """The bytes are not what the job asked for."""


class Kind(NamedTuple):
    media_type: str
    extension: str


def identify(head: bytes, *, media: str, declared: str | None) -> Kind:
    """The kind of a received file, from its first HEAD_BYTES. Raises ArtifactInvalid.

    `media` is what the operation makes (image or audio); raw PCM has no header, so there
    `declared` (the format that the answer names) is believed.
    """
    import filetype  # noqa: PLC0415  # start-up: only a run pays for it

    if not head:
        raise ArtifactInvalid("the file is empty")
    if declared == "pcm" and not head.startswith((b"RIFF", b"OggS", b"ID3")):
        return Kind(_PCM, _EXTENSIONS[_PCM])
    matchers = filetype.image_matchers if media == "image" else filetype.audio_matchers
    found = filetype.match(head, matchers)
    if found is None or found.mime not in _EXTENSIONS:
        start = head[:20].decode("ascii", "replace")
        what = found.mime if found else f"it starts with {start!r}"
        raise ArtifactInvalid(f"the file is no {media}: {what}")
    if media == "image":
        _check_header(head)
    media_type = "audio/wav" if found.mime == "audio/x-wav" else str(found.mime)
    return Kind(media_type, _EXTENSIONS[media_type])


def _check_header(head: bytes) -> None:
    """Read the picture's size as a viewer would."""
    from PIL import ImageFile  # noqa: PLC0415  # as above

    parser = ImageFile.Parser()
    try:
        parser.feed(head)
    except (OSError, ValueError, SyntaxError) as error:
        raise ArtifactInvalid(f"the picture's header cannot be read: {error}") from error
    if parser.image is None and len(head) < HEAD_BYTES:
        raise ArtifactInvalid("the picture's header cannot be read")
