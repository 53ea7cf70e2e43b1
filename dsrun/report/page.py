"""`report.html`: one page with everything but the files, in which nothing foreign can run."""

import base64
import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from dsrun.common.digest import json_text
from dsrun.common.escaping import escaped, shown_json
from dsrun.common.models import Json
from dsrun.common.resources import read_page
from dsrun.report.picks import list_name, picks_of

# The files of the page's script, in the order in which they are joined; `start` is the last.
SCRIPTS = (
    "basics", "words", "cards", "state", "layout", "drawing", "card", "marks", "compare",
    "media", "lineage", "view", "copying", "picks", "failures", "controls", "keys", "start",
)  # fmt: skip
STYLES = ("page.css", *(f"styles/{name}.css" for name in ("marks", "compare", "media", "lineage")))

# Only these could end a script element or start another; JSON can escape them.
_MARKUP = (("<", "\\u003c"), (">", "\\u003e"), ("&", "\\u0026"))
_DATA = "\0data\0"  # where it belongs in a page; no text of a page may have a NUL
_PAGE = 500  # entries whose JSON is made at a time


def build_page(
    head: dict[str, Any],
    entries: Sequence[Json],
    manifest: dict[str, Any] | None,
    *,
    opening: Mapping[str, Mapping[str, str]] = MappingProxyType({}),
) -> Iterator[bytes]:
    """The parts of the page, of which only one has to be in memory at a time.

    `manifest`: that of the lock file, or None; `opening`: how steps are arranged.
    """
    data = {
        "name": head["name"],
        "digest": head["digest"],
        "emulated": head["emulated"],
        "picks": picks_of(manifest),
        "list": list_name(manifest),
        "opening": {step: dict(axes) for step, axes in opening.items()},
    }
    shown = head | {key: readable(head[key]) for key in ("name", "description")}
    scripts = [f"scripts/{name}.js" for name in SCRIPTS]
    texts = _json_texts(data, entries)
    return _rendered("page.html.j2", shown, texts, styles=STYLES, scripts=scripts)


def _json_texts(data: dict[str, Json], entries: Sequence[Json]) -> Iterator[str]:
    """The JSON of `data` and, as its last member, of `entries`, of which there are many."""
    yield json_text(data)[:-1] + ',"entries":['
    for start in range(0, len(entries), _PAGE):
        page = entries[start : start + _PAGE]
        yield ("," if start else "") + json_text(page)[1:-1]
    yield "]}"


def render(
    template: str,
    head: Mapping[str, Any],
    data: Json,
    *,
    styles: Sequence[str],
    scripts: Sequence[str],
) -> bytes:
    """The page of a template, with the style and the script that the named files make together."""
    return b"".join(_rendered(template, head, [json_text(data)], styles=styles, scripts=scripts))


def _rendered(
    template: str,
    head: Mapping[str, Any],
    data: Iterable[str],
    *,
    styles: Sequence[str],
    scripts: Sequence[str],
) -> Iterator[bytes]:
    """The parts of the page; `data` is JSON in parts, between two values each."""
    style = "".join(read_page(name).decode() for name in styles)
    script = "\n".join(read_page(name).decode() for name in scripts)
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    # The template is ours, and the data has its markup escaped; autoescape does the rest.
    page = environment.from_string(read_page(template).decode()).render(
        head=head,
        policy=_policy(style, script),
        style=Markup(style),  # noqa: S704  # a file of this package
        script=Markup(script),  # noqa: S704  # as above
        data=Markup(_DATA),  # noqa: S704  # ours
    )
    before, _, after = page.partition(_DATA)
    yield before.encode("utf-8", "replace")
    for text in data:
        yield _unmarked(shown_json(text)).encode("utf-8", "replace")
    yield after.encode("utf-8", "replace")


def readable(text: str) -> str:
    """The text escaped line by line: its own line ends stay."""
    return "\n".join(map(escaped, text.split("\n")))


def _unmarked(text: str) -> str:
    for sign, escape in _MARKUP:
        text = text.replace(sign, escape)
    return text


def _policy(style: str, script: str) -> str:
    """A policy that allows only our script and style and files beside the page: no network."""
    return (
        "default-src 'none'; base-uri 'none'; form-action 'none'; "
        f"script-src {_source(script)}; style-src {_source(style)}; "
        "img-src 'self' file: data:; media-src 'self' file:"
    )


def _source(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
