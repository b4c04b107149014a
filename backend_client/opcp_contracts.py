"""The pools asked directly, without a CSMS in between: `ports.contracts.ContractSource` over OPCP."""

from __future__ import annotations

import hashlib

from backend_client.opcp import OpcpClient, OpcpError
from ports.clock import Clock
from ports.contracts import ContractAction, ContractAnswer
from ports.errors import PeerError, RigError
from ports.trace import TraceEvent, Tracer, no_trace


class OpcpContracts:
    """Forwards a vehicle's requests to the contract pool as the role CPO."""

    def __init__(self, name: str, client: OpcpClient, clock: Clock, tracer: Tracer = no_trace) -> None:
        """name: of the pools in the rig file. The client stays the caller's."""
        self._name = name
        self._client = client
        self._clock = clock
        self._tracer = tracer

    @property
    def name(self) -> str:
        """The pools in the rig file."""
        return self._name

    async def fetch(self, action: ContractAction, exi: bytes, namespace: str, deadline_s: float) -> ContractAnswer:
        """See `ports.contracts.ContractSource`."""
        began = self._clock.monotonic()
        self._trace("opcp.request", action=action, namespace=namespace, octets=len(exi), raw=exi)
        try:
            answers = await self._client.request_contract(exi, namespace=namespace, deadline_s=deadline_s)
        except (PeerError, RigError) as error:
            self._trace("opcp.refused", why=str(error), seconds=round(self._clock.monotonic() - began, 3))
            if isinstance(error, OpcpError) and error.status == 404:  # in words, without a message for the vehicle
                return ContractAnswer(b"", accepted=False, detail=str(error))
            raise
        if not answers:
            raise PeerError(f"{self._name}: the pool answered without any contract")
        chosen = answers[-1]  # CitrineOS takes the last one, too: the default contract of the vehicle
        self._trace(
            "opcp.answer",
            accepted=chosen.available,
            emaid=chosen.emaid,
            octets=len(chosen.message),
            sha256=hashlib.sha256(chosen.message).hexdigest(),  # itself it carries a key, encrypted for the vehicle
            seconds=round(self._clock.monotonic() - began, 3),
        )
        return ContractAnswer(chosen.message, chosen.available, chosen.note)

    def _trace(self, kind: str, raw: bytes = b"", **data: object) -> None:
        self._tracer(TraceEvent(self._clock.monotonic(), "backend", kind, self._name, data, raw))
