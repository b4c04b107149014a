"""Remote start and stop over OCPI (13), and news of sessions (9): what MO and CPO say while somebody charges."""

from __future__ import annotations

from backend_client.ocpi_cdrs import checked
from backend_client.ocpi_messages import (
    CommandOutcome,
    CommandResponse,
    CommandResult,
    DisplayText,
    Session,
    StartSession,
    StopSession,
    Token,
)
from backend_client.ocpi_session import OcpiSession, below, converted


class OcpiCommands:
    """Sends commands to one CPO. The result comes later, to `response_url`."""

    def __init__(self, session: OcpiSession) -> None:
        self._session = session

    async def start(
        self, token: Token, location_id: str, evse_uid: str, response_url: str, reference: str = ""
    ) -> CommandResponse:
        """START_SESSION. Raises LocalError (does not fit), PeerError, RigError."""
        command = StartSession(
            response_url=response_url,
            token=token,
            location_id=location_id,
            evse_uid=evse_uid or None,
            authorization_reference=reference or None,
        )
        return await self._send("START_SESSION", command)

    async def stop(self, session_id: str, response_url: str) -> CommandResponse:
        """STOP_SESSION. Raises LocalError (does not fit), PeerError, RigError."""
        return await self._send("STOP_SESSION", StopSession(response_url=response_url, session_id=session_id))

    async def _send(self, name: str, command: StartSession | StopSession) -> CommandResponse:
        url = below(await self._session.endpoint("commands", "RECEIVER"), name)
        answer = await self._session.request("POST", url, checked(command, name))
        return converted(answer, CommandResponse, name)


async def report_outcome(session: OcpiSession, response_url: str, outcome: CommandOutcome, text: str = "") -> None:
    """The CPO tells the MO what became of a command (13.2.2). Raises LocalError, PeerError, RigError."""
    message = [DisplayText(language="en", text=text[:512])] if text else []
    await session.request(
        "POST", response_url, checked(CommandResult(result=outcome, message=message), "CommandResult")
    )


async def put_session(session: OcpiSession, news: Session) -> None:
    """The CPO tells the MO what holds of a session (9.2.2). Raises LocalError, PeerError, RigError."""
    url = below(await session.endpoint("sessions", "RECEIVER"), news.country_code, news.party_id, news.id)
    await session.request("PUT", url, checked(news, f"session {news.id}"))
