"""Which characters change what a reader sees without being seen? Control characters (a terminal obeys them) and bidirectional overrides."""

import re
from typing import Final

_UNSEEN: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ufeff]")
"""Line feeds and tabs stay, and so do joiners and direction marks: many scripts need those."""


def without(text: str) -> str:
    """The text without them, each kind of line end as one line feed."""
    return _UNSEEN.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))


def marked(text: str) -> str:
    """The text with a mark for each of them, for a terminal: what somebody sent must not move the cursor, write a title, or turn words around."""
    return _UNSEEN.sub("\N{REPLACEMENT CHARACTER}", text.replace("\r\n", "\n"))


def spelled(json: str) -> str:
    """A JSON document with each of them escaped, which says the same; what JSON holds between its strings is none of them."""
    return _UNSEEN.sub(lambda found: f"\\u{ord(found[0]):04x}", json)
