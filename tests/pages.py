"""The pages that a user reads, README and manual, taken apart into blocks, commands and links."""

import re
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(DOCS.rglob("*.md"))]
FENCE = re.compile(
    r"^#{2,3} (?P<heading>[^\n]+)$"
    r"|(?:^`(?P<name>[^`\n]+)`:\n\n)?^```(?P<language>\w*)\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)


class Block(NamedTuple):
    """A fenced block: its page, the heading above it, its language, its text.

    Where a line such as `products.csv`: stands right above, it is that file.
    """

    page: str
    heading: str
    name: str
    language: str
    text: str


def read(page: Path | str) -> str:
    """The text of a page, which may be named from the top."""
    return (ROOT / page).read_text(encoding="utf-8")


def blocks_of(page: Path) -> list[Block]:
    """The blocks of a page, in order."""
    found, heading, name = [], "", page.relative_to(ROOT).as_posix()
    for match in FENCE.finditer(read(page)):
        if match["heading"]:
            heading = match["heading"]
        else:
            block = Block(name, heading, match["name"] or "", match["language"], match["text"])
            found.append(block)
    return found


BLOCKS = [block for page in PAGES for block in blocks_of(page)]


def section(page: str, heading: str) -> str:
    """What stands below a heading of the second level."""
    return read(page).split(f"\n## {heading}\n")[1].split("\n## ")[0]


def table(text: str, first: str) -> list[list[str]]:
    """The rows of the table whose first column has this title."""
    rows = text.split(f"| {first} |", 1)[1].split("\n\n", maxsplit=1)[0].splitlines()[2:]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]


def words(cell: str) -> list[str]:
    """What stands between backticks."""
    return re.findall(r"`([^`]+)`", cell)


def prose(page: Path) -> str:
    """The text of a page without its blocks."""
    return re.sub(r"^```.*?^```$", "", read(page), flags=re.MULTILINE | re.DOTALL)


def shell_lines(block: Block) -> list[str]:
    """What a reader types, of a block of shell or of a recorded session."""
    lines = block.text.replace("\\\n", " ").splitlines()
    if block.language == "console":
        return [line[2:] for line in lines if line.startswith("$ ")]
    return lines if block.language == "sh" else []


def commands() -> list[str]:
    """Command lines of dsrun in blocks, without settings before them."""
    lines = [without_settings(line) for block in BLOCKS for line in shell_lines(block)]
    return sorted({line for line in lines if line.startswith("dsrun ")})


def mentions() -> list[str]:
    """Command lines of dsrun between backticks, which may leave out what is not their point."""
    found = [line for page in PAGES for line in re.findall(r"`(dsrun\s[^`]+)`", prose(page))]
    return sorted({" ".join(line.split()) for line in found})


def without_settings(line: str) -> str:
    """A command line without the variables that are set before it."""
    return re.sub(r'^([A-Z_]+=("[^"]*"|\S+) )+', "", line)


def links(page: Path) -> list[str]:
    """Where the links and pictures of a page lead, but those to other sites."""
    return re.findall(r"\]\((?!https?://)([^)]+)\)", prose(page))


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub and MkDocs make them."""
    headings = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    return {
        re.sub(r"[\s-]+", "-", re.sub(r"[^\w\s-]", "", heading.lower()).strip())
        for heading in headings
    }
