"""PNG: international text (iTXt) between the header and whatever else the file has.

Chunks that stand before the pixels are seen by every reader, and a file can be cut off behind them.
"""

import zlib

from dsrun.splicing import Ends, Splice
from dsrun.tagging.tag import SOFTWARE, Tag

_START = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"
_BEGIN = 33  # signature and IHDR end here
_AROUND = 12  # length, type and checksum of a chunk
_TEXTS = (b"tEXt", b"zTXt", b"iTXt")
_PLAIN = b"\0\0\0\0\0"  # after the keyword: not compressed, no language, no translated keyword
_FACTS, _SOFTWARE, _DESCRIPTION = b"dsrun", b"Software", b"Description"


def tagged(ends: Ends, tag: Tag) -> Splice | None:
    """None where the file's chunks cannot be read, or it has a tag. Its own texts stay first."""
    taken = _keywords(ends.head)
    if taken is None or _FACTS in taken:
        return None
    texts = {_FACTS: tag.facts()}
    if _SOFTWARE not in taken:
        texts = {_SOFTWARE: SOFTWARE.encode(), **texts}
    if _DESCRIPTION not in taken and (prompt := tag.prompt().replace("\0", "")):
        texts = {_DESCRIPTION: prompt.encode(), **texts}
    chunks = b"".join(_chunk(keyword, text) for keyword, text in texts.items())
    return Splice(ends.head[:_BEGIN] + chunks, _BEGIN, ends.size)


def untagged(ends: Ends) -> Splice | None:
    """Takes the texts out that `tagged` put in; the last of them are the facts."""
    head, at = ends.head, _BEGIN
    if not head.startswith(_START):
        return None
    while head[at + 4 : at + 8] == b"iTXt":
        length = int.from_bytes(head[at : at + 4])
        keyword, _, text = head[at + 8 : at + 8 + length].partition(_PLAIN)
        at += length + _AROUND
        if keyword == _FACTS and at <= ends.size:
            return Splice(head[:_BEGIN], at, ends.size)
        if keyword != _DESCRIPTION and (keyword, text) != (_SOFTWARE, SOFTWARE.encode()):
            return None
    return None


def _keywords(head: bytes) -> set[bytes] | None:
    """Of the texts before the pixels; None where the chunks do not lead there."""
    if not head.startswith(_START):
        return None
    found: set[bytes] = set()
    at = _BEGIN
    while (kind := head[at + 4 : at + 8]) != b"IDAT":
        if not kind.isalpha() or len(kind) < 4:  # noqa: PLR2004
            return None
        if kind in _TEXTS:
            found.add(head[at + 8 : at + 8 + 80].partition(b"\0")[0])  # a keyword has up to 79
        at += int.from_bytes(head[at : at + 4]) + _AROUND
    return found


def _chunk(keyword: bytes, text: bytes) -> bytes:
    named = b"iTXt" + keyword + _PLAIN + text
    return b"%b%b%b" % (
        (len(named) - 4).to_bytes(4), named, zlib.crc32(named).to_bytes(4),
    )  # fmt: skip
