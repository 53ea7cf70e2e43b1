"""PNG: texts between the header and whatever else the file has, where every reader sees them.

Plain text (tEXt) wherever ASCII says it, as Pillow does: ImageMagick passes over the other kind.
"""

import re
import zlib

from dsrun.storage.metadata.splice import Ends, Splice
from dsrun.storage.metadata.tag import SOFTWARE, Tag, escaped

_START = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"
_BEGIN = 33  # signature and IHDR end here
_AROUND = 12  # length, type and checksum of a chunk
_TEXTS = (b"tEXt", b"zTXt", b"iTXt")
_AFTER_KEYWORD = {
    b"tEXt": b"\0",
    b"iTXt": b"\0\0\0\0\0",  # not compressed, no language, no translated keyword
}
_FACTS, _SOFTWARE, _DESCRIPTION = b"dsrun", b"Software", b"Description"
_NO_ASCII = re.compile(r'[^\0-\x7f][^"\\\0-\x1f]*')  # and what may follow, to match it at once


def tagged(ends: Ends, tag: Tag) -> Splice | None:
    """None where the chunks cannot be read, or there is a tag. What a file says itself stays."""
    taken = _keywords(ends.head)
    if taken is None or _FACTS in taken:
        return None
    texts = {_FACTS: escaped(tag.facts().decode(), _NO_ASCII)}
    if _SOFTWARE not in taken:
        texts = {_SOFTWARE: SOFTWARE, **texts}
    if _DESCRIPTION not in taken and (prompt := tag.prompt().replace("\0", "")):
        texts = {_DESCRIPTION: prompt, **texts}
    chunks = b"".join(_chunk(keyword, text) for keyword, text in texts.items())
    return Splice(ends.head[:_BEGIN] + chunks, _BEGIN, ends.size)


def untagged(ends: Ends) -> Splice | None:
    """Takes out the texts that `tagged` put in; the last of them are the facts."""
    head, at = ends.head, _BEGIN
    if not head.startswith(_START):
        return None
    while after := _AFTER_KEYWORD.get(head[at + 4 : at + 8]):
        length = int.from_bytes(head[at : at + 4])
        keyword, _, text = head[at + 8 : at + 8 + length].partition(after)
        at += length + _AROUND
        if keyword == _FACTS and at <= ends.size:
            return Splice(head[:_BEGIN], at, ends.size)
        if keyword != _DESCRIPTION and (keyword, text) != (_SOFTWARE, SOFTWARE.encode()):
            return None
    return None


def _keywords(head: bytes) -> set[bytes] | None:
    """The keywords of the texts before the pixels; None where the chunks do not lead there."""
    if not head.startswith(_START):
        return None
    keywords: set[bytes] = set()
    at = _BEGIN
    while (kind := head[at + 4 : at + 8]) != b"IDAT":
        if not kind.isalpha() or len(kind) < 4:  # noqa: PLR2004
            return None
        if kind in _TEXTS:
            keywords.add(head[at + 8 : at + 8 + 80].partition(b"\0")[0])  # a keyword has up to 79
        at += int.from_bytes(head[at : at + 4]) + _AROUND
    return keywords


def _chunk(keyword: bytes, text: str) -> bytes:
    kind = b"tEXt" if text.isascii() else b"iTXt"
    named = kind + keyword + _AFTER_KEYWORD[kind] + text.encode()
    return b"%b%b%b" % (
        (len(named) - 4).to_bytes(4), named, zlib.crc32(named).to_bytes(4),
    )  # fmt: skip
