"""Start-up of `dsrun --version` over a bare interpreter. Target: within 150 ms.

python benchmarks/startup.py
"""

import argparse
import statistics
import subprocess
import sys
import time

TARGET_MS = 150
BARE = ["-c", "pass"]
VERSION = ["-m", "dsrun", "--version"]
HELP = ["-m", "dsrun", "run", "--help"]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=15, help="runs of each command (default 15)")
    runs = parser.parse_args().runs
    times: dict[str, list[float]] = {"bare": [], "version": [], "help": []}
    for _ in range(runs):  # alternately, so that a busy moment of the machine hits all alike
        times["bare"].append(run_ms(BARE))
        times["version"].append(run_ms(VERSION))
        times["help"].append(run_ms(HELP))
    bare, version, usage = (statistics.median(values) for values in times.values())
    print(f"{'command':<20} {'median':>8} {'over bare':>10}")
    print(f"{'python -c pass':<20} {bare:>5.0f} ms")
    print(f"{'dsrun --version':<20} {version:>5.0f} ms {version - bare:>7.0f} ms")
    print(f"{'dsrun run --help':<20} {usage:>5.0f} ms {usage - bare:>7.0f} ms")
    is_met = version - bare <= TARGET_MS
    print(f"target: --version within {TARGET_MS} ms over bare: {'met' if is_met else 'MISSED'}")
    return 0 if is_met else 1


def run_ms(arguments: list[str]) -> float:
    began = time.perf_counter()
    subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)
    return (time.perf_counter() - began) * 1000


if __name__ == "__main__":
    sys.exit(main())
