"""One long run, looked at from outside: memory, handles, threads and rate, drawn to a PNG."""

import math
import subprocess
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import NamedTuple

from benchmarks import measuring, pipelines

PERIOD_S = 0.5
PANELS = (
    ("memory, MB", "megabytes"),
    ("open handles", "handles"),
    ("threads", "threads"),
    ("jobs a second", "rate"),
)
WIDTH, HEIGHT, MARGIN = 1000, 220, 60


class Sample(NamedTuple):
    at: float  # seconds since the start
    megabytes: float
    handles: int
    threads: int
    rate: float  # files that the server sent, a second


def soak(url: str, folder: Path, *, jobs: int, transport: str, png: Path) -> None:
    place = folder / "soak"
    pipelines.write_run(place, jobs=jobs, task_ms=0)
    with tempfile.TemporaryFile() as words:
        child = measuring.start(
            [*measuring.DSRUN, "run", "bench.yaml", "--yes", "--quiet"],
            words=words, cwd=place, DASHSCOPE_HTTP_BASE_URL=url, DSRUN_TRANSPORT=transport,
        )  # fmt: skip
        samples = watch(child, url)
        if child.returncode:
            raise measuring.failure(child, words)
    pipelines.check_run(place, jobs=jobs)
    draw(samples, png, title=f"{jobs:,} jobs over {transport}")
    tell(samples, jobs, png)


def watch(child: subprocess.Popen[bytes], url: str) -> list[Sample]:
    samples: list[Sample] = []
    began = before = time.monotonic()
    sent = 0
    while child.poll() is None:
        time.sleep(PERIOD_S)
        now, count = time.monotonic(), sent_by(url)
        rate, before, sent = (count - sent) / (now - before), now, count
        try:
            samples.append(Sample(now - began, *state_of(child.pid), rate))
        except (OSError, StopIteration):  # it has just ended
            break
    child.wait()
    return samples


def sent_by(url: str) -> int:
    with urllib.request.urlopen(url.removesuffix("/api/v1") + "/count") as answer:
        return int(answer.read())


def state_of(pid: int) -> tuple[float, int, int]:
    lines = dict(
        line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines()
    )
    if "VmRSS" not in lines:
        raise StopIteration
    handles = sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())
    return int(lines["VmRSS"].split()[0]) * 1024 / 1e6, handles, int(lines["Threads"])


def tell(samples: list[Sample], jobs: int, png: Path) -> None:
    """How the last tenth of the run differs from the second."""
    tenth = max(1, len(samples) // 10)
    early, late = samples[tenth : 2 * tenth], samples[-2 * tenth : -tenth]
    print(f"soak of {jobs:,} jobs: {samples[-1].at:.0f} s; second tenth, and last but one")
    for words, name in PANELS:
        first, last = (
            sum(getattr(each, name) for each in part) / max(1, len(part)) for part in (early, late)
        )
        print(f"  {words:<15}{first:>10.1f}{last:>10.1f}")
    print(f"drawn to {png}")


def draw(samples: list[Sample], png: Path, *, title: str) -> None:
    from PIL import Image, ImageDraw

    picture = Image.new("RGB", (WIDTH, HEIGHT * len(PANELS) + MARGIN), "white")
    pen = ImageDraw.Draw(picture)
    pen.text((MARGIN, 20), title, fill="black", font_size=20)
    for number, (words, name) in enumerate(PANELS):
        draw_panel(pen, samples, words, name, top=MARGIN + number * HEIGHT)
    picture.save(png)


def round_up(value: float) -> float:
    """Four times a step that reads well."""
    step = 10 ** math.floor(math.log10(max(value, 4) / 4))
    return next(4 * step * by for by in (1, 2, 2.5, 5, 10) if 4 * step * by >= value)


def draw_panel(pen, samples: list[Sample], words: str, name: str, *, top: int) -> None:
    bottom, right = top + HEIGHT - 50, WIDTH - 30
    most, last = (round_up(max(getattr(each, of) for each in samples)) for of in (name, "at"))
    for part in range(5):
        y = bottom - (bottom - top - 25) * part / 4
        pen.line([(MARGIN, y), (right, y)], fill="#dddddd")
        pen.text((MARGIN - 8, y), f"{most * part / 4:g}", fill="#555555", anchor="rm", font_size=12)
        x = MARGIN + (right - MARGIN) * part / 4
        pen.text(
            (x, bottom + 6), f"{last * part / 4:g} s", fill="#555555", anchor="mt", font_size=12
        )
    pen.text((MARGIN, top), words, fill="black", font_size=15)
    line = [
        (
            MARGIN + (right - MARGIN) * each.at / last,
            bottom - (bottom - top - 25) * getattr(each, name) / most,
        )
        for each in samples
    ]
    pen.line(line, fill="#1f6fb2", width=2)
