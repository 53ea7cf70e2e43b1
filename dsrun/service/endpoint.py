"""Where an operation is called: its root and path, at the host that the base URL names.

The key goes with each request, so an operation file chooses neither the host nor headers of ours.
"""

import re
from collections.abc import Mapping
from urllib.parse import urlsplit

from dsrun.common.errors import SetupError
from dsrun.common.messages import show
from dsrun.common.models import Json
from dsrun.service.operation import Operation
from dsrun.service.self_contained import SchemaFault

ROOT = "/api/v1"

_ROOT = re.compile(r"(/[A-Za-z0-9._~-]+)+")
_PATH = re.compile(r"(/[A-Za-z0-9._~-]+)+/?")
_HEADER = re.compile(r"x-dashscope-[a-z0-9-]+", re.IGNORECASE)
_PLAIN = re.compile(r"[ -~]{0,1000}")
_WORKSPACE = "x-dashscope-workspace"


def address_of(operation: Operation, base_url: str) -> str:
    """The address of an operation. Raises SetupError where the base URL does not tell it.

    A base URL includes the root. Another root than the usual one takes its place, which must then
    be the end of the base URL, unless the base URL ends with that other root already.
    """
    base = base_url.rstrip("/")
    path = urlsplit(base).path  # alone: a host may be called `api`
    if operation.root == ROOT or path.endswith(operation.root):
        return base + operation.path
    if not path.endswith(ROOT):
        raise SetupError(
            f"{operation.name} is called below {operation.root}, and the base URL {base_url} does "
            f"not say where that is: it ends neither with {ROOT}, which would be replaced, nor "
            f"with {operation.root}; set DASHSCOPE_HTTP_BASE_URL to one that does"
        )
    return base.removesuffix(ROOT) + operation.root + operation.path


def check_endpoint(endpoint: Mapping[str, Json]) -> None:
    """A path below the base URL's host, and no header of ours. Raises SchemaFault."""
    _check_place(endpoint["path"], "path", _PATH, "such as /services/aigc/NAME, below the base URL")
    if "root" in endpoint:
        words = f"such as {ROOT}, at the host of the base URL"
        _check_place(endpoint["root"], "root", _ROOT, words)
    for name, value in endpoint["headers"].items():
        if not _HEADER.fullmatch(name) or name.lower() == _WORKSPACE:
            raise SchemaFault(
                ("x-dsrun", "endpoint", "headers", name),
                f"found header {show(name)} in endpoint.headers; allowed: those that begin with "
                "X-DashScope-, but the workspace, which DASHSCOPE_WORKSPACE names",
            )
        if not isinstance(value, str) or not _PLAIN.fullmatch(value):
            raise SchemaFault(
                ("x-dsrun", "endpoint", "headers", name),
                f"found {show(value)} in endpoint.headers; allowed: plain ASCII in one line",
            )


def _check_place(value: Json, key: str, form: re.Pattern[str], words: str) -> None:
    is_text = isinstance(value, str)
    if not is_text or not form.fullmatch(value) or {".", ".."} & {*value.split("/")}:
        raise SchemaFault(
            ("x-dsrun", "endpoint", key),
            f"found endpoint.{key} {show(value)}; allowed: a {key} {words}",
        )
