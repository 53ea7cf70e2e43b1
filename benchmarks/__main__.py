"""All rates in one interleaved run, as ratios: what is said of one moment of one machine.

    python -m benchmarks                              five minutes on a quiet machine
    python -m benchmarks --million                    plans a million jobs too
    python -m benchmarks --jobs 5000 --rounds 5
    python -m benchmarks --soak 100000 --png soak.png
    python -m benchmarks --soak 100000 --png soak.png --transport aiohttp

Whole processes, 64 jobs at a time, one after the other and several times, against a server of C
that this builds with gcc: create, ask, download 50 KB. The bare loop of aiohttp, the client of C
and the official package keep nothing; dsrun keeps its promises. The client of C is the upper bound:
what one core can do. Clients have one core and the server another, where the system can do that. A
task takes 0 or 50 ms. Then come plans, how fast dsrun starts, and each aim with what was found.

The disk is part of the measure; `--folder /dev/shm` measures without it.
"""

import argparse
import os
import sys
import tempfile
from pathlib import Path

from benchmarks import aims, measuring, plans, rates, startup
from benchmarks.measuring import Command
from benchmarks.soak import soak

TASK_MS = (0, 50)
STARTS_A_ROUND = 5


def main() -> int:
    options = parse_options()
    with tempfile.TemporaryDirectory(prefix="dsrun-bench-", dir=options.folder) as place:
        folder = Path(place)
        measuring.settle(folder)
        server = measuring.build_server(folder)
        print(surroundings(), flush=True)
        if options.soak:
            with measuring.serving(server, task_ms=0) as service:
                soak(
                    service.url, folder,
                    jobs=options.soak, transport=options.transport, png=options.png,
                )  # fmt: skip
        else:
            compare(server, folder, options)
    return 0


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--jobs", type=int, default=2000, help="of a process (default 2000)")
    parser.add_argument("--rounds", type=int, default=3, help="of each (default 3)")
    parser.add_argument("--million", action="store_true", help="plan 1,000,000 jobs too")
    parser.add_argument("--folder", type=Path, help="where to write (default: the temporary one)")
    parser.add_argument(
        "--soak", type=int, metavar="JOBS", help="only one long run, and its curves"
    )
    parser.add_argument("--png", type=Path, default=Path("soak.png"), help="of --soak")
    parser.add_argument(
        "--transport", choices=("aiohttp", "fast"), default="fast", help="of --soak"
    )
    return parser.parse_args()


def surroundings() -> str:
    core, other = measuring.client_core(), measuring.server_core()
    where = "not pinned" if core is None else f"clients on core {core}, the server on {other}"
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")
    return f"{os.cpu_count()} cores, {where}; load {load:.1f} as it began (1 or less: quiet)"


def compare(server: Command, folder: Path, options: argparse.Namespace) -> None:
    client = measuring.build("client", folder)
    jobs, rounds = options.jobs, options.rounds
    by_task: dict[int, rates.Rates] = {}
    for task_ms in TASK_MS:
        with measuring.serving(server, task_ms=task_ms) as service:
            by_task[task_ms] = rates.measure(
                service.url, client, folder, jobs=jobs, rounds=rounds, task_ms=task_ms
            )
        rates.print_table(by_task[task_ms], jobs=jobs, task_ms=task_ms)
    sizes = (plans.FEW, plans.MANY, *([plans.MILLION] if options.million else ()))
    planned = plans.measure(folder, sizes=sizes, rounds=rounds)
    plans.print_table(planned)
    starts = startup.measure(server, folder, runs=STARTS_A_ROUND * rounds)
    startup.print_table(starts, runs=STARTS_A_ROUND * rounds)
    aims.print_table(aims.Found(by_task, planned, starts))


if __name__ == "__main__":
    sys.exit(main())
