"""Two pipelines side by side, as in the cells of a notebook, where a loop is already running.

In a notebook, `await` directly in a cell. Interrupting the cell stops its runs, and running the
same cell again goes on with them.
"""

import asyncio
from pathlib import Path

import dsrun

FOLDER = Path(__file__).parent.parent


async def compare(*, out: str | Path = "outputs", emulate: bool = True) -> dict[str, list[Path]]:
    """The files of every pipeline, by its name."""
    async with asyncio.TaskGroup() as group:
        runs = [
            group.create_task(dsrun.run(FOLDER / path, out=out, emulate=emulate))
            for path in ("quickstart.yaml", "python/posters.yaml")
        ]
    results = [run.result() for run in runs]
    return {result.name: list(result.check().files()) for result in results}


if __name__ == "__main__":
    for name, files in asyncio.run(compare()).items():
        print(name, *files)
