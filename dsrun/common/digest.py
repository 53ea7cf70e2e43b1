"""Canonical JSON (RFC 8785) and the SHA-256 ids made from it."""

import hashlib
import json
import math
import re
from functools import lru_cache
from types import NoneType
from typing import Any

import orjson
import rfc8785

from dsrun.common.models import Json

_LONGEST_INTEGER = 100  # characters; what is longer is an id, not a number
_MAX_SAFE = 2**53 - 1
_LONG_NUMBER = re.compile(rb"[0-9]{19}")
_TEXT = frozenset({str})
_PLAIN = frozenset({str, bool, NoneType})
_BELOW_SURROGATES = re.compile(r"[^\ud800-\U0010ffff]*").fullmatch


class NotCanonical(ValueError):
    """The value has no canonical JSON: a lone surrogate, NaN, infinity, an integer past 2^53-1."""


def canonical_json(value: Json) -> bytes:
    """The RFC 8785 bytes of a JSON value. Raises NotCanonical."""
    try:
        if _is_plain(value):
            return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
        return rfc8785.dumps(value)
    except (rfc8785.CanonicalizationError, orjson.JSONEncodeError, UnicodeError) as error:
        raise NotCanonical(str(error)) from error


def json_text(value: Json) -> str:
    """JSON of any value, keys in their own order, integers of any size."""
    try:
        return orjson.dumps(value).decode()
    except TypeError:
        return json.dumps(value, ensure_ascii=False)


def parse_json(text: bytes | str) -> Json:
    """The value of JSON, integers of any size. Raises ValueError."""
    data = text.encode() if isinstance(text, str) else text
    value = orjson.loads(data)
    # orjson makes a float of an integer past 64 bits.
    return json.loads(data, parse_int=parse_integer) if _LONG_NUMBER.search(data) else value


def parse_integer(text: str, base: int = 10) -> int:
    """Raises ValueError."""
    if len(text) > _LONGEST_INTEGER:
        raise ValueError(
            f"an integer of {len(text)} characters is too long; put it in quotes to make it text"
        )
    return int(text, base)


def sha256_hex(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def job_id_of(operation: str, replica: int, body: bytes, *, take: int = 1) -> str:
    """SHA-256 of the canonical JSON of operation, replica and request (whose bytes are `body`).

    A further `take` of the same request is another job.
    """
    tail = b"}" if take == 1 else b',"take":%d}' % take
    return sha256_hex(_id_head(operation, replica) + b',"request":' + body + tail)


@lru_cache
def _id_head(operation: str, replica: int) -> bytes:
    return canonical_json({"operation": operation, "replica": replica})[:-1]


def canonical_sha256(value: Json) -> str:
    return sha256_hex(canonical_json(value))


def tagged(value: Json) -> Json:
    """Tag values that RFC 8785 would merge but a template would print differently.

    1.0 and 1 have the same canonical JSON; `{{ 1.0 }}` and `{{ 1 }}` are different prompts.
    """
    if isinstance(value, dict):
        # A key of the user's own that looks like a tag gets one more mark.
        return {f"!{key}" if key[:1] == "!" else key: tagged(value[key]) for key in value}
    if isinstance(value, list | tuple):
        return [tagged(item) for item in value]
    if isinstance(value, float) and (value.is_integer() or not math.isfinite(value)):
        return {"!float": repr(value)}
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > _MAX_SAFE:
        return {"!int": str(value)}
    return value


def _is_plain(value: Any) -> bool:
    """Whether orjson provably writes the RFC 8785 bytes (a property test holds this)."""
    kind = type(value)
    if kind is dict and not _has_plain_keys(value):
        return False
    for part in value.values() if kind is dict else value if kind is list else (value,):
        kind = type(part)
        if kind is int:
            if not -_MAX_SAFE <= part <= _MAX_SAFE:
                return False
        elif kind is dict or kind is list:
            if not _is_plain(part):
                return False
        elif kind not in _PLAIN:
            return False
    return True


def _has_plain_keys(value: dict[Any, Any]) -> bool:
    """Keys are ordered by UTF-16 units there and by UTF-8 bytes here: the same below U+D800."""
    if not _TEXT.issuperset(map(type, value)):
        return False
    keys = "".join(value)
    return keys.isascii() or _BELOW_SURROGATES(keys) is not None
