"""From the text that a template gave to the value that a schema asks for. Pure."""

import math
import re

from dsrun.common.models import Json

_INTEGER = re.compile(r"-?(0|[1-9][0-9]*)").fullmatch
_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?").fullmatch


def coerce(text: str, wanted: str | None) -> Json:
    """The rendered text as the type that the schema asks for, where it is exactly that."""
    if wanted == "integer" and len(text) <= 20 and _INTEGER(text):  # noqa: PLR2004  # 64 bits
        return int(text)
    if wanted == "number" and len(text) <= 40 and _NUMBER(text):  # noqa: PLR2004  # no huge text
        number = int(text) if _INTEGER(text) else float(text)
        return number if math.isfinite(number) else text
    if wanted == "boolean" and text in ("true", "false"):
        return text == "true"
    return text
