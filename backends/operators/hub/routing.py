"""Whose customer is it: authorisation goes to the provider that a contract names, or to all that serve the operator."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from backend_client.oicp_messages import (
    AUTHORIZE_START_PATH,
    AuthorizationStart,
    AuthorizeStart,
    Code,
    Identification,
    StatusCode,
)
from backend_client.oicp_session import OicpRefused, OicpSession
from backends.operators.hub.settings import HubOperator
from ports.errors import PeerError, RigError

PROVIDER_LENGTH = 5


def plain(partner: str) -> str:
    """DE*PLB, DE-PLB and DEPLB are one."""
    return partner.replace("*", "").replace("-", "").replace("|", "").upper()


def provider_of(identification: Identification) -> str:
    """The provider that the contract names, "" for a card."""
    return plain(identification.evco_id)[:PROVIDER_LENGTH]


class Router:
    """Knows who serves whom."""

    def __init__(
        self, operators: Mapping[str, HubOperator], providers: Mapping[str, OicpSession], timeout_s: float
    ) -> None:
        """Both by plain id. timeout_s: for all answers of one authorisation."""
        self._operators = operators
        self._providers = providers
        self._timeout_s = timeout_s

    def providers_of(self, operator: str) -> Sequence[str]:
        """Whose customers an operator serves."""
        wanted = self._operators[operator].providers
        return [plain(one) for one in wanted] if wanted else list(self._providers)

    async def authorise(self, operator: str, request: AuthorizeStart) -> tuple[str, AuthorizationStart]:
        """The provider that said yes ("" when nobody did), and the answer for the operator."""
        named = provider_of(request.identification)
        asked = [one for one in self.providers_of(operator) if not named or one == named]
        if not asked:
            return "", not_authorised("300", f"no contract with provider {named}" if named else "no provider at all")
        answers = await asyncio.gather(*(self._ask(one, operator, request) for one in asked))
        for provider, answer in zip(asked, answers, strict=True):
            if answer.authorization_status == "Authorized":
                return provider, answer
        # OICP 2.3, eRoamingAuthorizeStart: who cannot be reached counts as a no; one that answered says why
        told = [one for one in answers if one.status_code.code not in {"310", "320"}]
        return "", (told or answers)[0]

    async def _ask(self, provider: str, operator: str, request: AuthorizeStart) -> AuthorizationStart:
        path = AUTHORIZE_START_PATH.format(operator=request.operator_id)
        try:
            async with asyncio.timeout(self._timeout_s):
                return await self._providers[provider].post(path, request, AuthorizationStart)
        except OicpRefused as refused:
            return not_authorised("106", str(refused))
        except (TimeoutError, RigError, PeerError) as error:
            return not_authorised("310", f"{provider} of {operator}: {error}")


def not_authorised(code: Code, text: str) -> AuthorizationStart:
    """A negative answer."""
    status = StatusCode(code=code, description=text[:200] or None)
    return AuthorizationStart(authorization_status="NotAuthorized", status_code=status)
