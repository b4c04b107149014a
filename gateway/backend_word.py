"""The backends' word on an identification: asked one after the other, each once, with one deadline for all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from gateway.authorisation import RefusedError
from gateway.patience import within
from ocmf.payload import User
from ocmf.terms import IdType, Level
from ports.authorisation import (
    Authorisation,
    AuthorisationRequest,
    AuthorisationStatus,
    Authoriser,
    ContractStatus,
)
from ports.clock import Clock
from ports.errors import PeerError, RigError
from ports.trace import TraceEvent, Tracer

S, C = AuthorisationStatus, ContractStatus

# OCMF 1.4.1 table 11: the errors of an assignment
LEVELS: Mapping[AuthorisationStatus, Level] = MappingProxyType(
    {
        S.ACCEPTED: Level.INVALID,  # of the identification alone: its certificate is refused
        S.BLOCKED: Level.INVALID,
        S.EXPIRED: Level.OUTDATED,
        S.INVALID: Level.INVALID,
        S.UNKNOWN: Level.UNKNOWN,
    }
)
# ISO 15118-2 table 112: what AuthorizationRes says
CODES: Mapping[ContractStatus | None, str] = MappingProxyType(
    {
        None: "FAILED",
        C.ACCEPTED: "FAILED",  # of the certificate alone: its owner is refused
        C.SIGNATURE_ERROR: "FAILED_SignatureError",
        C.CERTIFICATE_EXPIRED: "FAILED_CertificateExpired",
        C.CERTIFICATE_REVOKED: "FAILED_CertificateRevoked",
        C.NO_CERTIFICATE_AVAILABLE: "FAILED_NoCertificateAvailable",
        C.CERT_CHAIN_ERROR: "FAILED_CertChainError",
        C.CONTRACT_CANCELLED: "FAILED_ContractCanceled",
    }
)
READ_BY_READER = frozenset({IdType.ISO14443, IdType.ISO15693})


class BackendWord:
    """Asks the authorisers in order. The first that knows the identification decides."""

    def __init__(self, authorisers: Sequence[Authoriser], clock: Clock, tracer: Tracer) -> None:
        self._authorisers = tuple(authorisers)
        self._clock = clock
        self._tracer = tracer

    def __bool__(self) -> bool:
        """Whether there is anybody to ask."""
        return bool(self._authorisers)

    async def user(self, request: AuthorisationRequest, patience_s: float) -> User:
        """The user as the records will name him. Raises RefusedError: refused, or nobody answered in time."""
        deadline = self._clock.monotonic() + patience_s
        last: RefusedError | None = None
        troubles: list[str] = []
        for one in self._authorisers:
            asked = self._clock.monotonic()
            try:
                word = await within(self._clock, deadline - asked, one.authorise(request))
            except (PeerError, RigError, TimeoutError) as error:
                troubles.append(f"{one.name}: {error}")
                self._trace(request, one, asked, status="no answer", why=str(error))
                continue
            self._trace(request, one, asked, status=word.status, contract=word.contract, detail=word.detail)
            if word.is_accepted:
                return _user(request, one.ocmf_flag)
            last = _refused(request, one, word)
            if word.status is not S.UNKNOWN:
                raise last
        if last is not None:
            raise last
        said = "; ".join(troubles)
        raise RefusedError(f"{request.id_type} {request.id}: no backend answered ({said})", Level.UNKNOWN, request.id)

    def _trace(self, request: AuthorisationRequest, one: Authoriser, asked: float, **data: object) -> None:
        now = self._clock.monotonic()
        found = {"authoriser": one.name, "id_type": request.id_type, "latency_s": round(now - asked, 3), **data}
        self._tracer(TraceEvent(now, "session", "session.asked", request.connector, found))


def _refused(request: AuthorisationRequest, one: Authoriser, word: Authorisation) -> RefusedError:
    said = word.status if word.contract is None else f"{word.status}, certificate {word.contract}"
    return RefusedError(
        f"{one.name} says of {request.id_type} {request.id}: {said}" + (f" ({word.detail})" if word.detail else ""),
        LEVELS.get(word.status, Level.NONE),
        request.id,
        CODES[word.contract],
    )


def _user(request: AuthorisationRequest, flag: str) -> User:
    """A signed contract is proof (SECURE); for everything else the backend's word is trusted (table 11)."""
    id_type = IdType(request.id_type)
    reader = "RFID_PLAIN" if id_type in READ_BY_READER else "RFID_NONE"
    contract = ("ISO15118_PNC",) if request.certificates else ()
    level = Level.SECURE if request.certificates else Level.TRUSTED
    return User(assigned=True, level=level, flags=(reader, flag, *contract), id_type=id_type, id=request.id)
