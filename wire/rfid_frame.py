"""Cards as ASCII frames of UART readers (RDM6300, ID-12 and their like).

    STX  octets in hexadecimal  their XOR in hexadecimal  [CR LF]  ETX
    02   30 31 30 30 36 33 45 39 41 45  32 35                       03      octets 01 00 63 E9 AE, XOR 25

125 kHz readers send 5 octets (version and number of an EM4100 tag), 13.56 MHz readers the 4, 7, 8 or 10 of the UID.
"""

from __future__ import annotations

import re
from functools import reduce
from operator import xor

STX, ETX = b"\x02", b"\x03"
_CONTENT = re.compile(rb"((?:[0-9A-Fa-f]{2}){4,10})([0-9A-Fa-f]{2})(?:\r\n)?")
MAX_CONTENT = 24  # 10 octets and the XOR in hexadecimal, CR LF


def checksum(uid: bytes) -> int:
    """XOR of all octets."""
    return reduce(xor, uid, 0)


def frame(uid: bytes) -> bytes:
    """What a reader sends for a UID."""
    return STX + f"{uid.hex()}{checksum(uid):02x}".upper().encode() + ETX


class RfidFrames:
    """skipped: octets so far that belong to no good frame."""

    def __init__(self) -> None:
        self.skipped = 0
        self._buffer = b""

    def receive(self, octets: bytes) -> list[bytes]:
        """Octets of the line; the UIDs that are whole now. After damage it goes on with the next STX."""
        found: list[bytes] = []
        buffer = self._buffer + octets
        while True:
            start = buffer.find(STX)
            if start < 0:
                start = len(buffer)
            self.skipped += start
            buffer = buffer[start:]
            end = buffer.find(ETX, 1, MAX_CONTENT + 2)
            if end < 0 and len(buffer) < MAX_CONTENT + 2 and STX not in buffer[1:]:
                self._buffer = buffer
                return found
            uid = _uid(buffer[1:end]) if end > 0 else b""
            if uid:
                found.append(uid)
                buffer = buffer[end + 1 :]
            else:
                self.skipped += 1
                buffer = buffer[1:]


def _uid(content: bytes) -> bytes:
    match = _CONTENT.fullmatch(content)
    if match is None:
        return b""
    uid = bytes.fromhex(match[1].decode())
    return uid if checksum(uid) == int(match[2], 16) else b""
