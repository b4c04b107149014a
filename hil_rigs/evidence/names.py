"""Names of files in evidence: the same on every system, and never a way out of the folder."""

from __future__ import annotations

import unicodedata

from ports.errors import PeerError

MAX_NAME = 200  # octets of UTF-8; file systems take 255 for one segment
MAX_DEPTH = 4
_FORBIDDEN = frozenset('\\:*?"<>|')  # Windows


class BadNameError(PeerError):
    """A name that no file of evidence may have."""


def check_name(name: str) -> str:
    """The name itself. Raises BadNameError: absolute, with dots as a segment, too long, unprintable, not NFC."""
    segments = name.split("/")
    for wrong, why in (
        (len(name.encode("utf-8", "surrogatepass")) > MAX_NAME, f"longer than {MAX_NAME} octets"),
        (len(segments) > MAX_DEPTH, f"deeper than {MAX_DEPTH} folders"),
        (any(segment.strip(". ") == "" for segment in segments), "an empty or dotted segment"),
        (any(segment != segment.rstrip(". ") for segment in segments), "a segment that ends in a dot or space"),
        (not name.isprintable() or not _FORBIDDEN.isdisjoint(name), "a character that not every system takes"),
        (unicodedata.normalize("NFC", name) != name, "not in normal form C"),
    ):
        if wrong:
            raise BadNameError(f"file name {name!r}: {why}", received=name)
    return name
