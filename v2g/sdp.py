"""SDP: how the vehicle finds the station's TCP port (ISO 15118-2 7.10.1, DIN SPEC 70121 8.7.4).

The vehicle asks the link-local group ff02::1 on UDP port 15118, the station answers with its address and port.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from ipaddress import IPv6Address

from ports.errors import PeerError
from v2g.v2gtp import Frame, PayloadType, parse_frame, payload_type_name

UDP_PORT = 15118  # V2G_UDP_SDP_SERVER, ISO 15118-2 table 15
MULTICAST_GROUP = IPv6Address("ff02::1")
RETRY_SECONDS = 0.25  # ISO 15118-2 table 14
MAX_REQUESTS = 50  # ISO 15118-2 [V2G2-159]
TCP_PORTS = range(49152, 65536)  # V2G_SRC_TCP_DATA, ISO 15118-2 table 15


class Security(IntEnum):
    """ISO 15118-2 table 16."""

    TLS = 0x00
    NONE = 0x10


class Transport(IntEnum):
    """ISO 15118-2 table 17; UDP is reserved there."""

    TCP = 0x00
    UDP = 0x10


class SdpError(PeerError):
    """An SDP message that breaks the rules; the octets are in `received`."""


@dataclass(frozen=True, slots=True)
class SdpRequest:
    """What the vehicle wants. The octets may be reserved values: a station ignores such requests."""

    security: int = Security.TLS
    transport: int = Transport.TCP

    def frame(self) -> Frame:
        """As V2GTP frame, payload of 2 octets."""
        return Frame(PayloadType.SDP_REQUEST, bytes((self.security, self.transport)))


@dataclass(frozen=True, slots=True)
class SdpResponse:
    """Where the station listens and how."""

    address: IPv6Address
    port: int
    security: int = Security.TLS
    transport: int = Transport.TCP

    def frame(self) -> Frame:
        """As V2GTP frame, payload of 20 octets."""
        payload = self.address.packed + self.port.to_bytes(2, "big") + bytes((self.security, self.transport))
        return Frame(PayloadType.SDP_RESPONSE, payload)


@dataclass(frozen=True, slots=True)
class WirelessSdp:
    """SDP of wireless charging (ISO 15118-20, payload types 0x9002 and 0x9003).

    The payload is kept as it is: its layout has no public source to check against.
    """

    payload_type: int
    payload: bytes

    def frame(self) -> Frame:
        """As V2GTP frame."""
        return Frame(self.payload_type, self.payload)


SdpMessage = SdpRequest | SdpResponse | WirelessSdp


def parse(datagram: bytes) -> SdpMessage:
    """Read one UDP datagram. Raises SdpError, HeaderError, IncompleteFrameError."""
    return from_frame(parse_frame(datagram))


def from_frame(frame: Frame) -> SdpMessage:
    """Read the payload of an SDP frame. Raises SdpError when it is not one, or has the wrong length."""
    payload = frame.payload
    match frame.payload_type:
        case PayloadType.SDP_REQUEST:
            _check_length(frame, 2)
            return SdpRequest(payload[0], payload[1])
        case PayloadType.SDP_RESPONSE:
            _check_length(frame, 20)
            return SdpResponse(
                IPv6Address(payload[:16]), int.from_bytes(payload[16:18], "big"), payload[18], payload[19]
            )
        case PayloadType.SDP_REQUEST_WIRELESS | PayloadType.SDP_RESPONSE_WIRELESS:
            return WirelessSdp(frame.payload_type, payload)
    raise SdpError(f"not SDP: payload type {payload_type_name(frame.payload_type)}", bytes(frame))


def response_problems(request: SdpRequest, response: SdpResponse) -> list[str]:
    """What a vehicle may object to; each a sentence. Whether less security than asked is accepted is its policy."""
    problems = []
    if response.security not in tuple(Security):
        problems.append(f"security {response.security:#04x} is reserved")
    elif response.security != request.security:
        problems.append(f"asked for security {request.security:#04x}, offered {response.security:#04x}")
    if response.transport != Transport.TCP:
        problems.append(f"transport {response.transport:#04x} is not TCP")
    if response.port not in TCP_PORTS:
        problems.append(f"port {response.port} is outside 49152-65535")
    if not response.address.is_link_local:
        problems.append(f"address {response.address} is not link-local")
    return problems


def _check_length(frame: Frame, length: int) -> None:
    if len(frame.payload) != length:
        name = payload_type_name(frame.payload_type)
        raise SdpError(f"{name} has {length} octets, got {len(frame.payload)}", bytes(frame))
