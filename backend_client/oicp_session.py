"""HTTP towards OICP 2.3 services: JSON by POST, TLS client certificates, acknowledgements; nothing is sent twice."""

from __future__ import annotations

import ssl
from pathlib import Path
from types import TracebackType
from typing import TypeVar

import httpx
import msgspec

from backend_client.cpo_messages import MessageError, decode
from backend_client.ocpi_session import MAX_ANSWER, limited
from backend_client.ocpi_types import encode
from backend_client.oicp_messages import Acknowledgement
from backend_client.public_trust import public_trust
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


class OicpSession:
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
        self.url = url.rstrip("/")
        if httpx.URL(self.url).scheme not in {"http", "https"}:
            raise LocalError(f"OICP partner {url}: the scheme must be http or https")
        self._client = httpx.AsyncClient(
            timeout=timeout_s,
            verify=_trust(ca_file, client_certificate) if ca_file or client_certificate else public_trust(),
            transport=transport,
            follow_redirects=False,
            trust_env=False,
        )

    async def __aenter__(self) -> OicpSession:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections; harmless when closed."""
        await self._client.aclose()

    async def post(self, path: str, message: msgspec.Struct | bytes, answer: type[T]) -> T:
        """Send once. message: bytes go on as they are.

        Raises OicpRefused (a negative acknowledgement, for good), RigError (no answer, or one that may be better later)
        and PeerError (an answer that makes no sense).
        """
        content = message if isinstance(message, bytes) else encode(message)
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        try:
            request = self._client.build_request("POST", f"{self.url}{path}", content=content, headers=headers)
            response = await self._client.send(request, stream=True)
            try:
                body = await limited(response)
            finally:
                await response.aclose()
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


def _trust(ca_file: Path | None, client_certificate: tuple[Path, Path] | None) -> ssl.SSLContext:
    """ca_file: the only roots that are trusted, None = those of the system."""
    try:
        context = ssl.create_default_context(cafile=ca_file)
        if client_certificate is not None:
            context.load_cert_chain(*client_certificate)
    except (OSError, ssl.SSLError) as error:
        files = [ca_file, *(client_certificate or ())]
        raise RigError(f"cannot use {', '.join(str(file) for file in files if file)} for TLS: {error}") from error
    return context
