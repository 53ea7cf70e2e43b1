"""XMP: what a tag says, as the packet that JPEG and WEBP files take.

Preferred to EXIF, whose descriptions are ASCII: prompts are often Chinese. A picture may have
both, so one that comes with EXIF keeps it.
"""

import re
from html import escape  # xml.sax has one too, and loads an HTTP client for it

from dsrun.storage.metadata.tag import SOFTWARE, Tag, escaped

BEGIN = (
    '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>'
    '<x:xmpmeta xmlns:x="adobe:ns:meta/">'
    '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    '<rdf:Description rdf:about="" xmlns:dc="http://purl.org/dc/elements/1.1/"'
    ' xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmlns:dsrun="urn:dsrun:picture:1#">'
).encode()  # of every packet that dsrun makes; no text in one can hold it, since `<` is escaped
_END = '</rdf:Description></rdf:RDF></x:xmpmeta><?xpacket end="w"?>'
_NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def packet(tag: Tag, *, note: str = "") -> bytes:
    """The tag in words and as JSON; `note` is XML of the container's own."""
    text = plain_text(tag.prompt())
    words = f"<xmp:CreatorTool>{SOFTWARE}</xmp:CreatorTool>{note}"
    if text:
        item = f'<rdf:li xml:lang="x-default">{_plain(text)}</rdf:li>'
        words = f"<dc:description><rdf:Alt>{item}</rdf:Alt></dc:description>{words}"
    facts = escaped(tag.facts().decode(), _NO_XML)
    return BEGIN + f"{words}<dsrun:job>{_plain(facts)}</dsrun:job>{_END}".encode()


def plain_text(text: str) -> str:
    """The text without the characters that XML does not allow."""
    return _NO_XML.sub("", text)


def _plain(text: str) -> str:
    """Escape a text. A carriage return is a number, or readers would make a line feed of it."""
    return escape(text, quote=False).replace("\r", "&#13;")
