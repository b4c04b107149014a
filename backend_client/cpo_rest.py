"""Deliver signed records to a CPO over HTTP(S): PUT /v1/records/<record id>, the same request as often as needed."""

from __future__ import annotations

from pathlib import Path

import httpx

from backend_client.cpo_messages import AnswerMessage, MessageError, RecordMessage, decode, encode
from backend_client.credential import Credential
from backend_client.http_session import HttpSession
from ports.backend import Ack, SignedRecord
from ports.errors import PeerError, RigError

MAX_ANSWER = 64 << 10

# What a later attempt cannot change. Everything else (5xx, 408, 429, a wrong credential or path, a key that nobody has
# registered yet) is tried again, because giving up would lose a signed record.
REFUSED_FOR_GOOD = frozenset({400, 409, 413, 422})


class CpoRest(HttpSession):
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
        """url: without /v1. token: the bearer token's place. The rest, and what is raised: see HttpSession."""
        super().__init__(
            "CPO backend",
            url,
            ca_file=ca_file,
            client_certificate=client_certificate,
            timeout_s=timeout_s,
            headers={"Content-Type": "application/json", "Accept": "application/json"} | _authorization(token),
            transport=transport,
            max_answer=MAX_ANSWER,
        )
        self._url = url.rstrip("/")

    async def deliver(self, record: SignedRecord) -> Ack:
        """PUT the record. Raises PeerError when the CPO refuses it for good, RigError when it may be sent again."""
        try:
            response, body = await self.exchange(
                "PUT", f"{self._url}/v1/records/{record.record_id}", content=encode(RecordMessage.of(record))
            )
        except httpx.HTTPError as error:
            raise RigError(f"CPO {self._url} gave no answer: {type(error).__name__} {error}".rstrip()) from error
        return self._answer(record, response.status_code, body)

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


def _authorization(token: Credential | None) -> dict[str, str]:
    return {"Authorization": f"Bearer {token.read()}"} if token is not None else {}
