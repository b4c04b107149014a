"""HTTP towards OPCP pools: bearer tokens, one deadline over everything, repeats only where nothing can happen twice."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import httpx
import msgspec

from backend_client.http_session import HttpSession
from backend_client.opcp_messages import ErrorBody, OpcpError, Token
from ports.clock import Clock
from ports.errors import RigError

T = TypeVar("T")
REFRESH_S = 60.0  # before the token expires
PAUSE_S = 0.2
MAX_PAUSE_S = 5.0
ATTEMPTS = 4
_UNCHANGED = frozenset({429})  # the request was not looked at: safe to repeat
_LATER = frozenset({408, 425, 502, 503, 504})  # something may have happened


@dataclass(frozen=True, slots=True)
class Credentials:
    """A client of the pools. secret_file: its first line is read for every token. audience: "" = the pools' URL."""

    client_id: str
    secret_file: Path
    audience: str = ""

    def secret(self) -> str:
        """Raises RigError; the text never shows it."""
        try:
            lines = self.secret_file.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise RigError(f"OPCP secret file {self.secret_file} cannot be read: {error}") from None
        if not lines or not lines[0]:
            raise RigError(f"OPCP secret file {self.secret_file} is empty")
        return lines[0]


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back. repeats: how often the request was sent again before."""

    status: int
    body: bytes
    headers: Mapping[str, str]
    repeats: int = 0


class OpcpSession(HttpSession):
    """Sends requests with a token. Safe for many tasks at once."""

    def __init__(
        self,
        url: str,
        credentials: Credentials,
        clock: Clock,
        *,
        token_url: str = "",
        ca_file: Path | None = None,
        timeout_s: float = 10.0,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        """url: without /v1. token_url: "" = `url`/oauth/token. timeout_s: of an operation without its own deadline.

        The rest, and what is raised: see HttpSession.
        """
        # the deadline is over all of it
        super().__init__("OPCP pools", url, ca_file=ca_file, timeout_s=None, transport=transport)
        self.url = url.rstrip("/")
        self._token_url = token_url or f"{self.url}/oauth/token"
        self._credentials = credentials
        self._clock = clock
        self._timeout_s = timeout_s
        self._token = ""
        self._refresh_at = 0.0
        self._token_turn = asyncio.Lock()

    async def request(
        self,
        method: str,
        path: str,
        *,
        body: object = None,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        repeatable: bool,
        deadline_s: float | None = None,
        content: bytes | None = None,
        accept: frozenset[int] = frozenset(),
    ) -> Answer:
        """Send until an answer comes, within the deadline (seconds, everything included: token, repeats, pauses).

        repeatable: doing it twice is the same as once. What is not is sent again only if the pool cannot have seen it:
        no connection, 429, 401 (once, with a new token). accept: error statuses that the caller understands.
        Raises OpcpError; RigError when no connection could be made.
        """
        operation = f"{method} {path}"
        until = self._clock.monotonic() + (self._timeout_s if deadline_s is None else deadline_s)
        payload = msgspec.json.encode(body) if body is not None else content
        sent = {"Accept": "application/json, */*", **(headers or {})}
        if body is not None:
            sent["Content-Type"] = "application/json"
        renewed, repeats, problem = False, 0, ""
        while True:
            left = until - self._clock.monotonic()
            if left <= 0 or repeats >= ATTEMPTS:
                raise OpcpError(operation, 0, (problem or "the deadline has passed",))
            try:
                async with asyncio.timeout(left):
                    token = await self._bearer()
                    response, received = await self.exchange(
                        method,
                        f"{self.url}{path}",
                        content=payload,
                        params=params,
                        headers={**sent, "Authorization": f"Bearer {token}"},
                    )
                    answer = Answer(response.status_code, received, response.headers, repeats)
            except TimeoutError:
                raise OpcpError(operation, 0, (f"no answer in time{f' after {problem}' if problem else ''}",)) from None
            except (httpx.ConnectError, httpx.ConnectTimeout) as error:
                problem, again = f"no connection: {error}", True
            except httpx.HTTPError as error:
                problem, again = f"{type(error).__name__} {error}".rstrip(), repeatable
            else:
                if answer.status == 401 and not renewed:
                    renewed = True
                    self._forget(token)
                    continue
                if answer.status < 400 or answer.status in accept:
                    return answer
                problem = f"answered {answer.status}"
                again = answer.status in _UNCHANGED or (repeatable and answer.status in _LATER)
                if not again:
                    raise error_of(operation, answer)
                wait = _retry_after(answer, repeats)
                if repeats + 1 >= ATTEMPTS or self._clock.monotonic() + wait >= until:
                    raise error_of(operation, answer)
                repeats += 1
                await self._clock.sleep(wait)
                continue
            if not again:
                raise OpcpError(operation, 0, (problem,))
            repeats += 1
            await self._clock.sleep(min(PAUSE_S * 2 ** (repeats - 1), max(0.0, until - self._clock.monotonic())))

    def _forget(self, token: str) -> None:
        if token == self._token:
            self._token = ""

    async def _bearer(self) -> str:
        async with self._token_turn:
            if not self._token or self._clock.monotonic() >= self._refresh_at:
                token = await self._fetch_token()
                self._token = token.access_token
                life = max(0.0, token.expires_in)
                self._refresh_at = self._clock.monotonic() + max(life - REFRESH_S, life / 2)
            return self._token

    async def _fetch_token(self) -> Token:
        operation = "POST /oauth/token"
        body = {
            "grant_type": "client_credentials",
            "client_id": self._credentials.client_id,
            "client_secret": self._credentials.secret(),
            "audience": self._credentials.audience or self.url,
        }
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        response, received = await self.exchange(
            "POST", self._token_url, content=msgspec.json.encode(body), headers=headers
        )
        answer = Answer(response.status_code, received, response.headers)
        if answer.status != 200:
            raise error_of(operation, answer)
        return decode(answer, Token, operation)


def decode(answer: Answer, kind: type[T], operation: str) -> T:
    """The body of an answer. Raises OpcpError."""
    try:
        return msgspec.json.decode(answer.body, type=kind)
    except msgspec.DecodeError as error:
        raise OpcpError(
            operation, answer.status, (f"the answer does not fit: {error}",), "", answer.body[:2000]
        ) from None


def error_of(operation: str, answer: Answer) -> OpcpError:
    try:
        body: Any = msgspec.json.decode(answer.body, type=ErrorBody)
    except (msgspec.DecodeError, msgspec.ValidationError):
        body = ErrorBody()
    return OpcpError(operation, answer.status, tuple(body.error_messages), body.trace_id, answer.body[:2000])


def _retry_after(answer: Answer, repeats: int) -> float:
    said = answer.headers.get("retry-after", "")
    return min(float(said), MAX_PAUSE_S) if said.isdigit() else float(PAUSE_S * 2**repeats)
