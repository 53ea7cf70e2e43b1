"""`report.html`: one page with everything but the files, in which nothing foreign can run."""

import base64
import hashlib
from collections.abc import Mapping, Sequence
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


def build_page(
    head: dict[str, Any],
    entries: Sequence[Json],
    manifest: dict[str, Any] | None,
    *,
    opening: Mapping[str, Mapping[str, str]] = MappingProxyType({}),
) -> bytes:
    """The page. `manifest`: that of the lock file, or None; `opening`: how steps are arranged."""
    data = {
        "name": head["name"],
        "digest": head["digest"],
        "emulated": head["emulated"],
        "picks": picks_of(manifest),
        "list": list_name(manifest),
        "opening": {step: dict(axes) for step, axes in opening.items()},
        "entries": entries,
    }
    shown = head | {key: readable(head[key]) for key in ("name", "description")}
    scripts = [f"scripts/{name}.js" for name in SCRIPTS]
    return render("page.html.j2", shown, data, styles=STYLES, scripts=scripts)


def render(
    template: str,
    head: Mapping[str, Any],
    data: Json,
    *,
    styles: Sequence[str],
    scripts: Sequence[str],
) -> bytes:
    """The page of a template, with the style and the script that the named files make together."""
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
        data=Markup(_unmarked(shown_json(json_text(data)))),  # noqa: S704  # escaped
    )
    return page.encode("utf-8", "replace")


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
