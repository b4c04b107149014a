"""The OCPI platform of a charge point operator: its mobility operators, a server for them, news of sessions."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from starlette.applications import Starlette

from backend_client.ocpi_authoriser import OcpiAuthoriser
from backend_client.ocpi_cdrs import OcpiSite
from backend_client.ocpi_messages import AuthorizationInfo, CdrToken
from backend_client.ocpi_session import OcpiSession, Party
from backends.http_server import HttpServer, serve_asgi
from backends.operators.cpo.csms import Csms
from backends.operators.cpo.live_sessions import LiveSessions
from backends.operators.cpo.ocpi_desk import OcpiDesk
from backends.operators.cpo.remote import RemoteControl
from backends.operators.cpo.roaming_sessions import RoamingSessions
from backends.operators.cpo.settings import StationAccount
from backends.operators.ocpi_cpo import MODULES, TIMEOUT_S, CpoOcpi
from backends.operators.ocpi_server import OcpiPartner, OcpiServer
from backends.store.database import Database
from ports.clock import Clock
from ports.trace import Tracer
from v2g.identifiers import EMAID, normalise


@dataclass(frozen=True, slots=True, kw_only=True)
class MoLink:
    """A mobility operator. partner: who it is, and the token that it shows. session: to it, not closed with the CPO.

    sink: name of its sink, it sees the CDRs that went there. authoriser: the one that the CPO asks about its tokens.
    """

    partner: OcpiPartner
    session: OcpiSession
    sink: str
    authoriser: OcpiAuthoriser


@dataclass(frozen=True, slots=True, kw_only=True)
class OcpiSettings:
    """operator: the CPO. site: where its stations stand. port: 0 takes a free one. timeout_s: of stations."""

    operator: Party
    site: OcpiSite
    links: Sequence[MoLink] = ()
    host: str = "127.0.0.1"
    port: int = 0
    tls: ssl.SSLContext | None = None
    timeout_s: int = TIMEOUT_S


class OcpiPlatform:
    """Made before the CPO, which tells it of every change; serves with it."""

    def __init__(
        self,
        settings: OcpiSettings,
        database: Database,
        clock: Clock,
        account: Callable[[str], StationAccount],
        *,
        name: str,
        tracer: Tracer,
    ) -> None:
        """account: of a station."""
        self._settings = settings
        self._database = database
        self._clock = clock
        self._name = name
        self._tracer = tracer
        self._partners = {link.partner.party.id: link for link in settings.links}
        self._sessions = RoamingSessions(database, clock, self._token_of)
        self.live = LiveSessions(
            database,
            self._sessions,
            {party: link.session for party, link in self._partners.items()},
            settings.operator,
            settings.site,
            account,
            clock,
            source=name,
            tracer=tracer,
        )

    async def serve(self, csms: Csms, remote: RemoteControl) -> RunningOcpi:
        """Raises RigError: no address, no token."""
        settings, links = self._settings, self._partners
        sinks = {party: link.sink for party, link in links.items()}
        operator, site = settings.operator, settings.site
        desk = OcpiDesk(csms, remote, self._sessions, self._database, operator, site, sinks, self._info_of)
        sessions = {party: link.session for party, link in links.items()}
        modules = CpoOcpi(
            desk,
            desk,
            sessions,
            self._clock,
            source=self._name,
            tracer=self._tracer,
            timeout_s=settings.timeout_s,
        )
        server = OcpiServer(
            [link.partner for link in links.values()], MODULES, self._clock, source=self._name, tracer=self._tracer
        )
        app = Starlette(routes=modules.routes(server))
        running = await serve_asgi(app, settings.host, settings.port, ssl=settings.tls, clock=self._clock)
        return RunningOcpi(running.url, modules, running, asyncio.create_task(self.live.run()))

    def _info_of(self, uid: str) -> AuthorizationInfo | None:
        return next((info for link in self._settings.links if (info := link.authoriser.info(uid))), None)

    def _token_of(self, uid: str) -> tuple[str, CdrToken] | None:
        """By what a partner said when it was asked; a contract's provider is in its name."""
        for party, link in self._partners.items():
            if (info := link.authoriser.info(uid)) is not None:
                token = info.token
                return party, CdrToken(
                    country_code=token.country_code,
                    party_id=token.party_id,
                    uid=token.uid,
                    type=token.type,
                    contract_id=token.contract_id,
                )
        provider = normalise(uid)[:5] if EMAID.fullmatch(uid) else ""
        if provider not in self._partners:
            return None
        country, party = provider[:2], provider[2:]
        return provider, CdrToken(country_code=country, party_id=party, uid=uid, type="OTHER", contract_id=uid)


@dataclass(slots=True)
class RunningOcpi:
    """What runs. url: without a path."""

    url: str
    _modules: CpoOcpi = field(repr=False)
    _server: HttpServer = field(repr=False)
    _live: asyncio.Task[None] = field(repr=False)

    @property
    def versions_url(self) -> str:
        """Where partners begin."""
        return f"{self.url}/ocpi/versions"

    async def close(self) -> None:
        """Stop serving and telling. Harmless when closed."""
        await self._server.close()
        await self._modules.close()
        self._live.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._live
