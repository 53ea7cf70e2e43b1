"""Whether a text is written in the script of its language: a guess, so never more than a warning.

Scripts are told apart, not languages: nobody can see from its letters that a text is German. The
units that are counted are words of an alphabet and single characters of Chinese, kana and Hangul.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache

from dsrun.common.models import Json
from dsrun.common.pointer import KeyPath, value_at
from dsrun.service.operation import LanguageRule

_UNIT = re.compile(
    "(?P<latin>[A-Za-z\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u024f\u1e00-\u1eff\uff21-\uff3a\uff41-\uff5a]+)"
    "|(?P<han>[\u3005\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff])"
    "|(?P<kana>[\u3041-\u3096\u30a1-\u30fa\u31f0-\u31ff\uff66-\uff9d])"
    "|(?P<hangul>[\u1100-\u11ff\u3131-\u318e\uac00-\ud7a3])"
    "|(?P<cyrillic>[\u0400-\u052f]+)"
    r"|(?P<other>[^\W\d_]+)"
)
_SCRIPTS: Mapping[str, tuple[str, ...]] = {
    "zh": ("han",),
    "ja": ("han", "kana"),
    "ko": ("hangul",),
    "ru": ("cyrillic",),
}
_WORDS = {
    "latin": "Latin letters",
    "han": "Chinese characters",
    "kana": "Japanese kana",
    "hangul": "Korean Hangul",
    "cyrillic": "Cyrillic letters",
    "other": "letters of another script",
}
_LEAST = 0.3  # share of the language's own script; names and loanwords make up the rest
_MOST_KANA = 0.2  # beyond which Chinese characters are no sign of Chinese
_LONGEST_WITHOUT_KANA = 12  # characters; a longer Japanese text has some


def language_notes(request: Json, rules: Sequence[LanguageRule]) -> Iterator[tuple[KeyPath, str]]:
    """Path and words of every text of a request that is in another script than its language."""
    for rule in rules:
        text = value_at(request, rule.at)
        if not isinstance(text, str):
            continue
        named = rule.named_by and value_at(request, rule.named_by)
        languages = rule.languages or (named or rule.default,)
        script = foreign_script(text, languages)
        if script is None:
            continue
        if rule.named_by is None:
            yield rule.at, f"found {script}; the service knows {' and '.join(languages)} only"
            continue
        key = rule.named_by[-1]
        told = f"{key} is {named or rule.default}"
        if named is None:
            told += ", which the service takes when none is given"
        yield rule.at, f"found {script}, but {told}; the two must agree"


def foreign_script(text: str, languages: tuple[str, ...]) -> str | None:
    """The script that most of a text is in, in words, where it is none of these languages'."""
    if text.isascii() and "latin" in _scripts_of(languages):
        return None  # it has no other letters
    return _foreign_script(text, languages)


@lru_cache
def _scripts_of(languages: tuple[str, ...]) -> frozenset[str]:
    return frozenset(
        script for language in languages for script in _SCRIPTS.get(language, ("latin",))
    )


@lru_cache(maxsize=1024)
def _foreign_script(text: str, languages: tuple[str, ...]) -> str | None:
    counts = Counter(match.lastgroup for match in _UNIT.finditer(text))
    total = counts.total()
    own = _scripts_of(languages)
    if "kana" not in own and counts["kana"] > _MOST_KANA * total:
        return _WORDS["kana"]
    if languages == ("ja",) and not counts["kana"] and counts["han"] > _LONGEST_WITHOUT_KANA:
        return "Chinese characters without kana"
    if sum(counts[script] for script in own) >= _LEAST * total:
        return None
    return _WORDS[max((script for script in _WORDS if script not in own), key=counts.__getitem__)]
