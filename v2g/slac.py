"""SLAC: which vehicle hangs on which cable (ISO 15118-3 annex A, HomePlug Green PHY).

Only the header of the management messages (MME) is here, so that captures can name them. The matching itself
(sounds, attenuation profile, timers) is not built; its state machines will live in this module.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum

from ports.errors import PeerError

ETHERTYPE = 0x88E1  # HomePlug AV
_HEADER = struct.Struct("<BHBB")


class Mme(IntEnum):
    """Message types of SLAC (HomePlug Green PHY 1.1, ISO 15118-3 table A.1)."""

    CM_SET_KEY_REQ = 0x6008
    CM_SET_KEY_CNF = 0x6009
    CM_AMP_MAP_REQ = 0x601C
    CM_AMP_MAP_CNF = 0x601D
    CM_SLAC_PARM_REQ = 0x6064
    CM_SLAC_PARM_CNF = 0x6065
    CM_START_ATTEN_CHAR_IND = 0x606A
    CM_ATTEN_CHAR_IND = 0x606E
    CM_ATTEN_CHAR_RSP = 0x606F
    CM_MNBC_SOUND_IND = 0x6076
    CM_VALIDATE_REQ = 0x6078
    CM_VALIDATE_CNF = 0x6079
    CM_SLAC_MATCH_REQ = 0x607C
    CM_SLAC_MATCH_CNF = 0x607D
    CM_ATTEN_PROFILE_IND = 0x6086


@dataclass(frozen=True, slots=True)
class MmeHeader:
    """version: MMV (1 = HomePlug AV 1.1). kind: MMTYPE. fragment: FMI, 2 octets. body: what follows."""

    version: int
    kind: int
    fragment: bytes
    body: bytes

    @property
    def name(self) -> str:
        """As "CM_SLAC_PARM_REQ", or "MME 0x1234" for types that are none of SLAC's."""
        return Mme(self.kind).name if self.kind in tuple(Mme) else f"MME {self.kind:#06x}"


def parse_header(payload: bytes) -> MmeHeader:
    """Read what follows the EtherType 0x88E1. Raises PeerError when shorter than the header of 5 octets."""
    if len(payload) < _HEADER.size:
        raise PeerError(f"MME header has {_HEADER.size} octets, got {len(payload)}", payload)
    version, kind, *fragment = _HEADER.unpack_from(payload)
    return MmeHeader(version, kind, bytes(fragment), payload[_HEADER.size :])
