"""Who may charge: the word of those who know the identification, after the CPO's own look at the certificate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from backends.operators.cpo.certificate_status import CertificateId
from backends.operators.cpo.contract_check import ContractCheck, ContractRefused
from ports.authorisation import Authorisation, AuthorisationRequest, AuthorisationStatus, Authoriser, ContractStatus
from ports.clock import Clock
from ports.errors import PeerError, PlugbenchError
from ports.trace import TraceEvent, Tracer

KEPT_S = 600.0  # an answer, for the events of the transaction that it begins
MAX_KEPT = 10_000
# OCPP 2.0.1 IdTokenEnumType -> OCMF 1.4.1 table 17
ID_TYPES: Mapping[str, str] = MappingProxyType(
    {
        "Central": "CENTRAL",
        "eMAID": "EMAID",
        "ISO14443": "ISO14443",
        "ISO15693": "ISO15693",
        "KeyCode": "KEY_CODE",
        "Local": "LOCAL",
        "MacAddress": "EVCCID",
        "NoAuthorization": "NONE",
    }
)
TOKEN_TYPES: Mapping[str, str] = MappingProxyType({ocmf: name for name, ocmf in ID_TYPES.items()})
# what a bad certificate makes of the identification (OCPP 2.0.1 part 2, C07)
_BLOCKING = {
    ContractStatus.CERTIFICATE_REVOKED: AuthorisationStatus.BLOCKED,
    ContractStatus.CERTIFICATE_EXPIRED: AuthorisationStatus.EXPIRED,
    ContractStatus.CONTRACT_CANCELLED: AuthorisationStatus.BLOCKED,
}
_SILENT = {AuthorisationStatus.UNKNOWN}  # the next one is asked


@dataclass(frozen=True, slots=True)
class Identification:
    """What a station asks about. id_type: OCMF name. certificate: PEM chain of a contract, or hashes of one."""

    station: str
    evse_id: str
    id: str
    id_type: str
    certificate: str = ""
    hashes: tuple[CertificateId, ...] = ()


class LocalList:
    """`Authoriser` for a CPO on its own: the identifications that it knows itself. Others are unknown."""

    ocmf_flag = "OCPP_AUTH"

    def __init__(
        self,
        known: Mapping[str, AuthorisationStatus],
        name: str = "local list",
        types: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        """known: by id, capitals. types: OCMF name of the only type that an id is known in; default: any."""
        self._known = known
        self._types = types
        self.name = name

    async def authorise(self, request: AuthorisationRequest) -> Authorisation:
        """From the list."""
        id = request.id.upper()  # noqa: A001 - as in the request
        if self._types.get(id, request.id_type) != request.id_type:
            return Authorisation(AuthorisationStatus.UNKNOWN)
        return Authorisation(self._known.get(id, AuthorisationStatus.UNKNOWN))


class AuthorisationDesk:
    """Asks the authorisers in their order until one knows the identification."""

    def __init__(
        self, authorisers: Sequence[Authoriser], contracts: ContractCheck, clock: Clock, name: str, tracer: Tracer
    ) -> None:
        self._authorisers = authorisers
        self._contracts = contracts
        self._clock = clock
        self._name = name
        self._tracer = tracer
        self._kept: dict[tuple[str, str], tuple[float, Authorisation]] = {}

    async def authorise(self, asked: Identification) -> Authorisation:
        """The answer for a station; never raises for one that is away."""
        if asked.id_type == "NONE":
            return Authorisation(AuthorisationStatus.ACCEPTED, detail="no authorisation is wanted")
        answer = await self._answer(asked)
        self._kept.pop((asked.id_type, asked.id), None)
        if len(self._kept) >= MAX_KEPT:
            self._kept.pop(next(iter(self._kept)))
        self._kept[asked.id_type, asked.id] = (self._clock.monotonic() + KEPT_S, answer)
        data = {
            "station": asked.station,
            "status": answer.status.value,
            "contract": answer.contract.value if answer.contract else None,
            "detail": answer.detail,
        }
        self._tracer(TraceEvent(self._clock.monotonic(), "backend", "csms.authorised", self._name, data))
        return answer

    async def of_transaction(self, asked: Identification) -> Authorisation:
        """As `authorise`; an answer of the last minutes holds."""
        until, answer = self._kept.get((asked.id_type, asked.id), (float("-inf"), None))
        if answer is not None and self._clock.monotonic() < until:
            return answer
        return await self.authorise(asked)

    async def _answer(self, asked: Identification) -> Authorisation:
        certificates: tuple[bytes, ...] = ()
        contract: ContractStatus | None = None
        try:
            if asked.certificate:
                certificates = await self._contracts.chain(asked.id, asked.certificate)
                contract = ContractStatus.ACCEPTED
            if asked.hashes:
                await self._contracts.hashes(asked.hashes, certificates)
                contract = ContractStatus.ACCEPTED
        except ContractRefused as refused:
            status = _BLOCKING.get(refused.status, AuthorisationStatus.INVALID)
            return Authorisation(status, refused.status, str(refused))
        request = AuthorisationRequest("", asked.evse_id, asked.id, asked.id_type, certificates)
        answer = await self._word(request)
        if contract is None or answer.contract is not None:
            return answer
        return Authorisation(answer.status, contract, answer.detail)

    async def _word(self, request: AuthorisationRequest) -> Authorisation:
        silent: list[str] = []
        for authoriser in self._authorisers:
            try:
                answer = await authoriser.authorise(request)
            except PlugbenchError as error:
                whose = "made no sense" if isinstance(error, PeerError) else "did not answer"
                silent.append(f"{authoriser.name} {whose}: {error}")
                continue
            if answer.status not in _SILENT:
                return answer
            silent.append(f"{authoriser.name} does not know it")
        return Authorisation(AuthorisationStatus.UNKNOWN, detail="; ".join(silent) or "nobody to ask")
