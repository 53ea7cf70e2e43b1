"""How long dsrun takes to say its version, to validate the quickstart, and to its first create.

    python -m benchmarks.startup

`python -m benchmarks` prints it too. All are whole processes, with their bytecode written before.
"""

import argparse
import statistics
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks import measuring
from benchmarks.measuring import DSRUN, PYTHON, ROOT, Command, Done

QUICKSTART = (ROOT / "examples/quickstart.yaml").read_text(encoding="utf-8")
PIPELINE = "quickstart.yaml"
BARE, VERSION = "python -c pass", "dsrun --version"
VALIDATE, FIRST = f"dsrun validate {PIPELINE}", f"first create of {PIPELINE}"
COMMANDS: dict[str, Sequence[str]] = {
    BARE: (*PYTHON, "-c", "pass"),
    VERSION: (*DSRUN, "--version"),
    "dsrun run --help": (*DSRUN, "run", "--help"),
    VALIDATE: (*DSRUN, "validate", PIPELINE),
}
RUN = (*DSRUN, "run", PIPELINE, "--yes", "--quiet")

Starts = dict[str, Done]  # medians


def measure(server: Command, folder: Path, *, runs: int) -> Starts:
    """Alternately, so that a busy moment of the machine hits all alike; the first does not count."""
    found: list[Starts] = []
    for number in range(runs + 1):
        place = folder / f"start-{number}"
        place.mkdir()
        (place / PIPELINE).write_text(QUICKSTART, encoding="utf-8")
        took = {name: measuring.run(words, cwd=place) for name, words in COMMANDS.items()}
        took[FIRST] = measuring.first_create(server, RUN, cwd=place)
        found.append(took)
    columns = {name: zip(*(each[name] for each in found[1:]), strict=True) for name in took}
    return {name: Done(*map(statistics.median, columns[name])) for name in columns}


def over_bare(starts: Starts, name: str) -> float:
    return starts[name].seconds - starts[BARE].seconds


def print_table(starts: Starts, *, runs: int) -> None:
    print(f"\n{f'start, median of {runs}':<34}{'time':>9}{'over bare':>12}{'CPU':>9}")
    for name, done in starts.items():
        over = "" if name == BARE else f"{1000 * over_bare(starts, name):.0f} ms"
        print(f"{name:<34}{1000 * done.seconds:>6.0f} ms{over:>12}{1000 * done.cpu_s:>6.0f} ms")


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.startup",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--runs", type=int, default=15, help="of each command (default 15)")
    runs = parser.parse_args().runs
    with tempfile.TemporaryDirectory(prefix="dsrun-bench-") as place:
        folder = Path(place)
        measuring.settle(folder)
        print_table(measure(measuring.build_server(folder), folder, runs=runs), runs=runs)
    return 0


if __name__ == "__main__":
    sys.exit(main())
