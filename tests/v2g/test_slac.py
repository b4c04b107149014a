"""Headers of the management messages of SLAC."""

from __future__ import annotations

import pytest

from ports.errors import PeerError
from v2g.slac import Mme, parse_header


def test_the_header_names_the_message():
    header = parse_header(bytes.fromhex("0164600000") + b"\x00" * 10)
    assert (header.version, header.kind, header.name) == (1, Mme.CM_SLAC_PARM_REQ, "CM_SLAC_PARM_REQ")
    assert header.body == b"\x00" * 10


def test_other_management_messages_keep_their_number():
    assert parse_header(bytes.fromhex("0100a00000")).name == "MME 0xa000"


def test_a_short_frame_is_reported():
    with pytest.raises(PeerError, match="5 octets, got 2"):
        parse_header(b"\x01\x64")
