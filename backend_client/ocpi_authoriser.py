"""Real-time authorisation at a mobility operator over OCPI (12.2.2): `ports.authorisation.Authoriser`."""

from __future__ import annotations

from collections import OrderedDict

from backend_client.ocpi_cdrs import token_type
from backend_client.ocpi_messages import Allowed, AuthorizationInfo, LocationReferences
from backend_client.ocpi_session import OcpiRefused, OcpiSession, below, converted
from ports.authorisation import Authorisation, AuthorisationRequest, AuthorisationStatus
from ports.errors import PeerError

REMEMBERED = 10_000  # tokens
MAX_UID = 36  # 12.3.2
UNKNOWN_TOKEN = 2004  # status codes, 5.2

STATUS: dict[Allowed, AuthorisationStatus] = {
    "ALLOWED": AuthorisationStatus.ACCEPTED,
    "BLOCKED": AuthorisationStatus.BLOCKED,
    "EXPIRED": AuthorisationStatus.EXPIRED,
    "NO_CREDIT": AuthorisationStatus.NO_CREDIT,
    "NOT_ALLOWED": AuthorisationStatus.NOT_ALLOWED_HERE,
}


class OcpiAuthoriser:
    """Asks one mobility operator, and remembers what it said: CDRs name contract and reference (10.3.1)."""

    def __init__(self, session: OcpiSession, location_id: str, name: str = "ocpi") -> None:
        self._session = session
        self._location_id = location_id
        self._name = name
        self._said: OrderedDict[str, AuthorizationInfo] = OrderedDict()

    @property
    def name(self) -> str:
        """Its resource in the rig file."""
        return self._name

    @property
    def ocmf_flag(self) -> str:
        """No OCPP took part (OCMF 1.4.1 table 14)."""
        return "OCPP_NONE"

    def info(self, uid: str) -> AuthorizationInfo | None:
        """What the MO said last about a token that it allowed; `info_of` of `OcpiCdrs`."""
        return self._said.get(uid.upper())

    async def authorise(self, request: AuthorisationRequest) -> Authorisation:
        """Ask. The certificates of a contract stay here: OCPI has no place for them. Raises RigError, PeerError."""
        if not 0 < len(request.id) <= MAX_UID:
            detail = f"an OCPI token has 1 to {MAX_UID} characters, this identification {len(request.id)}"
            return Authorisation(AuthorisationStatus.INVALID, detail=detail)
        url = below(await self._session.endpoint("tokens", "SENDER"), request.id, "authorize")
        where = LocationReferences(
            location_id=self._location_id, evse_uids=[request.evse_id] if request.evse_id else []
        )
        try:
            answer = await self._session.request("POST", url, where, {"type": token_type(request.id_type)})
        except OcpiRefused as refused:
            if refused.http == 404 or refused.status == UNKNOWN_TOKEN:
                return Authorisation(AuthorisationStatus.UNKNOWN, detail=str(refused))
            raise
        info = converted(answer, AuthorizationInfo, "POST authorize")
        if info.token.uid.upper() != request.id.upper():  # CiString: case does not matter
            raise PeerError(
                f"OCPI authorize: asked for {request.id}, answered for {info.token.uid}", answer.body[:2000]
            )
        self._remember(info)
        return Authorisation(STATUS[info.allowed], detail=info.info.text if info.info else "")

    def _remember(self, info: AuthorizationInfo) -> None:
        self._said.pop(info.token.uid.upper(), None)
        if info.allowed == "ALLOWED":
            self._said[info.token.uid.upper()] = info
            if len(self._said) > REMEMBERED:
                self._said.popitem(last=False)
