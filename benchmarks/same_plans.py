"""Whether this tree plans every manifest of the tests and examples as another tree does.

    git worktree add /tmp/before COMMIT
    python -m benchmarks.same_plans /tmp/before

It compares what `dsrun plan --full`, with `--json` and without, writes and how it ends: ids, digests
and messages. The time stands still, so that `{{ run.datetime }}` is the same in both. Where a template
calls itself without end, the place that is told hangs on how deep dsrun itself has called.
"""

import argparse
import contextlib
import io
import os
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).parents[1]
FOLDERS = ("tests/manifests", "examples", "pipelines")
NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("other", type=Path, help="the root of the other tree")
    parser.add_argument("--print", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.print:
        print_plans()
        return 0
    own, other = (plans(tree) for tree in (ROOT, options.other.resolve()))
    differing = [name for name in own if own[name] != other.get(name)]
    print(f"{len(own)} plans, {len(differing)} differ", *differing, sep="\n  ")
    return 1 if differing or not own else 0


def plans(tree: Path) -> dict[str, str]:
    """What dsrun of a tree says of each manifest of this one, by a line that names the command."""
    with tempfile.TemporaryDirectory() as home:
        done = subprocess.run(
            [sys.executable, __file__, str(tree), "--print"],
            env={**os.environ, "PYTHONPATH": str(tree), "HOME": home},
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
    parts = (part.partition("\n") for part in done.stdout.split("\0")[1:])
    return {name: said for name, _, said in parts}


def print_plans() -> None:
    from dsrun.cli.main import main as dsrun  # that of the tree in PYTHONPATH
    from dsrun.common.clock import SystemClock

    SystemClock.now = SystemClock.local_now = lambda _: NOW
    for path in sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.y*ml")):
        os.chdir(path.parent)
        for words in (["--full"], ["--full", "--json"]):
            said = io.StringIO()
            with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
                try:
                    code = dsrun(["plan", path.name, *words])
                except SystemExit as end:
                    code = end.code
            print(f"\0{path.relative_to(ROOT)} {' '.join(words)}\n{code}\n{said.getvalue()}")


if __name__ == "__main__":
    sys.exit(main())
