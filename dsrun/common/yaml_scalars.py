"""The scalars of YAML's 1.2 core schema, resolved by PyYAML's own parser.

`no` and `on` are words and `2026-11-01` is text, as editors read them.
"""

import re
from typing import Any

import yaml
from yaml.resolver import BaseResolver

from dsrun.common.digest import parse_integer
from dsrun.common.models import Json

TAG = "tag:yaml.org,2002:"
STR, INT, FLOAT, BOOL, NULL = (TAG + name for name in ("str", "int", "float", "bool", "null"))
MERGE = TAG + "merge"

if yaml.__with_libyaml__:

    class CoreLoader(yaml.CLoader, BaseResolver):
        yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012  # as PyYAML declares it

else:

    class CoreLoader(yaml.Loader):  # type: ignore[no-redef]
        yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012  # as above


class PairLoader(yaml.Loader):
    """Reads the escapes of JSON past U+FFFF, two for one sign, which libyaml refuses."""

    yaml_implicit_resolvers = CoreLoader.yaml_implicit_resolvers

    def scan_flow_scalar(self, style: str) -> Any:  # a token, which has no type
        token = super().scan_flow_scalar(style)
        signs = token.value.encode("utf-16-le", "surrogatepass")
        token.value = signs.decode("utf-16-le", "surrogatepass")
        return token


for _tag, _pattern, _first in (
    (BOOL, r"true|True|TRUE|false|False|FALSE", "tTfF"),
    (INT, r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", "-+0123456789"),
    (
        FLOAT,
        r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
        "-+.0123456789",
    ),
    (NULL, r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    (MERGE, r"<<", "<"),
):
    CoreLoader.add_implicit_resolver(_tag, re.compile(rf"(?:{_pattern})\Z"), list(_first))


def convert_scalar(tag: str, text: str) -> Json:
    if tag == NULL:
        return None
    if tag == BOOL:
        return text.lower() == "true"
    if tag == INT:
        base = {"0o": 8, "0x": 16}.get(text[:2], 10)
        return parse_integer(text, base)
    if tag == FLOAT:
        if text.lower().endswith(("inf", "nan")) or abs(float(text)) == float("inf"):
            raise ValueError(f"{text} is no finite number; JSON has none but finite numbers")
        return float(text)
    if tag == MERGE:
        return text
    raise ValueError(f"the tag {tag} has no JSON type; remove it")


def is_text(text: str) -> bool:
    """Whether the text can be written as UTF-8: YAML escapes can spell lone surrogates."""
    return text.isascii() or not any("\ud800" <= char <= "\udfff" for char in text)
