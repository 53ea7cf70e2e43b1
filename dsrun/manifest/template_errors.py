"""What is wrong with a template, and at which character of it.

Jinja knows lines only. So each token gets the number of its first character in place of its line;
Jinja carries that number through parser and compiler, and reports it in errors.
"""

import re
from collections.abc import Iterable, Iterator, Mapping

from jinja2 import TemplateSyntaxError, nodes

from dsrun.common.messages import nearest

_BASE = 1 << 24  # numbers below are lines
_WORD = re.compile(r"\w+|[%}#]\}|\S")
_NAMED = re.compile(r"^(\w+) is undefined|'(\w+)'")
_UNCLOSED = re.compile(r"Unexpected end of template.* closed is '(\w+)'")
_CROSSED = re.compile(r"Encountered unknown tag '(\w+)'.* closed is '(\w+)'")
_UNKNOWN_TAG = re.compile(r"Encountered unknown tag '(\w+)'\.?")
_UNKNOWN_NAME = re.compile(r"No (filter|test) named '(\w+)'\.")
_SIGNS = {
    "'begin of print statement'": "{{",
    "'end of print statement'": "}}",
    "'end of statement block'": "%}",
    "'end of template'": "the end of the template",
}
_TAGS = (
    *("for", "endfor", "if", "elif", "else", "endif", "set", "endset", "with", "endwith"),
    *("macro", "endmacro", "include", "import", "from", "raw", "endraw", "filter", "endfilter"),
)
_BLOCK = re.compile(r"\{%[-+]?\s*(end)?(\w+)")
_MAYBE_LITERAL = re.compile(
    r"(?i)unexpected|expected token|expected an expression|missing end of|"
    r"encountered unknown tag '(?!end)\w+'\.?\Z"
)
_CHAR = re.compile(r"^unexpected char (.+) at \d+$")
_EXPRESSION = re.compile(r"[A-Za-z_][\w.]*(\[\w+\]|\s*\|\s*\w+)*")  # a name, its parts, filters
_INNER = re.compile(r"[-+]?\s*(.*?)\s*[-+]?", re.DOTALL)
_OPENERS, _CLOSERS = ("{{", "{%"), ("}}", "%}")


LITERAL = "braces that are meant as such stand between {% raw %} and {% endraw %}"


class TemplateProblem(Exception):
    """A template cannot be read or rendered.

    `line` and `column` count from 1 within its text, `offset` from 0, and `width` characters
    from there are meant; -1 where the place is not known. `file` is the included file, if any.
    """

    def __init__(
        self, message: str, *, file: str = "", source: str = "", span: tuple[int, int] | None = None
    ) -> None:
        super().__init__(message)
        self.file = file
        self.offset, self.width = span or (-1, 0)
        before = source[: max(self.offset, 0)]
        self.line = before.count("\n") + 1
        self.column = len(before) - before.rfind("\n")


def numbered(tokens: Iterable[tuple[int, str, str]], source: str) -> Iterator[tuple[int, str, str]]:
    """Jinja's raw tokens, with the offset of their first character in place of their line."""
    at = 0
    try:
        for _, kind, value in tokens:
            # Only blanks that a `-` removes lie between the tokens.
            start = max(at, source.find(value, at))
            yield _BASE + start, kind, value
            at = start + len(value)
    except TemplateSyntaxError as error:
        error.lineno = _BASE + at  # nothing behind the last token can be read
        raise


def unreadable(
    error: TemplateSyntaxError, source: str, file: str, known: Mapping[str, Iterable[str]]
) -> TemplateProblem:
    """The problem of a template that Jinja cannot parse or compile.

    `known`: the names that there are of each kind, `filter` and `test`.
    """
    jinjas = error.message or ""
    span = _unclosed(jinjas, source) or _word_at(source, offset_of(error.lineno, source))
    words = _plain_words(jinjas, known)
    words += _half_closed(source, span[0]) or _raw_hint(jinjas, words, source, span[0])
    message = f"the template cannot be read: {words}"
    return TemplateProblem(message, file=file, source=source, span=span)


def _half_closed(source: str, at: int) -> str:
    """Advice for an expression that ends in one brace where two were meant."""
    opener = source.rfind("{{", 0, at)
    inner = source[opener + 2 : at].strip()
    if opener < 0 or source[at : at + 2].strip() != "}" or not _EXPRESSION.fullmatch(inner):
        return ""
    return f"; a `}}` is missing: write {{{{ {inner} }}}}"


def _raw_hint(jinjas: str, words: str, source: str, at: int) -> str:
    """Advice for braces that look as if they were never meant as a template."""
    is_known = _UNCLOSED.match(jinjas) or "did you mean" in words
    if is_known or not _MAYBE_LITERAL.match(jinjas):
        return ""
    opener = max(source.rfind(sign, 0, at + 1) for sign in _OPENERS)
    is_spaced = source[opener + 2 : opener + 3].isspace()  # as templates are written
    is_half = jinjas.startswith(("unexpected", "expected token 'name'"))
    return "" if is_spaced and is_half else f"; {LITERAL}"


def _plain_words(message: str, known: Mapping[str, Iterable[str]]) -> str:
    """Jinja's words for its own tokens, as a person writes them."""
    if name := _UNKNOWN_NAME.fullmatch(message):
        kind, word = name.groups()
        return f"there is no {kind} named {word}{nearest(word, known[kind])}"
    if tag := _UNCLOSED.match(message):
        return f"this {{% {tag[1]} %}} is never closed; add {{% end{tag[1]} %}}"
    if tag := _CROSSED.match(message):
        return f"found {{% {tag[1]} %}} where the last open tag is {{% {tag[2]} %}}"
    if tag := _UNKNOWN_TAG.fullmatch(message):
        if tag[1] in _TAGS:
            return f"found {{% {tag[1]} %}} where no block is open that it could belong to"
        return f"there is no tag {tag[1]}{nearest(tag[1], _TAGS)}"
    for jinjas, ours in _SIGNS.items():
        message = message.replace(jinjas, ours)
    return _CHAR.sub(r"unexpected \1", message)


def unrendered(message: str, number: int, source: str, file: str) -> TemplateProblem:
    """The problem of a template that fails while it is rendered, in the expression at `number`."""
    start, end = _tag_around(source, offset_of(number, source))
    for match in _NAMED.finditer(message):
        name = match[1] or match[2]
        word = re.compile(rf"(?<!\w){re.escape(name)}(?!\w)").search(source, start, end)
        if word is not None:
            return TemplateProblem(message, file=file, source=source, span=_span(word))
    first_line = source[start:end].partition("\n")[0].rstrip()
    span = (start, max(1, len(first_line)))
    return TemplateProblem(message, file=file, source=source, span=span)


def misnamed(message: str, tree: nodes.Template, name: str, source: str, file: str) -> Exception:
    """The problem of a template that includes `name`; without a name, of one that computes it."""
    at = source.find(name) if name else -1
    if at >= 0:
        return TemplateProblem(message, file=file, source=source, span=(at, len(name)))
    for node in tree.find_all((nodes.Include, nodes.Import, nodes.FromImport, nodes.Extends)):
        if not isinstance(named := getattr(node, "template", None), nodes.Const | None):
            return unrendered(message, named.lineno, source, file)
    return TemplateProblem(message, file=file)


def offset_of(number: int, source: str) -> int:
    """The offset that a number of Jinja's stands for: a token's, or that of a line's start."""
    if number >= _BASE:
        return number - _BASE
    lines = source.split("\n")[: max(number - 1, 0)]
    return sum(len(line) + 1 for line in lines)


def _tag_around(source: str, offset: int) -> tuple[int, int]:
    """Start and end of what is between the braces around an offset."""
    openers = [source.rfind(sign, 0, offset + 1) for sign in _OPENERS]
    start = max(openers)
    if start < 0:
        return offset, len(source)
    closer = _CLOSERS[openers.index(start)]
    end = source.find(closer, start)
    end = len(source) if end < 0 else end
    inner = _INNER.fullmatch(source, start + 2, end)
    return inner.span(1) if inner is not None else (start + 2, end)


def _word_at(source: str, offset: int) -> tuple[int, int]:
    word = _WORD.search(source, min(offset, len(source)))
    return _span(word) if word is not None else (max(0, len(source.rstrip()) - 1), 1)


def _unclosed(message: str, source: str) -> tuple[int, int] | None:
    """The span of the tag whose block is never closed."""
    named = _UNCLOSED.search(message)
    open_tags: list[tuple[int, int]] = []
    for tag in _BLOCK.finditer(source):
        if named is None or tag[2] != named[1]:
            continue
        if not tag[1]:
            open_tags.append(_span(tag))
        elif open_tags:
            open_tags.pop()
    return open_tags[-1] if open_tags else None


def _span(match: re.Match[str]) -> tuple[int, int]:
    return match.start(), match.end() - match.start()
