"""The vehicle's end of a link: finds the station, connects, drives a session machine."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, cast

from asn1crypto.x509 import Certificate  # type: ignore[import-untyped]

from ports.clock import Clock
from ports.errors import PeerError, RigError
from v2g import certificates, sdp
from v2g.link import tls_platform
from v2g.link.connection import Connection, LinkSettings
from v2g.link.interfaces import Interface
from v2g.link.sdp_client import SETTLE_S, TlsWish, find_station
from v2g.link.staple import check_staple
from v2g.link.tls_channel import TlsChannel
from v2g.link.tls_settings import VehicleTls, validity_problem, vehicle_context
from v2g.link.warm_up import warm_up
from v2g.session.events import Event
from v2g.session.machine import Machine

if TYPE_CHECKING:
    from v2g.session.evcc import Evcc

CONNECT_LIMIT_S = 20.0
"""V2G_EVCC_CommunicationSetup_Timeout (ISO 15118-2 table 109): SDP, TCP and TLS have to be done by then."""


async def connect(
    link: Interface,
    settings: LinkSettings,
    make: Callable[[Connection, float], Evcc],
    on_event: Callable[[Connection, Event], object] = lambda _connection, _event: None,
    *,
    wish: TlsWish = TlsWish.OFF,
    tls: VehicleTls | None = None,
    settle_s: float = SETTLE_S,
    sdp_port: int = sdp.UDP_PORT,
    station: sdp.SdpResponse | None = None,
) -> Connection:
    """Find the station and connect; the session runs by itself, wait for `Connection.closed`.

    make, on_event: see Connection. station: when it is known already, SDP is left out.
    Raises NoStationError, PeerError (connection refused), RigError (files, interface, two stations).
    """
    if wish is not TlsWish.OFF and tls is None:
        raise RigError(f"{link.name}: TLS is {wish}, but no V2G roots are given")
    if tls is not None and tls.require_staple and (why := tls_platform.why_not_reached()):
        raise RigError(f"{link.name}: an OCSP response is required, and this machine cannot see one: {why}")
    settings = replace(settings, source=link.name)
    warm_up()
    if station is None:
        station = await find_station(link, wish, settings.clock, settings.tracer, settle_s=settle_s, port=sdp_port)
    channel: TlsChannel | None = None
    staples: list[bytes] = []
    if station.security == sdp.Security.TLS:
        if tls is None:
            raise PeerError(f"the station [{station.address}]:{station.port} wants TLS, which is off here")
        context = vehicle_context(tls, ignore_time=settings.clock.is_virtual, take_staple=staples.append)
        channel = TlsChannel(context)

    def begin(connection: Connection, now: float) -> Evcc:
        if channel is not None and channel.peer is not None and tls is not None:
            staple = staples[0] if staples else b""
            chain = [certificates.load(one) for one in channel.peer.certificates]
            connection.trace(
                "tls.station",
                certificates=[certificates.describe(one.subject) for one in chain],
                ocsp=len(staple),
                trusted_ca_keys=tls_platform.why_not_reached() or "sent",
            )
            _judge(chain, tls, staple, settings.clock)
        return make(connection, now)

    loop = asyncio.get_running_loop()
    host = link.host(station.address)
    try:
        async with asyncio.timeout(CONNECT_LIMIT_S):
            _, connection = await loop.create_connection(
                lambda: Connection(settings, begin, on_event, vehicle=True, start=_start, tls=channel),
                host,
                station.port,
            )
    except TimeoutError as error:
        raise PeerError(f"[{host}]:{station.port} did not accept a TCP connection in {CONNECT_LIMIT_S:g} s") from error
    except OSError as error:
        raise PeerError(f"[{host}]:{station.port} accepts no TCP connection: {error}") from error
    return connection


def _start(machine: Machine, now: float) -> list[Event]:
    """A vehicle speaks first."""
    return cast("Evcc", machine).start(now)


def _judge(chain: list[Certificate], tls: VehicleTls, staple: bytes, clock: Clock) -> None:
    """What OpenSSL does not judge. Raises PeerError.

    In virtual time it may not look at the machine's clock; an OCSP response it only hands over.
    """
    if tls.trust_any:
        return
    if clock.is_virtual and (problem := validity_problem(chain, clock.now())):
        raise PeerError(f"TLS: the station's certificate: {problem}")
    if tls.require_staple and not staple:
        raise PeerError("TLS: the station sent no OCSP response for its certificate")  # ISO 15118-2 [V2G2-873]
    if staple and len(chain) > 1:
        check_staple(staple, chain[0], chain[1], clock.now())
