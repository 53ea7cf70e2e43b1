"""What kind of file some bytes are, and whether their header can be read."""

from pathlib import Path
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


def identify(path: Path, *, media: str, declared: str | None) -> Kind:
    """The kind of a received file, from its own bytes. Raises ArtifactInvalid.

    `media` is what the operation makes (image or audio); raw PCM has no header, so there
    `declared` (the format that the answer names) is believed.
    """
    import filetype  # noqa: PLC0415  # start-up: only a run pays for it

    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    if not head:
        raise ArtifactInvalid("the file is empty")
    if declared == "pcm" and not head.startswith((b"RIFF", b"OggS", b"ID3")):
        return Kind(_PCM, _EXTENSIONS[_PCM])
    found = filetype.guess(head)
    media_type = found.mime if found else None
    if media_type not in _EXTENSIONS or not str(media_type).startswith(media):
        start = head[:20].decode("ascii", "replace")
        raise ArtifactInvalid(
            f"the file is no {media}: {media_type or 'it starts with ' + repr(start)}"
        )
    if media == "image":
        _check_header(path)
    kind = "audio/wav" if media_type == "audio/x-wav" else str(media_type)
    return Kind(kind, _EXTENSIONS[kind])


def _check_header(path: Path) -> None:
    from PIL import Image, UnidentifiedImageError  # noqa: PLC0415  # as above

    try:
        with Image.open(path):
            pass
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError) as error:
        raise ArtifactInvalid(f"the picture's header cannot be read: {error}") from error
