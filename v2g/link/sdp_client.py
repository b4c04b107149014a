"""The SDP client: finds the station on a link (ISO 15118-2 7.10.1)."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from enum import StrEnum

from ports.clock import Clock
from ports.errors import PeerError, RigError
from ports.trace import TraceEvent, Tracer, no_trace
from v2g import sdp
from v2g.link.interfaces import Interface, choose_interface

SETTLE_S = 0.05
"""How long to listen for a second station after the first one has answered."""


class TlsWish(StrEnum):
    """REQUIRED asks for TLS and refuses less; PREFERRED asks for TLS and takes less; OFF asks for none."""

    REQUIRED = "required"
    PREFERRED = "preferred"
    OFF = "off"


class NoStationError(PeerError):
    """Nobody answered, or nobody in a way that we may accept."""


@dataclass(slots=True)
class _Asking(asyncio.DatagramProtocol):
    """Collects answers."""

    link: Interface
    answers: asyncio.Queue[tuple[bytes, str]]

    def datagram_received(self, data: bytes, addr: tuple[str, int, int, int]) -> None:
        """From the link, or another one."""
        if not (self.link.scope_id and addr[3] and addr[3] != self.link.scope_id):
            self.answers.put_nowait((data, f"[{addr[0]}]:{addr[1]}"))


async def find_station(
    link: Interface,
    wish: TlsWish,
    clock: Clock,
    tracer: Tracer = no_trace,
    *,
    tries: int = sdp.MAX_REQUESTS,
    interval_s: float = sdp.RETRY_SECONDS,
    settle_s: float = SETTLE_S,
    port: int = sdp.UDP_PORT,
) -> sdp.SdpResponse:
    """Ask until a station answers.

    settle_s: how long to listen on for a second station; 0 takes the first answer and does not look.
    Raises NoStationError (silence, or only answers with less security than required), RigError (two stations, no
    socket).
    """
    security = sdp.Security.NONE if wish is TlsWish.OFF else sdp.Security.TLS
    request = sdp.SdpRequest(security)
    loop = asyncio.get_running_loop()
    host = link.host(link.address)
    try:
        transport, asking = await loop.create_datagram_endpoint(
            lambda: _Asking(link, asyncio.Queue()), local_addr=(host, 0)
        )
    except OSError as error:
        raise RigError(f"SDP cannot open a UDP port on {link.name}: {error}") from error
    name = transport.get_extra_info("sockname")
    search = _Search(link, wish, request, clock, tracer, f"[{name[0]}]:{name[1]}")
    try:
        choose_interface(transport, link)
        target = (str(link.group), port, 0, link.scope_id) if link.scope_id else (str(link.group), port)
        for _ in range(tries):
            octets = bytes(request.frame())
            search.trace("sdp.request", octets, security=security.name)
            transport.sendto(octets, target)
            if await search.listen(asking.answers, interval_s, settle_s):
                return search.station()
    except OSError as error:
        raise RigError(f"SDP cannot ask on {link.name}: {error}") from error
    finally:
        transport.close()
    raise search.failure(tries, tries * interval_s)


class _Search:
    """What has been found so far."""

    def __init__(
        self,
        link: Interface,
        wish: TlsWish,
        request: sdp.SdpRequest,
        clock: Clock,
        tracer: Tracer,
        vehicle: str,
    ) -> None:
        self.link = link
        self.wish = wish
        self.request = request
        self.clock = clock
        self.tracer = tracer
        self.vehicle = vehicle
        self.stations: dict[tuple[object, int], sdp.SdpResponse] = {}
        self.refused: list[str] = []
        self.last = b""

    async def listen(self, answers: asyncio.Queue[tuple[bytes, str]], seconds: float, settle_s: float) -> bool:
        """Take answers for so long, or until `settle_s` after the first good one; whether there is a good one."""
        until = self.clock.monotonic() + seconds
        while True:
            try:
                async with asyncio.timeout(max(0.0, until - self.clock.monotonic())):
                    octets, source = await answers.get()
            except TimeoutError:
                return bool(self.stations)
            had = bool(self.stations)
            self.take(octets, source)
            if self.stations and not settle_s:
                return True
            if self.stations and not had:
                until = self.clock.monotonic() + settle_s

    def take(self, octets: bytes, source: str) -> None:
        """Judge one answer."""
        try:
            answer = sdp.parse(octets)
            if not isinstance(answer, sdp.SdpResponse):
                raise sdp.SdpError("no response", octets)
        except PeerError as error:
            self.trace("sdp.ignored", octets, source=source, why=str(error))
            return
        problems = sdp.response_problems(self.request, answer)
        self.trace("sdp.response", octets, source=source, port=answer.port, problems=problems)
        self.last = octets
        if why := self._refusal(answer):
            self.refused.append(f"{source}: {why}")
            self.trace("sdp.refused", octets, source=source, why=why)
        else:
            self.stations[(answer.address, answer.port)] = answer

    def _refusal(self, answer: sdp.SdpResponse) -> str:
        if answer.transport != sdp.Transport.TCP:
            return f"transport {answer.transport:#04x} is not TCP"
        if answer.security not in tuple(sdp.Security):
            return f"security {answer.security:#04x} is reserved"
        if not answer.port or answer.address.is_unspecified or answer.address.is_multicast:
            return f"[{answer.address}]:{answer.port} cannot be connected to"
        if self.wish is TlsWish.REQUIRED and answer.security != sdp.Security.TLS:
            return "TLS is required here, the station offers none"
        return ""

    def station(self) -> sdp.SdpResponse:
        """The only one. Raises RigError when there are more."""
        if len(self.stations) > 1:
            names = " and ".join(f"[{one.address}]:{one.port}" for one in self.stations.values())
            raise RigError(
                f"{len(self.stations)} stations answer on {self.link.name}: {names}; a cable leads to one, so separate "
                "the links (on power line: finish SLAC first), or listen on the right interface"
            )
        return next(iter(self.stations.values()))

    def failure(self, tries: int, seconds: float) -> NoStationError:
        """What to say when there is none."""
        if self.refused:
            return NoStationError(f"no station on {self.link.name} that we may use: {self.refused[-1]}", self.last)
        return NoStationError(
            f"no station answered {tries} SDP requests in {seconds:g} s on {self.link.name} ({self.link.address})"
        )

    def trace(self, kind: str, octets: bytes, **data: object) -> None:
        """Report."""
        self.tracer(
            TraceEvent(self.clock.monotonic(), "v2g", kind, self.link.name, {"vehicle": self.vehicle, **data}, octets)
        )
