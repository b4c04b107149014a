"""What all our HTTP clients share: no redirects, nothing from the environment, answers of limited length."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx

from backend_client.keep_alive import keep_alive
from backend_client.tls_trust import tls_trust
from ports.errors import LocalError

MAX_ANSWER = 4 << 20


class HttpSession:
    """One server. Safe for many tasks at once; `async with` closes it."""

    def __init__(
        self,
        peer: str,
        url: str,
        *,
        ca_file: Path | None = None,
        client_certificate: tuple[Path, Path] | None = None,
        timeout_s: float | None = 10.0,
        headers: Mapping[str, str] | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
        max_answer: int = MAX_ANSWER,
    ) -> None:
        """peer: what it is, for messages. ca_file: the only roots trusted for https, None = those of this machine.

        client_certificate: files of certificate and key. timeout_s: of each step; None: the caller has a deadline.
        transport: in place of the network. max_answer: octets. Raises LocalError for another scheme, RigError for files
        that cannot be used.
        """
        if httpx.URL(url).scheme not in {"http", "https"}:
            raise LocalError(f"{peer} {url}: the scheme must be http or https")
        self._max_answer = max_answer
        self._client = httpx.AsyncClient(
            headers=headers,
            timeout=timeout_s,
            verify=tls_trust(ca_file, client_certificate),
            transport=transport,
            limits=keep_alive(),
            follow_redirects=False,
            trust_env=False,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections; harmless when closed."""
        await self._client.aclose()

    async def exchange(
        self,
        method: str,
        url: str,
        *,
        content: bytes | None = None,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> tuple[httpx.Response, bytes]:
        """Send once: the answer and its body. Raises httpx.HTTPError, ReadError too for one that is too long."""
        request = self._client.build_request(method, url, content=content, params=params, headers=headers)
        response = await self._client.send(request, stream=True)
        try:
            body = bytearray()
            async for chunk in response.aiter_bytes():
                body += chunk
                if len(body) > self._max_answer:
                    raise httpx.ReadError(f"the answer is longer than {self._max_answer} octets")
            return response, bytes(body)
        finally:
            await response.aclose()
