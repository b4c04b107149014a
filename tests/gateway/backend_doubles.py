"""Backends and readers in memory: what they are asked is kept, what they answer and when is set."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

from ports.authorisation import Authorisation, AuthorisationRequest, AuthorisationStatus
from ports.clock import Clock
from ports.contracts import CertificateStatus, ContractAction, ContractAnswer
from ports.errors import PeerError
from ports.reader import CardKind, CardSeen
from tests.v2g.session.pki import make_pki
from v2g.exi.codec import decode

ACCEPTED = Authorisation(AuthorisationStatus.ACCEPTED)


class Words:
    """`Authoriser`. word: the answer, or what is raised; delay_s: of it, None never answers."""

    def __init__(
        self, word: Authorisation | Exception = ACCEPTED, flag: str = "OCPP_AUTH_TLS", name: str = "csms"
    ) -> None:
        self.name = name
        self.ocmf_flag = flag
        self.word = word
        self.delay_s: float | None = 0.3
        self.asked: list[AuthorisationRequest] = []
        self.clock: Clock | None = None

    async def authorise(self, request: AuthorisationRequest) -> Authorisation:
        self.asked.append(request)
        if self.delay_s is None:
            await asyncio.Event().wait()
        assert self.delay_s is not None
        await asyncio.sleep(self.delay_s)
        if isinstance(self.word, Exception):
            raise self.word
        return self.word


class Pool:
    """`ContractSource` that answers for the session that asks, after `delay_s`."""

    name = "pool"

    def __init__(self, make: Callable[[str, bytes], ContractAnswer] | None = None) -> None:
        self.delay_s = 1.0
        self.make = make or (lambda kind, session: ContractAnswer(make_pki().installation(kind, session)))
        self.trouble: Exception | None = None
        self.asked: list[tuple[ContractAction, bytes, str, float]] = []

    async def fetch(self, action: ContractAction, exi: bytes, namespace: str, deadline_s: float) -> ContractAnswer:
        self.asked.append((action, exi, namespace, deadline_s))
        await asyncio.sleep(self.delay_s)
        if self.trouble is not None:
            raise self.trouble
        request: Any = decode("iso2", exi)
        kind = "CertificateInstallationRes" if action is ContractAction.INSTALL else "CertificateUpdateRes"
        return self.make(kind, request.Header.SessionID)


class Responder:
    """`CertificateStatusSource`. words: by DER, else `usual`; an exception is raised, None never answers."""

    name = "ocsp"

    def __init__(self, usual: CertificateStatus | Exception | None = CertificateStatus.GOOD) -> None:
        self.usual = usual
        self.words: dict[bytes, CertificateStatus | Exception | None] = {}
        self.asked: list[tuple[bytes, bytes]] = []

    async def status(self, certificate: bytes, issuer: bytes, deadline_s: float) -> CertificateStatus:
        self.asked.append((certificate, issuer))
        word = self.words.get(certificate, self.usual)
        if word is None:
            await asyncio.Event().wait()
        if isinstance(word, Exception):
            raise word
        assert word is not None
        await asyncio.sleep(0.05)
        return word


class Cards:
    """`Reader`. `show` a card; `break_down` makes it fail once."""

    def __init__(self, name: str = "reader") -> None:
        self.name = name
        self.closed = False
        self._queue: asyncio.Queue[CardSeen | Exception] = asyncio.Queue()

    def show(self, uid: str, kind: CardKind = CardKind.ISO14443) -> None:
        self._queue.put_nowait(CardSeen(0.0, self.name, kind, bytes.fromhex(uid)))

    def break_down(self) -> None:
        self._queue.put_nowait(PeerError("the reader was unplugged"))

    async def cards(self) -> AsyncIterator[CardSeen]:
        while True:
            seen = await self._queue.get()
            if isinstance(seen, Exception):
                raise seen
            yield seen

    async def close(self) -> None:
        self.closed = True
