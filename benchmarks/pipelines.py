"""The pipelines of the benchmarks: one that is run, and one with three axes that is planned."""

import sqlite3
from contextlib import closing
from pathlib import Path

NAME = "bench"

_RUN = """\
version: 1
name: bench
steps:
  posters:
    operation: wanx-v1
    matrix: {{seed: {{range: [1, {jobs}]}}}}
    input: {{prompt: "a paper lantern over the river, picture {{{{ seed }}}}"}}
    parameters: {{style: "<watercolor>", size: 1024*1024, n: 1, seed: "{{{{ seed }}}}"}}
execution:
  concurrency: 64
  submit_window: 64
  rate: 100000/s
  polling: {{first: {task_ms}ms, max: {longest}ms, rate: 100000/s}}
"""

_PLAN = """\
version: 1
name: bench
steps:
  posters:
    operation: wanx-v1
    matrix:
      style: ["<watercolor>", "<photography>", "<anime>", "<sketch>", "<auto>"]
      subject: [lantern, kite, boat, bridge, river, tree, gate, tower, garden, market]
      seed: {{range: [1, {seeds}]}}
    input: {{prompt: "a paper {{{{ subject }}}}, picture {{{{ seed }}}}"}}
    parameters: {{style: "{{{{ style }}}}", size: 1024*1024, n: 1, seed: "{{{{ seed }}}}"}}
"""


def write_run(folder: Path, *, jobs: int, task_ms: int) -> Path:
    folder.mkdir(parents=True)
    file = folder / "bench.yaml"
    longest = task_ms or 100
    file.write_text(_RUN.format(jobs=jobs, task_ms=task_ms, longest=longest), encoding="utf-8")
    return file


def write_plan(folder: Path, *, jobs: int) -> Path:
    folder.mkdir(parents=True)
    file = folder / "bench.yaml"
    file.write_text(_PLAN.format(seeds=jobs // 50), encoding="utf-8")
    return file


def check_run(folder: Path, *, jobs: int) -> None:
    """Raises SystemExit where a job or a file is missing."""
    ledger = folder / "outputs" / NAME / "latest" / "ledger.sqlite3"
    with closing(sqlite3.connect(ledger)) as db:
        [[succeeded]] = db.execute("SELECT count(*) FROM job WHERE status = 'succeeded'")
    files = sum(1 for _ in ledger.parent.glob("artifacts/posters/*.png"))
    if (succeeded, files) != (jobs, jobs):
        raise SystemExit(f"{succeeded} jobs succeeded and {files} files came, of {jobs}")
