"""Keys of which most come once: tells quickly which of them are new for sure.

It is a Bloom filter of a fixed size. With a million keys one new key in 80 is doubtful, with ten
million every second one; a key that came before always is. So only the doubtful are looked for on
disk.
"""

from collections.abc import Iterable

_BITS = 24  # of a place: 2 MB in all, of which a small plan touches little
_PLACE = (1 << _BITS) - 1


class SeenKeys:
    """Takes keys of 8 or more bytes, which must be evenly spread, as parts of hashes are."""

    def __init__(self) -> None:
        self._bits = bytearray(1 << (_BITS - 3))

    def add(self, keys: Iterable[bytes]) -> list[bytes]:
        """Those of the keys that may have come before, in this call too; the others are new."""
        bits, doubtful = self._bits, []
        for key in keys:
            number = int.from_bytes(key[:8], "little")
            one, two = number & _PLACE, number >> 32 & _PLACE
            first, second = 1 << (one & 7), 1 << (two & 7)
            one, two = one >> 3, two >> 3
            if bits[one] & first and bits[two] & second:
                doubtful.append(key)
            else:
                bits[one] |= first
                bits[two] |= second
        return doubtful
