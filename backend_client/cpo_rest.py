"""Deliver signed records to a CPO over HTTP(S): PUT /v1/records/<record id>, the same request as often as needed."""

from __future__ import annotations

import ssl
from pathlib import Path
from types import TracebackType

import httpx

from backend_client.cpo_messages import AnswerMessage, MessageError, RecordMessage, decode, encode
from backend_client.credential import Credential
from ports.backend import Ack, SignedRecord
from ports.errors import LocalError, PeerError, RigError

MAX_ANSWER = 64 << 10

# What a later attempt cannot change. Everything else (5xx, 408, 429, a wrong credential or path, a key that nobody has
# registered yet) is tried again, because giving up would lose a signed record.
REFUSED_FOR_GOOD = frozenset({400, 409, 413, 422})


class CpoRest:
    """`ports.backend.Backend` over HTTP."""

    def __init__(
        self,
        url: str,
        *,
        token: Credential | None = None,
        ca_file: Path | None = None,
        client_certificate: tuple[Path, Path] | None = None,
        timeout_s: float = 10.0,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        """url: without /v1. token: the bearer token's place. ca_file: the only roots trusted for https.

        client_certificate: files of certificate and key, for mutual TLS. transport: in place of the network.
        Raises LocalError for another scheme, RigError for files that cannot be read.
        """
        self._url = httpx.URL(url.rstrip("/"))
        if self._url.scheme not in {"http", "https"}:
            raise LocalError(f"CPO backend {url}: the scheme must be http or https")
        self._client = httpx.AsyncClient(
            headers={"Content-Type": "application/json", "Accept": "application/json"} | _authorization(token),
            timeout=timeout_s,
            verify=_trust(ca_file, client_certificate) if self._url.scheme == "https" else True,
            transport=transport,
            follow_redirects=False,
            trust_env=False,
        )

    async def deliver(self, record: SignedRecord) -> Ack:
        """PUT the record. Raises PeerError when the CPO refuses it for good, RigError when it may be sent again."""
        try:
            request = self._client.build_request(
                "PUT", f"{self._url}/v1/records/{record.record_id}", content=encode(RecordMessage.of(record))
            )
            response = await self._client.send(request, stream=True)
            try:
                body = await _limited(response)
            finally:
                await response.aclose()
        except httpx.HTTPError as error:
            raise RigError(f"CPO {self._url} gave no answer: {type(error).__name__} {error}".rstrip()) from error
        return self._answer(record, response.status_code, body)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def __aenter__(self) -> CpoRest:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def _answer(self, record: SignedRecord, status: int, body: bytes) -> Ack:
        try:
            answer = decode(body, AnswerMessage)
        except MessageError as error:
            if status in REFUSED_FOR_GOOD:
                raise PeerError(f"CPO {self._url} refused page {record.page} with {status}", body) from error
            raise RigError(f"CPO {self._url} answered {status} with something else than an answer: {error}") from error
        if status in REFUSED_FOR_GOOD:
            raise PeerError(
                f"CPO {self._url} refused page {record.page} with {status} {answer.error}: {answer.reason}", body
            )
        if status not in {200, 201} or answer.ack is None:
            raise RigError(f"CPO {self._url} answered {status} {answer.error}: {answer.reason}".rstrip(": "))
        if answer.record_id != record.record_id:
            raise RigError(f"CPO {self._url} acknowledged record {answer.record_id} instead of {record.record_id}")
        return answer.ack


async def _limited(response: httpx.Response) -> bytes:
    body = b""
    async for chunk in response.aiter_bytes():
        body += chunk
        if len(body) > MAX_ANSWER:
            raise httpx.ReadError(f"the answer is longer than {MAX_ANSWER} octets")
    return body


def _authorization(token: Credential | None) -> dict[str, str]:
    return {"Authorization": f"Bearer {token.read()}"} if token is not None else {}


def _trust(ca_file: Path | None, client_certificate: tuple[Path, Path] | None) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=ca_file)
        if client_certificate is not None:
            context.load_cert_chain(*client_certificate)
    except (OSError, ssl.SSLError) as error:
        files = [ca_file, *(client_certificate or ())]
        raise RigError(f"cannot use {', '.join(str(file) for file in files if file)} for TLS: {error}") from error
    return context
