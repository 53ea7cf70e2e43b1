"""The proof that nothing is paid twice and nothing is lost, for anyone to repeat.

    python -m tests.torture                                   100 jobs, 20 kills
    python -m tests.torture --kills 200 --jobs 1000           the long one
    python -m tests.torture --points                          at every named point of a job's life
    python -m tests.torture --faults                          every fault by itself, then all
    python -m tests.torture --faults reset-after=0.1 5xx-before=0.1 --jobs 1000
    python -m tests.torture --wal                             kills spoil the ledger's log
    python -m tests.torture --full-disk                       needs the right to mount
    python -m tests.torture --clock                           the clock jumps from life to life
    python -m tests.torture --faults reset-after foreign=0.5  beside another program's tasks
    python -m tests.torture --mixed                           four kinds of operations

A service of its own, in its own process, counts what it was paid for. dsrun runs against it as a
user runs it, is killed with SIGKILL, and is started again until it says that all is done. Then
the ledger, the files and the service's own count are compared. Exit code 0: every case passed.
"""

import argparse
import asyncio
import shutil
import sys
import tempfile
from pathlib import Path

from tests.torture.cases import (
    clock_cases,
    disk_cases,
    fault_cases,
    kill_case,
    point_cases,
    short_cases,
    wal_cases,
)
from tests.torture.disk import NoMount, check_mounting
from tests.torture.driver import Driver, open_service
from tests.torture.mixed import MixedCase, mixed_cases, run_mixed
from tests.torture.table import HEAD, row_of


def parse(arguments):
    parser = argparse.ArgumentParser(
        prog="python -m tests.torture", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--kills", type=int, default=20, help="kills at random moments")
    parser.add_argument("--jobs", type=int, default=100, help="jobs of each case (not of --points)")
    parser.add_argument("--seed", type=int, default=7, help="repeats the dice of the service")
    parser.add_argument("--window", type=int, default=1, help="execution.submit_window")
    parser.add_argument("--points", action="store_true", help="kill at every named point")
    parser.add_argument("--short", action="store_true", help="the short cases of the gate")
    parser.add_argument("--wal", action="store_true", help="spoil the ledger's log at each kill")
    parser.add_argument(
        "--full-disk", action="store_true", help="the disk fills up, again and again"
    )
    parser.add_argument("--clock", action="store_true", help="the clock jumps from life to life")
    parser.add_argument("--mixed", action="store_true", help="four kinds of operations")
    parser.add_argument(
        "--faults", nargs="*", metavar="NAME=P", help="with these faults; alone: each in turn"
    )
    parser.add_argument("--only", default="", help="only cases whose name holds this text")
    parser.add_argument("--side-by-side", type=int, default=2, help="cases that run at once")
    parser.add_argument("--keep", type=Path, help="keep the folders of the cases here")
    options = parser.parse_args(arguments)
    if options.keep and options.keep.exists():
        parser.error(f"--keep {options.keep}: it is there already; name a new folder")
    try:
        options.cases = cases_of(options)
        if options.full_disk:
            check_mounting()
    except (ValueError, NoMount) as error:
        parser.error(str(error))
    return options


def cases_of(options):
    common = {"jobs": options.jobs, "kills": options.kills, "seed": options.seed}
    if options.points:
        found = point_cases(seed=options.seed)
    elif options.short:
        found = short_cases()
    elif options.full_disk:
        found = disk_cases(**common)
    elif options.wal:
        found = wal_cases(**common, window=options.window)
    elif options.clock:
        found = clock_cases(**common, window=options.window)
    elif options.mixed:
        found = mixed_cases(**common)
    elif options.faults is not None:
        found = fault_cases(options.faults, **common, window=options.window)
    else:
        found = [kill_case(**common, window=options.window)]
    return [case for case in found if options.only in case.name]


async def main(options):
    folder = options.keep or Path(tempfile.mkdtemp(prefix="torture-"))
    places = asyncio.Semaphore(options.side_by_side)
    print(HEAD, flush=True)

    async def run_one(number, case):
        async with places:
            if isinstance(case, MixedCase):
                outcome = await run_mixed(case, folder / f"case-{number}")
            else:
                outcome = await Driver(case, service, folder / f"case-{number}").run()
            print(row_of(outcome), flush=True)
            return outcome

    async with open_service() as service:
        outcomes = await asyncio.gather(*(run_one(*pair) for pair in enumerate(options.cases)))
    if options.keep is None:
        shutil.rmtree(folder)
    passed = sum(outcome.is_pass for outcome in outcomes)
    print(f"\n{passed} of {len(outcomes)} cases passed")
    return 0 if passed == len(outcomes) else 1


if __name__ == "__main__":
    sys.exit(asyncio.run(main(parse(sys.argv[1:]))))
