"""Turns YAML marks into lines and columns as an editor counts them, also inside a scalar."""

import re
import unicodedata
from typing import Protocol

import yaml
from yaml.nodes import CollectionNode, Node, ScalarNode

from dsrun.common.errors import Problem

_SECOND_COLON = "mapping values are not allowed in this context"
_NO_COLON_ABOVE = (
    "this goes on with the text of the line above: there a `:` is missing, "
    "or this line is indented too far"
)
_WORDS = {
    "found unexpected end of stream": "this quote is never closed",
    "but found another document": "a second document begins here; a file holds one",
    "found undefined alias": "no anchor of this name stands before",
    _SECOND_COLON: ("found a second `: ` in a line; put a text that holds one in quotes"),
    "could not find expected ':'": "expected a `:` behind this, since it stands where a key does",
    "did not find expected key": (
        "expected a key; look at the quotes, the colons and the indentation around here"
    ),
    "found character that cannot start any token": (
        "no value starts with this sign; put it in quotes"
    ),
}
_OPENERS = {"did not find expected ',' or '}'": "{}", "did not find expected ',' or ']'": "[]"}


class _Mark(Protocol):
    """A place, counted from 0: PyYAML's parser and libyaml have a class each."""

    index: int
    line: int
    column: int


# YAML ends a line at these too; editors do not.
_ODD_BREAKS = ("\x85", "\u2028", "\u2029")
PAIR = re.compile(r"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}")
_ESCAPE = re.compile(
    PAIR.pattern + r"|\\(?:x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|[\s\S])"
)
_PROPERTIES = re.compile(r"(?:[&!]\S*\s+)+")  # an anchor, a tag
_BLANK_ESCAPES = frozenset("tnvfr N_LP\n\t")
# Blanks to the eye; YAML takes them for letters.
_ODD_BLANK = re.compile(r"[\xa0\u1680\u2000-\u200d\u202f\u205f\u2060\u3000\ufeff]")
_CUT = re.compile(r"\s*[^#\s].*?(?:(?<=\S)(?= #)|(?=\s#\S))")
_SURROGATE = re.compile(r".?\\u[dD][89a-fA-F]")  # half of a pair, as JSON writes it


def place_of(text: str, mark: _Mark) -> tuple[int, int]:
    """Line and column, from 1, of a mark in the text that was parsed."""
    if any(sign in text for sign in _ODD_BREAKS):
        return place_at(text, mark.index)
    return mark.line + 1, mark.column + 1


def place_at(text: str, offset: int) -> tuple[int, int]:
    """Line and column, from 1, of a character."""
    return text.count("\n", 0, offset) + 1, offset - text.rfind("\n", 0, offset)


def end_column(text: str, node: Node) -> int:
    """The column after the part of a node on its first line; 0 for a block of lines."""
    if isinstance(node, CollectionNode) and not node.flow_style:
        return 0
    start, end = node.start_mark.index, node.end_mark.index
    line_end = text.find("\n", start)
    end = min(end, len(text) if line_end < 0 else line_end)
    return place_at(text, start + len(text[start:end].rstrip()))[1]


def offset_in_scalar(text: str, node: ScalarNode, offset: int) -> int:
    """The offset in the text of character number `offset` of the scalar's value.

    Quotes, indentation, folded lines and escapes change the blanks of a value and the spelling of
    its other characters, but never the number or order of those, so those are counted.
    """
    left = len("".join(node.value[:offset].split()))
    at, end = _content(text, node)
    while at < end:
        width, is_blank = _unit(text, at, node.style)
        if not is_blank:
            if not left:
                return at
            left -= 1
        at += width
    return node.start_mark.index


def _content(text: str, node: ScalarNode) -> tuple[int, int]:
    """Start and end of a scalar's content: after its quote, or below its header."""
    start, end = node.start_mark.index, node.end_mark.index
    if properties := _PROPERTIES.match(text, start):
        start = properties.end()
    if node.style in ("|", ">"):
        return text.find("\n", start) + 1 or end, end
    if node.style in ("'", '"'):
        return start + 1, end - 1
    return start, end


def _unit(text: str, at: int, style: str | None) -> tuple[int, bool]:
    """How wide one character of the value is in the text, and whether it is a blank."""
    if style == "'" and text.startswith("''", at):
        return 2, False
    if style == '"' and (escape := _ESCAPE.match(text, at)):
        spelled = escape[0]
        if len(spelled) == 2:  # noqa: PLR2004  # a backslash and a letter
            return 2, spelled[1] in _BLANK_ESCAPES
        return len(spelled), not PAIR.match(spelled) and chr(int(f"0x{spelled[2:]}", 0)).isspace()
    return 1, text[at].isspace()


def syntax_problem(error: yaml.YAMLError, text: str, file: str) -> Problem:
    if isinstance(error, yaml.MarkedYAMLError):
        # An open quote is noticed at the end of the file, but its start is what helps. In the
        # same way a missing colon is noticed only after the key that lacks it.
        is_late = str(error.problem).endswith(("end of stream", "could not find expected ':'"))
        marks = (error.context_mark, error.problem_mark)
        mark = (marks[0] or marks[1]) if is_late else (marks[1] or marks[0])
        line, column = place_of(text, mark) if mark is not None else (1, 1)
        reason = _plain_words(error, text)
    else:
        line, column = place_at(text, getattr(error, "position", 0))
        reason = str(getattr(error, "reason", error))
    hint = _hint(text, line, column)
    if blank := _odd_blank_near(text, line):
        line, column, hint = blank
    elif _lacks_more(error):
        reason += _comment_hint(text, line)
    message = f"not YAML: {hint or reason}"
    return Problem(file=file, line=line, column=column, where="", message=message)


def _lacks_more(error: yaml.YAMLError) -> bool:
    """Whether something is missing that a comment may hide."""
    problem = str(getattr(error, "problem", ""))
    return problem in _OPENERS or problem.startswith("did not find expected")


def _comment_hint(text: str, line: int) -> str:
    """Where the last line above ends in a comment that does not look like one."""
    lines = text.rstrip().split("\n")[: max(line - 1, 1)]
    number = next((n for n in range(len(lines), 0, -1) if lines[n - 1].strip()), 0)
    before = _CUT.match(lines[number - 1]) if number else None
    if before is None or before[0].count('"') % 2 or before[0].count("'") % 2:
        return ""
    return f"; in line {number} a comment begins at ` #`, so put a text that holds it in quotes"


def odd_blank(text: str) -> str:
    """Words about the sign that a text begins with, if it only looks like a blank."""
    if not _ODD_BLANK.match(text):
        return ""
    sign = f"{unicodedata.name(text[0])} (U+{ord(text[0]):04X})"
    return f"found {sign}, which YAML takes for a letter; here it wants plain spaces"


def _odd_blank_near(text: str, line: int) -> tuple[int, int, str] | None:
    """Place and words of such a blank in the line of an error, or in the one above.

    It counts in the indentation, and behind a `:` or `-`, where a plain space must stand.
    """
    lines = text.split("\n")[:line]
    above = next((number for number in range(len(lines) - 1, 0, -1) if lines[number - 1]), 0)
    for number in (line, above):
        here = lines[number - 1] if 0 < number <= len(lines) else ""
        place = re.match(rf" *(?:- +)*(?:[\w-]+:|-)?(?={_ODD_BLANK.pattern})", here)
        if place is not None:
            return number, place.end() + 1, odd_blank(here[place.end() :])
    return None


def _plain_words(error: yaml.MarkedYAMLError, text: str) -> str:
    """The most common mistakes in plain words, the others in those of libyaml."""
    problem = str(error.problem)
    if problem in _OPENERS and error.context_mark is not None:
        if error.problem_mark is not None and _is_second_colon(text, error.problem_mark):
            return _WORDS[_SECOND_COLON]
        line = place_of(text, error.context_mark)[0]
        closer = _OPENERS[problem][1]
        return f"expected `,` or `{closer}`; the `{_OPENERS[problem][0]}` is in line {line}"
    if problem == _SECOND_COLON and error.problem_mark is not None:
        line, column = place_of(text, error.problem_mark)
        if ": " not in text.split("\n")[line - 1][: column - 1]:
            return _NO_COLON_ABOVE
    return _WORDS.get(problem) or ", ".join(filter(None, (error.context, error.problem)))


def _is_second_colon(text: str, mark: _Mark) -> bool:
    """Whether a `: ` stands here in a line that has one before."""
    line, column = place_of(text, mark)
    here = "".join(text.split("\n")[line - 1 : line])  # a text may end before the place
    return here[column - 1 : column + 1] == ": " and ": " in here[: column - 1]


def _hint(text: str, line: int, column: int) -> str:
    """What is wrong, if the line itself shows it."""
    lines = text.split("\n")
    here = lines[line - 1] if line <= len(lines) else ""
    if "\t" in here[: max(column, len(here) - len(here.lstrip()))]:
        return "a tab stands here; YAML indents with spaces"
    if _SURROGATE.match(here[max(column - 3, 0) :]):
        return "half of a surrogate pair; write \\U0001F3EE, or the sign itself"
    above = lines[line - 2] if line > 1 else ""
    if re.search(r": [|>][-+0-9]*\s*$", above):
        return "a text below `|` or `>` is indented deeper than its key"
    if re.match(r"\s*[\w-]+\uff1a", here):
        return "the colon here is a full-width sign, which YAML takes for a letter; write `: `"
    if re.match(r"\s*-\w", here):
        return "a blank belongs behind the `-` of a list item"
    if here.lstrip().partition(":")[2].strip().startswith(("{{", "{%")):
        return "put a value that starts with `{{` in quotes"
    return ""
