"""What a page and a contact sheet show of files that are texts: their beginning."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from dsrun.common.media import MEDIA

_MOST_OF_ONE = 16_000  # characters, while there is room
_MOST_OF_ALL = 4_000_000
_LEAST = 400
_BYTES_A_SIGN = 4


def is_text(media: str) -> bool:
    """Whether files of this kind are texts."""
    return media in MEDIA and MEDIA[media].is_text


def beginning(path: Path, most: int) -> tuple[str, bool]:
    """The first characters of a text, and whether it goes on. Nothing where it cannot be read."""
    try:
        if not path.is_file():  # a pipe would wait
            return "", False
        with path.open("rb") as file:
            data = file.read(most * _BYTES_A_SIGN)
            goes_on = bool(file.read(1))
    except OSError:
        return "", False
    text = data.decode("utf-8-sig", "ignore" if goes_on else "replace").replace("\r\n", "\n")
    return text[:most], goes_on or len(text) > most


def add_texts(entries: Iterable[dict[str, Any]], run_dir: Path) -> None:
    """Add `text` to every file that is one, and `goes_on` where that is not all of it.

    A page from disk may not read other files, so it has them in itself.
    """
    room = _MOST_OF_ALL
    for entry in entries:
        for file in entry["files"]:
            if not is_text(file["media"]) or "text" in file:  # rows of one job share their files
                continue
            most = min(_MOST_OF_ONE, max(_LEAST, room))
            file["text"], file["goes_on"] = beginning(run_dir / file["path"], most)
            room -= len(file["text"])
