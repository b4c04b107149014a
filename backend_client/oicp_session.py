"""HTTP towards OICP 2.3 services: JSON by POST, TLS client certificates, acknowledgements; nothing is sent twice."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

import httpx
import msgspec

from backend_client.cpo_messages import MessageError, decode
from backend_client.http_session import MAX_ANSWER, HttpSession
from backend_client.ocpi_types import encode
from backend_client.oicp_messages import Acknowledgement
from ports.errors import LocalError, PeerError, RigError

T = TypeVar("T", bound=msgspec.Struct)
M = TypeVar("M", bound=msgspec.Struct)
# OICP 2.3, CodeType: what may be better later: system and database errors, partners away
LATER = frozenset({"001", "002", "009", "021", "310", "320"})


class OicpRefused(PeerError):
    """A negative acknowledgement. code: OICP's, e.g. "400"."""

    def __init__(self, operation: str, code: str, said: str, received: bytes = b"") -> None:
        super().__init__(f"OICP {operation}: {code} {said}".rstrip(), received)
        self.code = code


class OicpSession(HttpSession):
    """One partner: a hub, or behind it a provider. `async with` closes it."""

    def __init__(
        self,
        url: str,
        *,
        ca_file: Path | None = None,
        client_certificate: tuple[Path, Path] | None = None,
        timeout_s: float = 10.0,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        """url: without /api. client_certificate: files of certificate and key; OICP knows partners by it."""
        super().__init__(
            "OICP partner",
            url,
            ca_file=ca_file,
            client_certificate=client_certificate,
            timeout_s=timeout_s,
            transport=transport,
        )
        self.url = url.rstrip("/")

    async def post(self, path: str, message: msgspec.Struct | bytes, answer: type[T]) -> T:
        """Send once. message: bytes go on as they are.

        Raises OicpRefused (a negative acknowledgement, for good), RigError (no answer, or one that may be better later)
        and PeerError (an answer that makes no sense).
        """
        content = message if isinstance(message, bytes) else encode(message)
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        try:
            response, body = await self.exchange("POST", f"{self.url}{path}", content=content, headers=headers)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise RigError(f"OICP POST {path}: no answer: {type(error).__name__} {error}".rstrip()) from error
        return _read(f"POST {path}", response.status_code, body, answer)


def checked(message: M, name: str) -> M:
    """The message as it is. Raises LocalError when a field breaks a published limit: better here than at the peer."""
    try:
        msgspec.json.decode(encode(message), type=type(message))
    except msgspec.ValidationError as error:
        raise LocalError(f"OICP 2.3, {name}: {error}") from None
    return message


def _read(operation: str, http: int, body: bytes, answer: type[T]) -> T:
    try:
        said = decode(body, Acknowledgement, MAX_ANSWER)
    except MessageError:
        said = None
    if said is not None and not said.result:
        code = said.status_code.code
        text = said.status_code.additional_info or said.status_code.description or ""
        if code in LATER or http >= 500 or http == 401:
            raise RigError(f"OICP {operation}: HTTP {http}, {code} {text}".rstrip())
        raise OicpRefused(operation, code, text, body[:2000])
    if http >= 500 or http in {401, 403, 408, 429}:
        raise RigError(f"OICP {operation}: HTTP {http}")
    try:
        return decode(body, answer, MAX_ANSWER)
    except MessageError as error:
        raise PeerError(
            f"OICP {operation}: HTTP {http} with something else than an answer: {error}", body[:2000]
        ) from None
