"""Send one webhook: guarded against our own network, in bounded time."""

from __future__ import annotations

from typing import Protocol

from backends.guarded_http import GuardedHttp
from ports.errors import PeerError

TIMEOUT_S = 10.0
MAX_ANSWER = 1024 * 1024


class SendWebhook(Protocol):
    """Posts a body."""

    async def __call__(self, url: str, body: bytes, headers: dict[str, str], /) -> tuple[int | None, str]:
        """The status of the answer, None when there was none; and why."""


class WebhookSender:
    """`SendWebhook` over HTTP."""

    def __init__(self, http: GuardedHttp, timeout_s: float = TIMEOUT_S) -> None:
        self._http = http
        self._timeout_s = timeout_s

    async def __call__(self, url: str, body: bytes, headers: dict[str, str], /) -> tuple[int | None, str]:
        """Post once; a redirect is an answer like any other."""
        try:
            answer = await self._http.post(url, body, headers, timeout_s=self._timeout_s, max_answer=MAX_ANSWER)
        except PeerError as error:
            return None, str(error)
        return answer.status, ""
