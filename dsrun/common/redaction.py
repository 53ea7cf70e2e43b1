"""What must never be shown: the key, secrets of the environment, and the query of a signed URL."""

import re

_STARS = "***"
_SHORTEST = 6  # a shorter text would also match words that are no secret

_secrets: set[str] = set()

_SIGNED = re.compile(
    r"(https?://[^\s\"'<>?]*\?)"
    r"(?=[^\s\"'<>]*(?:signature|token|secret|credential|password|accesskey|api_?key|policy)[^=]*=)"
    r"[^\s\"'<>]*",
    re.IGNORECASE,
)
_PASSWORD = re.compile(r"(https?://)[^\s/@\"'<>?]+@", re.IGNORECASE)
_KEY = re.compile(r"\bsk-[A-Za-z0-9_-]{16,}|(?<=\bBearer )[^\s\"']+", re.IGNORECASE)
_SUSPECT = re.compile(
    "http|sk-|bearer", re.IGNORECASE
)  # without one of these, none of the patterns can match


def keep_secret(text: str) -> None:
    """From now on `mask` hides this text wherever it appears."""
    if len(text) >= _SHORTEST:
        _secrets.add(text)


def mask(text: str) -> str:
    """The text without known secrets, keys, passwords and signatures in addresses."""
    for secret in sorted(_secrets, key=len, reverse=True):
        text = text.replace(secret, _STARS)
    if not _SUSPECT.search(text):
        return text
    text = _SIGNED.sub(rf"\1{_STARS}", text)
    text = _PASSWORD.sub(rf"\1{_STARS}@", text)
    return _KEY.sub(_STARS, text)
