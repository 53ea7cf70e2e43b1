"""Pictures of the cache as this run wants them: with their request in the metadata, or without."""

from dataclasses import replace
from pathlib import Path

from dsrun.storage.cache_index import CachedFile
from dsrun.storage.metadata.pictures import untagged
from dsrun.storage.metadata.splice import Change, rewrite


def retag(path: Path, file: CachedFile, *, tag: Change | None) -> CachedFile:
    """The file as it is then; unchanged where it has what is wanted, or cannot take it up.

    Without a tag it is what the service gave, to the byte. Raises OSError.
    """
    is_tagged = file.sha256 != file.source_sha256
    if is_tagged is (tag is not None):
        return file
    if tag is None:
        written = rewrite(path, untagged, sha256=file.source_sha256)
    else:
        written = rewrite(path, tag)
    return file if written is None else replace(file, sha256=written.sha256, size=written.size)


def retag_to(path: Path, file: CachedFile, *, tag: Change, sha256: str) -> CachedFile | None:
    """The file once it is the one of this SHA-256; None where it cannot be. Raises OSError."""
    if file.sha256 != sha256:
        is_tagged = file.sha256 != file.source_sha256
        file = retag(path, file, tag=None if is_tagged else tag)
    return file if file.sha256 == sha256 else None
