"""The SDP server: tells vehicles on a link where the station listens (ISO 15118-2 7.10.1)."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Callable, Mapping
from enum import StrEnum

from ports.clock import Clock
from ports.errors import PeerError, RigError
from ports.trace import TraceEvent, Tracer, no_trace
from v2g import sdp
from v2g.link.interfaces import Interface, choose_interface
from v2g.link.limits import LIMITS, LinkLimits, Rate


class TlsPolicy(StrEnum):
    """REQUIRED never answers "no TLS" (Plug & Charge stations); OFFERED answers as asked; OFF never offers TLS.

    A vehicle that asks for less than REQUIRED, or more than OFF, is told what there is: it decides.
    """

    REQUIRED = "required"
    OFFERED = "offered"
    OFF = "off"


def security_offered(policy: TlsPolicy, asked: int, ports: Mapping[sdp.Security, int]) -> sdp.Security | None:
    """What to answer; None is silence. ports: what is open now (TLS is missing when no certificate is valid)."""
    wanted = {
        TlsPolicy.REQUIRED: [sdp.Security.TLS],
        TlsPolicy.OFFERED: [sdp.Security(asked), sdp.Security.NONE, sdp.Security.TLS],
        TlsPolicy.OFF: [sdp.Security.NONE],
    }[policy]
    return next((security for security in wanted if security in ports), None)


class SdpServer(asyncio.DatagramProtocol):
    """Answers on one interface; made by `serve`."""

    def __init__(
        self,
        link: Interface,
        policy: TlsPolicy,
        ports: Callable[[], Mapping[sdp.Security, int]],
        clock: Clock,
        tracer: Tracer = no_trace,
        limits: LinkLimits = LIMITS,
    ) -> None:
        self.link = link
        self.policy = policy
        self.ports = ports
        self._clock = clock
        self._tracer = tracer
        self._rate = Rate(clock, limits.sdp_per_second)
        self._transport: asyncio.DatagramTransport | None = None
        self.port = 0

    @classmethod
    async def serve(
        cls,
        link: Interface,
        policy: TlsPolicy,
        ports: Callable[[], Mapping[sdp.Security, int]],
        clock: Clock,
        tracer: Tracer = no_trace,
        *,
        limits: LinkLimits = LIMITS,
        port: int = sdp.UDP_PORT,
    ) -> SdpServer:
        """Open the socket and answer until `close`. port: 0 takes a free one (tests). Raises RigError.

        ports: asked for each request: TCP port of each security there is.
        """
        loop = asyncio.get_running_loop()
        on_link = link.group.is_multicast
        try:
            transport, server = await loop.create_datagram_endpoint(
                lambda: cls(link, policy, ports, clock, tracer, limits),
                # several stations of one machine may listen, each on its own link
                local_addr=("::" if on_link else str(link.address), port),
                reuse_port=True if on_link else None,
            )
        except OSError as error:
            hint = "; another SDP server runs on this machine" if error.errno == errno.EADDRINUSE else ""
            raise RigError(f"SDP cannot listen on UDP port {port} of {link.name}: {error}{hint}") from error
        try:
            choose_interface(transport, link)
        except OSError as error:
            transport.close()
            raise RigError(f"SDP cannot join {link.group} on {link.name}: {error}") from error
        server.port = transport.get_extra_info("sockname")[1]
        return server

    def close(self) -> None:
        """Answer nothing more; harmless when closed."""
        if self._transport is not None:
            self._transport.close()

    # asyncio

    def connection_made(self, transport: asyncio.DatagramTransport) -> None:  # type: ignore[override]
        """The socket is open."""
        self._transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int, int, int]) -> None:
        """One request, or something that is none."""
        if self.link.scope_id and addr[3] and addr[3] != self.link.scope_id:
            return  # another link's
        source = f"[{addr[0]}]:{addr[1]}"
        if self._rate.exceeded():
            self._trace("sdp.ignored", data, vehicle=source, why=f"over {self._rate.per_second} requests a second")
            return
        try:
            request = sdp.parse(data)
            if not isinstance(request, sdp.SdpRequest):
                raise sdp.SdpError("no request", data)
            if request.security not in tuple(sdp.Security) or request.transport != sdp.Transport.TCP:
                raise sdp.SdpError(
                    f"reserved values: security {request.security:#04x}, transport {request.transport:#04x}", data
                )
        except PeerError as error:
            self._trace("sdp.ignored", data, vehicle=source, why=str(error))
            return
        self._trace("sdp.request", data, vehicle=source, security=sdp.Security(request.security).name)
        ports = self.ports()
        security = security_offered(self.policy, request.security, ports)
        if security is None:
            why = "TLS is required and no valid certificate is there" if self.policy == "required" else "no port open"
            self._trace("sdp.silent", b"", vehicle=source, why=why)
            return
        answer = bytes(sdp.SdpResponse(self.link.address, ports[security], security).frame())
        self._trace("sdp.response", answer, vehicle=source, security=security.name, port=ports[security])
        if self._transport is not None:
            self._transport.sendto(answer, addr)

    def error_received(self, exc: Exception) -> None:
        """The vehicle is gone, or the link."""
        self._trace("sdp.error", b"", why=str(exc))

    def _trace(self, kind: str, octets: bytes, **data: object) -> None:
        self._tracer(TraceEvent(self._clock.monotonic(), "v2g", kind, self.link.name, data, octets))
