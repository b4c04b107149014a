"""Cards as lines of text: a reader writes each UID in hexadecimal and ends the line with CR, LF or both.

Octets may be set apart by spaces, ":" or "-", and the line may begin with "UID" (readers of many makers, and those that
play a keyboard). No checksum: a line counts only when it is whole, and long enough for a UID.
"""

from __future__ import annotations

import re

_ENDS = re.compile(rb"[\r\n]+")
_LINE = re.compile(rb"\s*(?:UID\s*[:=]?\s*)?((?:[0-9A-Fa-f]{2}[ :-]?){4,10})\s*")  # UIDs have 4 to 10 octets
_SEPARATORS = b" :-"
MAX_LINE = 64


class UidLines:
    """skipped: octets so far that were no UID."""

    def __init__(self) -> None:
        self.skipped = 0
        self._rest = b""
        self._too_long = False

    def receive(self, octets: bytes) -> list[bytes]:
        """Octets of the line; the UIDs that are whole now."""
        *lines, rest = _ENDS.split(self._rest + octets)
        found = [uid for line in lines if (uid := self._uid(line))]
        if len(rest) > MAX_LINE:
            self.skipped += len(rest)
            self._too_long, rest = True, b""
        self._rest = rest
        return found

    def _uid(self, line: bytes) -> bytes:
        match, too_long = _LINE.fullmatch(line), self._too_long
        self._too_long = False
        if match is None or too_long:
            self.skipped += len(line)
            return b""
        return bytes.fromhex(match[1].translate(None, _SEPARATORS).decode())
