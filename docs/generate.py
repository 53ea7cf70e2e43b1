"""Writes the pages of docs/reference/: `python docs/generate.py`, or below another DIR.

No generator of documentation is used: mkdocs-click knows no variables and no exit codes,
mkdocstrings no keywords of a TypedDict, and those of schemas do not know that dsrun adds constants
and derived values, so that what the API requires a manifest may leave out. As plain files the pages
can also be read where the source is.
"""

import shutil
import sys
from pathlib import Path

from generator.commands import commands_page
from generator.exit_codes import exit_codes_page
from generator.ledger import ledger_page
from generator.manifest import manifest_page
from generator.operations import operation_pages
from generator.python_api import python_page

REFERENCE = Path(__file__).resolve().parent / "reference"


def main() -> None:
    """Write the pages, and remove those of operations that are no more."""
    folder = Path(sys.argv[1]) if sys.argv[1:] else REFERENCE
    made = pages()
    shutil.rmtree(folder / "operations", ignore_errors=True)
    for name, text in made.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{text.rstrip()}\n", encoding="utf-8", newline="\n")


def pages() -> dict[str, str]:
    """Every page by its path."""
    return {
        "commands.md": commands_page(),
        "exit-codes.md": exit_codes_page(),
        "ledger.md": ledger_page(),
        "manifest.md": manifest_page(),
        "python.md": python_page(),
        **operation_pages(),
    }


if __name__ == "__main__":
    main()
