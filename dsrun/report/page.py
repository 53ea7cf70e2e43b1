"""`report.html`: one page that holds everything but the files, and lets nothing foreign run."""

import base64
import hashlib
from collections.abc import Sequence
from typing import Any

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from dsrun.common.digest import json_text
from dsrun.common.escaping import escaped, shown_json
from dsrun.common.models import Json
from dsrun.common.resources import read_page
from dsrun.report.picks import picks_of

# In a script element only these could end it or begin another; in JSON they can be escaped.
_MARKUP = (("<", "\\u003c"), (">", "\\u003e"), ("&", "\\u0026"))


def build_page(
    head: dict[str, Any], entries: Sequence[Json], manifest: dict[str, Any] | None
) -> bytes:
    """The page. `head` is that of `head_of`; `manifest` is that of the lock file, or None."""
    style, script = (read_page(name).decode() for name in ("page.css", "page.js"))
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    data = {
        "name": head["name"],
        "digest": head["digest"],
        "picks": picks_of(manifest),
        "entries": entries,
    }
    # Ours, and the data with every sign of markup escaped: what else is put in is escaped here.
    page = environment.from_string(read_page("page.html.j2").decode()).render(
        head=head | {key: _readable(head[key]) for key in ("name", "description")},
        policy=_policy(style, script),
        style=Markup(style),  # noqa: S704  # a file of this package
        script=Markup(script),  # noqa: S704  # as above
        data=Markup(_unmarked(shown_json(json_text(data)))),  # noqa: S704  # escaped
    )
    return page.encode("utf-8", "replace")


def _readable(text: str) -> str:
    """Its own line ends stay; a browser joins them."""
    return "\n".join(map(escaped, text.split("\n")))


def _unmarked(text: str) -> str:
    for sign, escape in _MARKUP:
        text = text.replace(sign, escape)
    return text


def _policy(style: str, script: str) -> str:
    """Nothing but our own script and style, and files beside the page; no network, no frames."""
    return (
        "default-src 'none'; base-uri 'none'; form-action 'none'; "
        f"script-src {_source(script)}; style-src {_source(style)}; "
        "img-src 'self' file: data:; media-src 'self' file:"
    )


def _source(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
