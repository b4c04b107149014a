"""What the modules stand on: made once, shared by all of them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager

from backends.api.operations import Api
from backends.opcp.error_texts import TEXTS
from backends.pools.root_pool import RootPool
from backends.pools.trust import RevocationCheck, Trust, no_revocation_check
from backends.sealing import Sealer
from backends.store.database import Database
from backends.token.service import TokenService
from ports.clock import Clock
from ports.trace import Tracer, no_trace


class Services:
    """The pools and what they share, over one database."""

    def __init__(
        self,
        database: Database,
        sealer: Sealer,
        clock: Clock,
        *,
        issuer: str,
        audience: str,
        revocation: RevocationCheck = no_revocation_check,
        tracer: Tracer = no_trace,
    ) -> None:
        """issuer, audience: URLs of the tokens. revocation: how the status of certificates is asked."""
        self.database = database
        self.sealer = sealer
        self.clock = clock
        self.tracer = tracer
        self.tokens = TokenService(database, sealer, clock, issuer, audience)
        self.trust = Trust(clock, revocation)
        self.roots = RootPool(database, clock)
        self.api = Api(self.tokens.check, TEXTS, clock, tracer=tracer)

    @asynccontextmanager
    async def running(self, _modules: Collection[str]) -> AsyncIterator[None]:
        """Background work of the modules, from start to end."""
        yield
