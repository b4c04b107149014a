"""Authorisation at a roaming hub over OICP 2.3 (eRoamingAuthorizeStart): `ports.authorisation.Authoriser`."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from uuid import NAMESPACE_URL, uuid5

from backend_client.oicp_messages import (
    AUTHORIZE_START_PATH,
    AuthorizationStart,
    AuthorizeStart,
    Contract,
    Identification,
    RfidMifare,
)
from backend_client.oicp_session import OicpRefused, OicpSession, checked
from backend_client.oicp_sessions import HubSession, HubSessions
from ports.authorisation import Authorisation, AuthorisationRequest, AuthorisationStatus, ContractStatus
from ports.charge_detail import ChargeDetail
from ports.errors import LocalError, RigError
from v2g.check_digit import with_check_digit

# OICP 2.3, CodeType
STATUS: dict[str, AuthorisationStatus] = {
    "101": AuthorisationStatus.INVALID,
    "102": AuthorisationStatus.UNKNOWN,
    "103": AuthorisationStatus.INVALID,
    "105": AuthorisationStatus.UNKNOWN,
    "106": AuthorisationStatus.INVALID,
    "120": AuthorisationStatus.INVALID,
    "121": AuthorisationStatus.BLOCKED,
    "200": AuthorisationStatus.BLOCKED,
    "210": AuthorisationStatus.EXPIRED,
}
NO_ANSWER = frozenset({"001", "002", "009", "021", "110", "122", "300", "310", "320"})


class OicpAuthoriser:
    """Asks one hub as one operator, and remembers its sessions: a charge detail record needs the hub's SessionID."""

    def __init__(
        self,
        session: OicpSession,
        operator_id: str,
        now: Callable[[], datetime],
        name: str = "oicp",
        *,
        file: Path | None = None,
    ) -> None:
        """operator_id: e.g. "DE*CPO". now: civil time. file: where sessions outlive the process. Raises RigError."""
        self._session = session
        self._operator_id = operator_id
        self._now = now
        self._name = name
        self._sessions = HubSessions(file)

    @property
    def name(self) -> str:
        """Its resource in the rig file."""
        return self._name

    @property
    def ocmf_flag(self) -> str:
        """No OCPP took part (OCMF 1.4.1 table 14)."""
        return "OCPP_NONE"

    def session_of(self, detail: ChargeDetail) -> str:
        """The hub's SessionID of a finished transaction: of the last authorisation before its begin.

        Without one (it was authorised elsewhere) an id that is always the same for this record.
        """
        return self._sessions.of(detail) or str(uuid5(NAMESPACE_URL, f"{self._operator_id}/{detail.id}"))

    async def authorise(self, request: AuthorisationRequest) -> Authorisation:
        """Ask. Raises RigError (no answer from hub or provider), PeerError."""
        try:
            asked = checked(
                AuthorizeStart(
                    operator_id=self._operator_id,
                    evse_id=request.evse_id or None,
                    identification=identification(request.id, request.id_type),
                ),
                "AuthorizeStart",
            )
        except LocalError as error:  # the medium is no medium of OICP: nobody there can know it
            return Authorisation(AuthorisationStatus.INVALID, detail=str(error))
        path = AUTHORIZE_START_PATH.format(operator=self._operator_id)
        try:
            answer = await self._session.post(path, asked, AuthorizationStart)
        except OicpRefused as refused:
            return self._refusal(refused.code, str(refused))
        if answer.authorization_status != "Authorized":
            return self._refusal(answer.status_code.code, answer.status_code.description or "")
        if answer.session_id:
            self._sessions.add(
                HubSession(request.id, request.evse_id, self._now(), answer.session_id, answer.provider_id or "")
            )
        return Authorisation(AuthorisationStatus.ACCEPTED)

    def _refusal(self, code: str, text: str) -> Authorisation:
        if code in NO_ANSWER:
            raise RigError(f"OICP AuthorizeStart: {code} {text}".rstrip())
        contract = ContractStatus.CERTIFICATE_REVOKED if code == "121" else None
        return Authorisation(STATUS.get(code, AuthorisationStatus.INVALID), contract, f"{code} {text}".rstrip())


def identification(id: str, id_type: str) -> Identification:  # noqa: A002
    """OICP's form of an OCMF identification: contracts get their check digit, cards are hexadecimal capitals.

    Whether it fits OICP is for `checked`.
    """
    if id_type == "EMAID":
        return Identification(plug_and_charge=Contract(evco_id=with_check_digit(id.replace("-", "").upper())))
    return Identification(rfid_mifare=RfidMifare(uid=id.upper()))
