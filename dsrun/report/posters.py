"""Poster pictures of videos, where PyAV is installed (the extra `dsrun[video]`)."""

from importlib import import_module
from itertools import islice
from pathlib import Path
from typing import Any

from PIL import Image

_AT_S = 0.1  # as the page shows a video that has no poster: the first picture may be black
_MOST_FRAMES = 120
_MOST_PIXELS = 4096 * 2304


def poster_of(path: Path) -> Image.Image:
    """An early picture of a video. Raises OSError, ValueError, or ImportError without PyAV."""
    av: Any = import_module("av")  # heavy, and an extra: it has types only where it is installed

    try:
        with av.open(str(path)) as video:
            stream = video.streams.video[0]
            if stream.width * stream.height > _MOST_PIXELS:
                raise ValueError(f"{stream.width}x{stream.height} pixels are too many to show")
            frame = None
            for frame in islice(video.decode(stream), _MOST_FRAMES):
                if (frame.time or 0.0) >= _AT_S:
                    break
            if frame is None:
                raise ValueError("the video has no pictures")
            poster: Image.Image = frame.to_image()
            return poster.rotate(getattr(frame, "rotation", 0), expand=True)  # as it is shown
    except (av.FFmpegError, IndexError) as error:
        raise ValueError(f"the video cannot be decoded: {error}") from error
