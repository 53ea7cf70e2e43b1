"""How fast a plan joins steps: 10^5 lines with 10^3 voices by name, and 10^6 children of one step.

    python -m benchmarks.join_rate            both
    python -m benchmarks.join_rate join       one of them: join, children

Prints jobs, seconds (of the clock, and of work where the machine is busy), and the most memory that the process has had.
"""

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from dsrun.manifest.reader import load_manifest
from dsrun.planning.plan import build_plan
from dsrun.service.catalog import load_catalog

JOIN = """\
version: 1
name: book
steps:
  cast:
    operation: qwen-voice-design
    matrix: {who: {file: cast.csv}}
    input:
      target_model: qwen3-tts-vd-2026-01-26
      voice_prompt: "{{ who.says }}"
      preview_text: Good evening.
      language: en
  lines:
    operation: qwen3-tts
    model: "{{ voice.request.input.target_model }}"
    matrix:
      line: {file: script.csv}
      voice: {step: cast}
      where: voice.who.name == line.speaker
    input: {text: "{{ line.text }}", voice: "{{ voice.output.voice }}"}
"""
CHILDREN = """\
version: 1
name: book
steps:
  drafts:
    operation: wanx-v1
    matrix: {seed: {range: [1, 250000]}}
    input: {prompt: a fox}
    parameters: {n: 4, seed: "{{ seed * 4 }}"}
  large:
    operation: wan2.5-i2i-preview
    matrix: {pick: {step: drafts, each: artifact}}
    input: {prompt: "fox {{ pick.seed }}", images: ["{{ pick.artifact }}"]}
"""


def write_join(folder: Path) -> str:
    cast = (f"voice {n},says {n}\n" for n in range(1_000))
    lines = (f"voice {n % 1_000},line {n}\n" for n in range(100_000))
    (folder / "cast.csv").write_text("name,says\n" + "".join(cast))
    (folder / "script.csv").write_text("speaker,text\n" + "".join(lines))
    return JOIN


def write_children(_: Path) -> str:
    return CHILDREN


KINDS = {"join": write_join, "children": write_children}


def measure(kind: str) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "p.yaml").write_text(KINDS[kind](folder))
        catalog = load_catalog(folder / "operations")
        began, worked = time.perf_counter(), time.process_time()
        manifest = load_manifest(folder / "p.yaml", catalog=catalog)
        count = build_plan(manifest, catalog=catalog, run_values={}).check()
        took, work = time.perf_counter() - began, time.process_time() - worked
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"{kind:<9} {count:>9,} jobs  {took:6.1f} s ({work:.1f} s of work)  {peak:5.0f} MiB",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.join_rate",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("kind", nargs="?", choices=KINDS, help="only this (default: both)")
    if kind := parser.parse_args().kind:
        measure(kind)
        return
    for kind in KINDS:  # each in a process of its own, for its memory
        subprocess.run([sys.executable, __file__, kind], check=True)


if __name__ == "__main__":
    main()
