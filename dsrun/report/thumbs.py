"""Thumbnails of a run's pictures: made once, each named after the content of its picture."""

import math
import os
import threading
import warnings
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path
from typing import NamedTuple

from PIL import Image
from PIL.ImageFile import ImageFile

from dsrun.common.clock import Clock
from dsrun.common.media import MEDIA
from dsrun.report.entries import thumb_of
from dsrun.report.posters import poster_of
from dsrun.storage.files import own_folder
from dsrun.storage.layout import THUMBS, RunLayout

SIDE = 320
_QUALITY = 82
_LEAST_S = 0.001  # no thumbnail takes less
_GAP = 1.5  # a picture is averaged down to this multiple of its final size, then resized finely
_MOST_PIXELS = 4096 * 4096  # more than any of the APIs makes; 67 MB when decoded
_MANY_PIXELS = _MOST_PIXELS // 8
_one_large = (
    threading.Lock()
)  # among the threads of `make_thumbs`: bounds the memory for decoded pictures
_PAPER = (255, 255, 255)
UNREADABLE = (OSError, ValueError, SyntaxError, ImportError, Image.DecompressionBombError)


class Made(NamedTuple):
    """How many pictures could not be read, and how many were left for later."""

    unread: int
    left: int


def make_thumbs(
    run_dir: Path, files: Iterable[tuple[str, str]], *, clock: Clock, budget_s: float = math.inf
) -> Made:
    """Make the thumbnails that do not exist yet, of files by path and SHA-256.

    None is started after `budget_s`, nor where that is clearly too little for all of them: the few
    that came would help nobody. Pillow releases the GIL while it decodes, so threads use all
    cores. Raises SetupError where the folder cannot be made.
    """
    until = clock.monotonic() + budget_s
    wanted = {thumb_of(sha256): path for path, sha256 in files}
    folder = RunLayout.of(run_dir).thumbs
    own_folder(folder)
    for cut_off in folder.glob("*.tmp"):  # left by a run that was killed
        if cut_off.is_symlink() or not cut_off.is_dir():
            cut_off.unlink(missing_ok=True)
    made = {entry.name for entry in os.scandir(folder)}
    todo = [(p, t) for t, p in wanted.items() if t.removeprefix(f"{THUMBS}/") not in made]
    if len(todo) * _LEAST_S > budget_s:
        return Made(unread=0, left=len(todo))

    def make(pair: tuple[str, str]) -> bool | None:
        source, target = pair
        if clock.monotonic() > until:
            return None
        return make_thumb(run_dir / source, run_dir / target)

    # A share for each thread: a task for each picture would cost time where none of them is made.
    threads = os.cpu_count() or 1
    shares = [todo[first::threads] for first in range(threads)]
    with ThreadPoolExecutor(threads) as pool:
        counts = pool.map(lambda share: Counter(map(make, share)), shares)
        ends = sum(counts, Counter[bool | None]())
    return Made(unread=ends[False], left=ends[None])


def open_small(path: Path, side: int) -> Image.Image:
    """The picture scaled down to `side` pixels at most, on white where it is transparent.

    Of a video, its poster. Raises OSError, ValueError, DecompressionBombError or ImportError where
    it cannot be read.
    """
    if path.suffix.removeprefix(".") in MEDIA["video"].formats:
        poster = poster_of(path)
        poster.thumbnail((side, side), Image.Resampling.BICUBIC, reducing_gap=_GAP)
        return poster
    with (
        # Threads share the filters; at worst this one stays, but the check below still holds.
        warnings.catch_warnings(category=Image.DecompressionBombWarning, action="ignore"),
        Image.open(path) as picture,
    ):
        pixels = picture.width * picture.height
        if pixels > _MOST_PIXELS:
            raise ValueError(f"{picture.width}x{picture.height} pixels are too many to show")
        with _one_large if pixels > _MANY_PIXELS else nullcontext():
            small = _shrunk(picture, side)
    if small.mode == "RGBA":
        clear, small = small, Image.new("RGB", small.size, _PAPER)
        small.paste(clear, mask=clear.getchannel("A"))
    return small


def _shrunk(picture: ImageFile, side: int) -> Image.Image:
    picture.draft("RGB", (side * 2, side * 2))  # a JPEG is decoded small
    mode = "RGBA" if picture.has_transparency_data else "RGB"
    picture.load()
    small: Image.Image = picture if picture.mode == mode else picture.convert(mode)
    small.thumbnail((side, side), Image.Resampling.BICUBIC, reducing_gap=_GAP)
    return small


def make_thumb(source: Path, target: Path) -> bool:
    """Make one thumbnail; False where that fails. It is not synced, since it can be made again."""
    temporary = target.with_suffix(".tmp")
    try:
        temporary.unlink(missing_ok=True)  # never written through, should it be a link
        open_small(source, SIDE).save(temporary, format="JPEG", quality=_QUALITY)
        temporary.replace(target)
    except UNREADABLE:
        return False
    return True
