"""The page's frame: nothing foreign can leave its place, and the policy fits the page."""

import base64
import hashlib
import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsrun.report.page import build_page

HEAD = {
    "name": "demo", "description": "", "digest": "0" * 64, "emulated": False,
    "counts": {"succeeded": 1}, "facts": {"cost": "nothing"}, "open": 0, "jobs": 1,
    "shown": 1, "total": 1,
    "is_cut": False, "left_out": 0, "how_to_send": "", "last_run": "", "last_run_words": "",
}  # fmt: skip


def page_of(entries=(), **head):
    return b"".join(build_page(HEAD | head, list(entries), None)).decode()


@given(st.text() | st.sampled_from(["</script>", "<!--<script>", "]]>", "\u2028", "&lt;"]))
def test_any_text_comes_through_the_data_and_adds_no_markup(text):
    page = page_of([{"prompt": text}])
    (data,) = re.findall(r'(?s)id="data">(.+?)</script>', page)
    assert json.loads(data)["entries"] == [{"prompt": text}]
    assert not set("<>&") & set(data)
    assert page.count("<") == page_of([{"prompt": ""}]).count("<")


@pytest.mark.parametrize("field", ["name", "description"])
def test_the_head_is_escaped(field):
    page = page_of(**{field: "<script>alert(1)</script>"})
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert" in page


def test_the_policy_names_the_hashes_of_what_the_page_holds():
    page = page_of()
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', page)[1]
    policy = policy.replace("&#39;", "'")
    inner = re.findall(r"(?s)<(style|script)>(.+?)</\1>", page)
    assert [kind for kind, _ in inner] == ["style", "script"]
    for kind, text in inner:
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{digest}'" in policy
    assert policy.startswith("default-src 'none';")


def test_the_page_names_no_address_of_the_network():
    assert not re.search(r"(?:src|href|url)\s*[=(]\s*[\"']?(?:https?:)?//", page_of())


@pytest.mark.parametrize("count", [0, 1, 499, 500, 501, 1200])
def test_entries_that_are_written_in_parts_are_one_list(count):
    entries = [{"index": number, "prompt": f"灯 ## {number}"} for number in range(count)]
    page = page_of(entries)
    (data,) = re.findall(r'(?s)id="data">(.+?)</script>', page)
    assert json.loads(data)["entries"] == entries
    assert "\0" not in page
