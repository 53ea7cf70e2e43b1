"""Tags for pictures of every format that has a place for them. Others stay as they are."""

from functools import partial

from dsrun.common.media import end_mark
from dsrun.common.models import OpenJob
from dsrun.storage.metadata import jpeg, png, webp
from dsrun.storage.metadata.splice import Change, Ends, Splice
from dsrun.storage.metadata.tag import MAX_BYTES, Tag


def tagged(ends: Ends, tag: Tag) -> Splice | None:
    """How the file takes up its tag; None where it cannot, is cut off, or has one already."""
    mark, tail = end_mark(ends.head), ends.tail
    if len(tag.request) > MAX_BYTES or not (tail.endswith(mark) or mark in tail):
        return None
    return png.tagged(ends, tag) or jpeg.tagged(ends, tag) or webp.tagged(ends, tag)


def untagged(ends: Ends) -> Splice | None:
    """How the file becomes what it was before `tagged`; None where it bears no tag."""
    return png.untagged(ends) or jpeg.untagged(ends) or webp.untagged(ends)


def tagging(job: OpenJob, index: int, *, seed: int | None) -> Change:
    """The change that tags a picture of a job, in the same way each time it is fetched."""
    tag = Tag(
        job_id=job.job_id,
        operation=job.operation,
        request=job.sent or job.whole or job.body,  # no address, which is a secret
        index=index,
        seed=seed,
    )
    return partial(tagged, tag=tag)
