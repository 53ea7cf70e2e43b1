"""Unpacks the bodies of answers as they come, piece by piece, and never more than is allowed.

What a server sends may be a thousand times as long once it is unpacked, so it is counted there.
"""

import zlib
from collections.abc import Iterable, Iterator, Sequence

ASKED_FOR = "gzip, deflate"  # the codings that an Unpacker knows, as a header names them

_PIECE = 1 << 16
_MOST_LAYERS = 2
_GZIP_OR_ZLIB = 32 + zlib.MAX_WBITS
_BARE = -zlib.MAX_WBITS
_CODINGS = ("gzip", "x-gzip", "deflate")
_METHOD, _DEFLATE = 0x0F, 8  # of a zlib header's first byte


class Oversize(Exception):
    """A body is longer than it may be."""

    def __init__(self, most: int) -> None:
        super().__init__(f"it is longer than the {most} bytes that it may have")


class Unpacker:
    """Takes a body chunk by chunk; no layer of it may become longer than `most` bytes."""

    def __init__(self, codings: Sequence[str], *, most: int) -> None:
        """`codings`: the values of Content-Encoding. Raises ValueError for one not asked for."""
        self._layers: list[_Layer] = []
        if codings:
            self._layers += (_Layer(name, most=most) for name in reversed(_names(codings)))
        self._most = most
        self._size = 0

    @property
    def is_packed(self) -> bool:
        return bool(self._layers)

    def unpack(self, chunk: bytes) -> Iterable[bytes]:
        """The pieces that a chunk becomes. Raises Oversize, or ValueError where it is damaged."""
        if self._layers:
            return self._unpacked(chunk)
        self._count(chunk)
        return (chunk,)

    def finish(self) -> None:
        """Raises ValueError where a packed body has no end."""
        if self._layers and any(layer.is_cut_off for layer in self._layers):
            raise ValueError("its packed body is cut off")

    def _unpacked(self, chunk: bytes) -> Iterator[bytes]:
        pieces: Iterator[bytes] = iter((chunk,))
        for layer in self._layers:
            pieces = layer.unpack(pieces)
        for piece in pieces:
            self._count(piece)
            yield piece

    def _count(self, piece: bytes) -> None:
        self._size += len(piece)
        if self._size > self._most:
            raise Oversize(self._most)


def _names(codings: Sequence[str]) -> list[str]:
    """In the order in which they were applied. Raises ValueError."""
    names = [name.strip().lower() for value in codings for name in value.split(",")]
    names = [name for name in names if name not in ("", "identity")]
    if unknown := sorted(set(names).difference(_CODINGS)):
        raise ValueError(f"it is packed as {unknown[0][:40]!r}, which nobody asked for")
    if len(names) > _MOST_LAYERS:
        raise ValueError(f"it is packed {len(names)} times over")
    return names


class _Layer:
    """One coding, which may be wrapped around another."""

    def __init__(self, name: str, *, most: int) -> None:
        self._may_be_bare = name == "deflate"  # some servers leave out the header of zlib
        self._most = most
        self._size = 0
        self._stream: zlib._Decompress | None = None

    @property
    def is_cut_off(self) -> bool:
        return self._stream is not None and not self._stream.eof

    def unpack(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        for chunk in chunks:
            if not chunk:
                continue
            stream = self._stream = self._stream or self._open(chunk)
            yield from self._pieces(stream, chunk)
            if stream.unused_data:
                raise ValueError("bytes stand behind its packed body")

    def _pieces(self, stream: "zlib._Decompress", data: bytes) -> Iterator[bytes]:
        is_full = True
        while data or is_full:
            try:
                piece = stream.decompress(data, _PIECE)
            except zlib.error as error:
                raise ValueError(f"its packed body cannot be read: {error}") from error
            data, is_full = stream.unconsumed_tail, len(piece) == _PIECE
            self._size += len(piece)
            if self._size > self._most:
                raise Oversize(self._most)
            yield piece

    def _open(self, chunk: bytes) -> "zlib._Decompress":
        is_bare = self._may_be_bare and chunk[0] & _METHOD != _DEFLATE
        return zlib.decompressobj(_BARE if is_bare else _GZIP_OR_ZLIB)
