"""Cases below the messages: V2GTP headers, and the SDP server with a transport that only takes notes."""

from __future__ import annotations

from typing import Any

from tests.conformance.tester import Tester
from tests.doubles import ManualClock
from v2g import sdp
from v2g.exi.codec import encode
from v2g.link.interfaces import in_memory
from v2g.link.sdp_server import SdpServer, TlsPolicy
from v2g.v2gtp import Frame, PayloadType, parse_frame

PORTS = {sdp.Security.TLS: 50001, sdp.Security.NONE: 50000}
MESSAGE_TIMEOUT = 2.0  # par_V2G_EVCC_Msg_Timeout_SessionSetupReq


class Notes:
    """A datagram transport that keeps what is sent."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []

    def sendto(self, octets: bytes, _address: Any = None) -> None:
        """Keep it."""
        self.sent.append(octets)

    def get_extra_info(self, _name: str, default: Any = None) -> Any:
        """Nothing is known."""
        return default

    def is_closing(self) -> bool:
        """Never."""
        return False


def _ask(policy: TlsPolicy, octets: bytes) -> list[bytes]:
    notes = Notes()
    server = SdpServer(in_memory(), policy, lambda: PORTS, ManualClock())
    server.connection_made(notes)  # type: ignore[arg-type]
    server.datagram_received(octets, ("fe80::1", 50123, 0, 0))
    return notes.sent


def _header(octets: bytes, changes: dict[str, int]) -> bytes:
    header = bytearray(octets[:8])
    for field, at, width in (("version", 0, 1), ("inverse", 1, 1), ("payload_type", 2, 2), ("length", 4, 4)):
        if field in changes:
            header[at : at + width] = changes[field].to_bytes(width, "big")
    return bytes(header) + octets[8:]


def sdp_answer(policy: TlsPolicy, asked: sdp.Security, answered: sdp.Security) -> None:
    """A valid request gets one valid answer with this security."""
    (answer,) = _ask(policy, bytes(sdp.SdpRequest(asked, sdp.Transport.TCP).frame()))
    assert answer[:8] == bytes.fromhex("01fe900100000014")
    response = sdp.parse(answer)
    assert isinstance(response, sdp.SdpResponse)
    assert (response.security, response.transport, response.port) == (answered, sdp.Transport.TCP, PORTS[answered])
    assert response.address == in_memory().address


def sdp_ignored(**changes: int) -> None:
    """A request with a wrong header gets no answer."""
    octets = bytes(sdp.SdpRequest(sdp.Security.NONE, sdp.Transport.TCP).frame())
    assert _ask(TlsPolicy.OFF, _header(octets, changes)) == []
    assert len(_ask(TlsPolicy.OFF, octets)) == 1


def _setup_request(tester: Tester) -> bytes:
    tester.reach("SessionSetupReq")
    return bytes(Frame(PayloadType.EXI, encode(tester.message("SessionSetupReq"))))


def setup_frame() -> None:
    """SessionSetupReq in a right frame is answered in a right frame."""
    tester = Tester()
    octets = _setup_request(tester)
    assert tester.exchange(octets) is not None
    frame = next(event.octets for event in reversed(tester.events) if type(event).__name__ == "Send")  # type: ignore[attr-defined]
    assert frame[:4] == bytes.fromhex("01fe8001")
    assert parse_frame(frame).payload


def setup_ignored(**changes: int) -> None:
    """SessionSetupReq in a wrong frame: no answer, and TCP stays up for the message timeout."""
    tester = Tester()
    octets = _header(_setup_request(tester), changes)
    assert tester.exchange(octets) is None
    assert tester.wait(MESSAGE_TIMEOUT) == []
    assert tester.closed_at is None
