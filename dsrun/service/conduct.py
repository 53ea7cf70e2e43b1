"""How dsrun behaves towards any server, whichever library speaks to it."""

from dsrun import __version__

USER_AGENT = f"dsrun/{__version__}"
KEEPALIVE_S = 4.0  # less than common servers keep: a create must not meet a closing connection
UNPACKED = {"Accept-Encoding": "identity"}
REDIRECTS = (301, 302, 303, 307, 308)
_LONGEST_REASON = 300


def host_of(url: str) -> str:
    """Host and port alone: the query may be signed."""
    return url.split("/")[2] if url.count("/") > 1 else url


def short(words: str) -> str:
    """An error of a library quotes what it could not read, which may be a quarter of a megabyte."""
    return words if len(words) <= _LONGEST_REASON else f"{words[:_LONGEST_REASON]} ..."
