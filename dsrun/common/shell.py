"""Commands as a user can paste them into a shell: every word is quoted and survives the console."""

import os
import shlex
from pathlib import Path

from dsrun.common.escaping import shown

_BARE = frozenset(
    b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 _-+=./,%^()<>*?{}"
)


def command_line(*words: str | Path) -> str:
    """The words as one line of shell; a path is never taken for an option or a command."""
    return " ".join(_quoted(_path_word(word) if isinstance(word, Path) else word) for word in words)


def _path_word(path: Path) -> str:
    text = str(path)
    is_name = not path.is_absolute() and path.parent == Path() and not path.suffix
    return f"./{text}" if text.startswith("-") or is_name else text


def _quoted(word: str) -> str:
    """In `$'...'`, as bash, zsh and ksh read it, where the console would spell a character out."""
    if shown(word) == word and word.isprintable():
        return shlex.quote(word)
    return "$'{}'".format("".join(map(_spelled, word.encode("utf-8", "surrogateescape"))))


def _spelled(byte: int) -> str:
    return chr(byte) if byte in _BARE else f"\\x{byte:02x}"


def option(name: str, value: str | Path) -> str:
    """`--name=value`, which takes any value, whatever it begins with."""
    return f"--{name}={os.fspath(value)}"
