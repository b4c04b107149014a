"""What the modules stand on: made once, shared by all of them, with the work that goes on in the background."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from random import Random

from backends.api.operations import Api
from backends.guarded_http import GuardedHttp
from backends.opcp.error_texts import TEXTS
from backends.opcp.event_names import API, event_body
from backends.pki.authorities import CertificateAuthorities
from backends.pki.certificate_store import revocations
from backends.pools.cascade import ContractRemoval, RevokeContracts, no_mo_ca
from backends.pools.cleansing import Cleansing
from backends.pools.contract_pool import ContractPool
from backends.pools.contract_rows import no_own_certificates
from backends.pools.contract_update import ContractUpdates
from backends.pools.dispatcher import Dispatcher
from backends.pools.provisioning_pool import ProvisioningPool
from backends.pools.provisioning_service import FindSigners, MoCa, ProvisioningService, no_signers
from backends.pools.root_pool import RootPool
from backends.pools.trust import RevocationCheck, Trust, no_revocation_check
from backends.pools.webhook_sender import SendWebhook, WebhookSender
from backends.pools.webhook_target import TargetRules
from backends.pools.webhooks import WebhookEndpoints
from backends.sealing import Sealer
from backends.store.database import Database
from backends.store.ids import SYSTEM
from backends.token.service import TokenService
from ports.clock import Clock
from ports.trace import Tracer, no_trace

POOLS = frozenset({"rcp", "pcp", "cps", "ccp"})


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
        revoke_contracts: RevokeContracts = no_mo_ca,
        find_signers: FindSigners = no_signers,
        mo_ca: MoCa | None = None,
        authorities: CertificateAuthorities | None = None,
        targets: TargetRules | None = None,
        send: SendWebhook | None = None,
        tracer: Tracer = no_trace,
        random: Random = SYSTEM,
    ) -> None:
        """issuer, audience: URLs of the tokens. revocation: how the status of certificates is asked.

        revoke_contracts: the MO CA, for contracts that go; mo_ca: for those that come. find_signers: of the CPS.
        authorities: behind enrolment and OCSP. targets: where webhooks may go. send: instead of HTTP.
        random: of trace ids.
        """
        self.database = database
        self.sealer = sealer
        self.clock = clock
        self.tracer = tracer
        self.authorities = authorities
        rules = targets or TargetRules()
        self.http = GuardedHttp(allowed=rules.allowed)
        self.tokens = TokenService(database, sealer, clock, issuer, audience)
        bodies = {API: event_body}
        self.dispatcher = Dispatcher(database, sealer, clock, send or WebhookSender(self.http), bodies, tracer)
        self.api = Api(self.tokens.check, TEXTS, clock, tracer=tracer, after_write=self.dispatcher.wake, random=random)
        self.trust = Trust(clock, revocation)
        self.removal = ContractRemoval(database, revoke_contracts)
        self.roots = RootPool(database, clock)
        self.provisioning = ProvisioningPool(database, clock, self.trust, self.removal, tracer)
        own = no_own_certificates if authorities is None else revocations
        self.contracts = ContractPool(database, clock, self.trust, self.removal, own_revocations=own)
        self.signing = ProvisioningService(
            database, clock, self.trust, self.contracts, find_signers=find_signers, mo_ca=mo_ca
        )
        self.updates = ContractUpdates(database, clock, self.trust, self.signing)
        self.webhooks = WebhookEndpoints(database, sealer, clock, rules)
        self.cleansing = Cleansing(database, clock, revocation, self.removal, self.dispatcher.wake, own_revocations=own)

    @asynccontextmanager
    async def running(self, modules: Collection[str]) -> AsyncIterator[None]:
        """Background work of the modules, from start to end: whoever changes pools delivers and cleanses."""
        jobs = []
        if POOLS & set(modules) or "webhooks" in modules:
            jobs.append(asyncio.create_task(self.dispatcher.run()))
        if POOLS & set(modules):
            jobs.append(asyncio.create_task(self.cleansing.run()))
        try:
            yield
        finally:
            for job in jobs:
                job.cancel()
            for job in jobs:
                with contextlib.suppress(asyncio.CancelledError):
                    await job
            await self.signing.close()
            await self.http.close()
