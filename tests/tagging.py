"""A tag, and files that take it up and give it up again."""

import json

from dsrun.storage.metadata.pictures import tagged, untagged
from dsrun.storage.metadata.splice import ends_of
from dsrun.storage.metadata.tag import Tag

REQUEST = {"model": "wanx-v1", "input": {"prompt": "a lantern, 紙の灯"}, "parameters": {"n": 2}}


def tag(request=REQUEST, **facts):
    body = json.dumps(request, ensure_ascii=False).encode()
    made = {"job_id": "ab" * 32, "operation": "wanx-v1", "index": 1, "seed": 8, **facts}
    return Tag(request=body, **made)


def put_in(data, own=None):
    splice = tagged(ends_of(data), own or tag())
    return None if splice is None else splice.apply(data)


def take_out(data):
    splice = untagged(ends_of(data))
    return None if splice is None else splice.apply(data)
