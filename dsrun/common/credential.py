"""What no pipeline may touch: the values, variables and files of the API key.

`settings` registers them; code that reads something for a pipeline asks here first.
"""

import os
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

KEY_VARIABLES = ("DASHSCOPE_API_KEY", "DASHSCOPE_API_KEY_FILE_PATH", "DSRUN_ENV_FILE")
KEY_FOLDER = ".dashscope"  # of the official SDK, in the home of the user
KEPT_KEY = "holds the API key, or lies where keys are kept; no pipeline may read it"
_FOLDER = re.compile(rf"(?<![\w.-]){re.escape(KEY_FOLDER)}(?![\w.-])")
_SHORTEST = 12  # characters; a shorter value is no real key, and is not searched for inside others
_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class _Credential:
    values: frozenset[bytes] = frozenset()
    variables: frozenset[str] = frozenset(KEY_VARIABLES)
    files: tuple[Path, ...] = ()


class _Guarded:
    """What is guarded in this process."""

    credential = _Credential()


def guard(
    *, values: Collection[str], environment: Mapping[str, str], files: Sequence[Path]
) -> None:
    """From now on no pipeline may touch these, nor an environment variable that contains one."""
    long = [value for value in values if len(value) >= _SHORTEST]
    variables = [
        name.upper()
        for name, text in environment.items()
        if text.strip() in values or any(value in text for value in long)
    ]
    _Guarded.credential = _Credential(
        frozenset(value.encode(errors="surrogatepass") for value in long),
        frozenset([*KEY_VARIABLES, *variables]),
        tuple(files),
    )


def holds_key(text: str | bytes) -> bool:
    """Whether the key is somewhere in it."""
    values = _Guarded.credential.values
    if not values:
        return False
    data = text.encode(errors="surrogatepass") if isinstance(text, str) else text
    return any(value in data for value in values)


def is_key_variable(name: str) -> bool:
    """Whether a variable of the environment holds the key, or says where it is."""
    return name.upper() in _Guarded.credential.variables


def names_key(word: str) -> bool:
    """Whether a word of a command mentions the key, its variables, its folder or its files."""
    credential = _Guarded.credential
    names = "|".join(map(re.escape, credential.variables))
    if re.search(rf"(?<![A-Z0-9_])({names})(?![A-Z0-9_])", word, re.IGNORECASE):
        return True
    if _FOLDER.search(word) or holds_key(word):
        return True
    return any(str(file) in word for file in credential.files)


def is_key_file(path: Path) -> bool:
    """Whether it is a file of the key, or below its folder, whatever links lead there."""
    try:
        real, state = path.resolve(), path.stat() if path.exists() else None
        for kept in _Guarded.credential.files:
            if real == kept.resolve() or (state and kept.exists() and kept.samefile(path)):
                return True
        home = Path(os.path.expanduser("~")) / KEY_FOLDER  # noqa: PTH111  # there may be no home
        return real.is_relative_to(home.resolve())
    except (OSError, RuntimeError, ValueError):  # no file, or a loop of links
        return False


def keeps_key(path: Path) -> bool:
    """Whether it is a file of the key, or holds the key."""
    return is_key_file(path) or _has_key_inside(path)


def _has_key_inside(path: Path) -> bool:
    longest = max(map(len, _Guarded.credential.values), default=0)
    if not longest:
        return False
    try:
        if not path.is_file():  # a pipe would hold us up
            return False
        with path.open("rb") as file:
            before = b""
            while chunk := file.read(_CHUNK):
                if holds_key(before + chunk):
                    return True
                before = chunk[-longest:]
    except (OSError, ValueError):  # whoever reads it says so
        return False
    return False
