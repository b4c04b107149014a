"""HTTP towards an OCPI 2.2.1 platform: token, endpoints by its version details, envelopes; nothing is sent twice."""

from __future__ import annotations

import base64
import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any, TypeVar
from urllib.parse import quote
from uuid import UUID

import httpx
import msgspec

from backend_client.cpo_messages import MessageError, decode
from backend_client.credential import Credential
from backend_client.http_session import MAX_ANSWER, HttpSession
from backend_client.ocpi_messages import VERSION, Envelope, InterfaceRole, Version, VersionDetails
from backend_client.ocpi_types import encode
from ports.errors import PeerError, RigError

T = TypeVar("T")
_NEXT = re.compile(r'<([^<>]*)>\s*;\s*rel="?next"?')

# What a later attempt cannot change; everything else (5xx, 401, a wrong path) is the rig's and may be tried again.
REFUSED_FOR_GOOD = frozenset({400, 409, 413, 415, 422})


class OcpiRefused(PeerError):
    """The platform said no. http, status: of the answer, e.g. 200 and 2001."""

    def __init__(self, operation: str, http: int, status: int, said: str, received: bytes = b"") -> None:
        super().__init__(f"OCPI {operation}: HTTP {http}, status {status}: {said or 'without a message'}", received)
        self.http = http
        self.status = status


@dataclass(frozen=True, slots=True)
class OcpiAnswer:
    """What came back. http: 201 when something new was made (status codes, 5.1). data: not converted yet."""

    http: int
    data: Any
    message: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Party:
    """A party on an OCPI platform, e.g. DE and PLB."""

    country_code: str
    party_id: str

    @property
    def id(self) -> str:
        """Both together, as provider or operator id: "DEPLB"."""
        return f"{self.country_code}{self.party_id}".upper()


class OcpiSession(HttpSession):
    """One platform, one credentials token. Safe for many tasks at once; `async with` closes it."""

    def __init__(
        self,
        versions_url: str,
        token: Credential,
        random: Random,
        *,
        ca_file: Path | None = None,
        timeout_s: float = 10.0,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        """versions_url: of the platform's versions endpoint. random: of the request ids. The rest: see HttpSession."""
        super().__init__("OCPI platform", versions_url, ca_file=ca_file, timeout_s=timeout_s, transport=transport)
        self.versions_url = versions_url
        self._token = token
        self._random = random
        self._endpoints: dict[tuple[str, str], str] = {}

    async def endpoint(self, module: str, role: InterfaceRole) -> str:
        """URL of a module, exactly as the platform gives it. Raises RigError when it has none."""
        if not self._endpoints:
            answer = await self.request("GET", self.versions_url)
            versions = converted(answer, list[Version], "GET versions")
            url = next((one.url for one in versions if one.version == VERSION), "")
            if not url:
                raise RigError(f"{self.versions_url} does not speak OCPI {VERSION}")
            details = converted(await self.request("GET", url), VersionDetails, "GET version details")
            self._endpoints = {(one.identifier, one.role): one.url for one in details.endpoints}
        if (module, role) not in self._endpoints:
            raise RigError(f"{self.versions_url} has no {module} as {role}")
        return self._endpoints[module, role]

    async def request(
        self, method: str, url: str, body: msgspec.Struct | None = None, params: Mapping[str, str] | None = None
    ) -> OcpiAnswer:
        """Send once. Raises OcpiRefused (HTTP 400, 404 ..., status 2xxx) and RigError (no answer, 5xx, status 3xxx)."""
        operation = f"{method} {httpx.URL(url).path}"
        headers = {
            # 4.1.2: the token is base64 in the header; 4.1.4: unique ids of request and of its whole chain
            "Authorization": "Token " + base64.b64encode(self._token.read().encode()).decode(),
            "X-Request-ID": self.new_id(),
            "X-Correlation-ID": self.new_id(),
            "Accept": "application/json",
        }
        if body is not None:
            headers["Content-Type"] = "application/json"
        content = None if body is None else encode(body)
        try:
            response, received = await self.exchange(method, url, content=content, params=params, headers=headers)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise RigError(f"OCPI {operation}: no answer: {type(error).__name__} {error}".rstrip()) from error
        return _read(operation, response, received)

    async def objects(self, url: str, kind: type[T], params: Mapping[str, str] | None = None) -> AsyncIterator[T]:
        """All objects of a list, page after page (4.1.3); those that cannot be read are PeerError at their place."""
        pages = 0
        following: str | None = url
        while following:
            answer = await self.request("GET", following, params=params)
            if not isinstance(answer.data, list):
                raise PeerError(f"OCPI GET {url}: data is no list", answer.body[:200])
            for one in answer.data:
                yield converted(OcpiAnswer(answer.http, one, "", {}, encode(one)), kind, f"GET {url}")
            link = _NEXT.search(answer.headers.get("link", ""))
            following, params, pages = link[1] if link else None, None, pages + 1
            if following and httpx.URL(following).host != httpx.URL(url).host:
                raise PeerError(f"OCPI GET {url}: the next page is on another host", following)
            if pages > 10_000:
                raise PeerError(f"OCPI GET {url}: the pages do not end")

    def new_id(self) -> str:
        """A unique id."""
        return str(UUID(int=self._random.getrandbits(128), version=4))


def below(url: str, *names: str) -> str:
    """The URL of something in a module."""
    return "/".join([url.rstrip("/"), *(quote(name, safe="") for name in names)])


def converted(answer: OcpiAnswer, kind: type[T], operation: str) -> T:
    """The data of an answer; a single object may stand in a list, as py_ocpi sends it. Raises PeerError."""
    data = answer.data
    if isinstance(data, list) and len(data) == 1 and isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        data = data[0]
    try:
        return msgspec.convert(data, kind)
    except msgspec.ValidationError as error:
        raise PeerError(f"OCPI {operation}: the answer does not fit: {error}", answer.body[:2000]) from None


def _read(operation: str, response: httpx.Response, body: bytes) -> OcpiAnswer:
    http = response.status_code
    try:
        envelope = decode(body, Envelope, MAX_ANSWER)
    except MessageError as error:
        if http in REFUSED_FOR_GOOD or http == 404:
            raise OcpiRefused(operation, http, 0, "", body[:2000]) from error
        raise RigError(f"OCPI {operation}: HTTP {http} with something else than an answer: {error}") from error
    said = envelope.status_message or ""
    if http in REFUSED_FOR_GOOD or http == 404 or (http < 300 and 2000 <= envelope.status_code < 3000):
        raise OcpiRefused(operation, http, envelope.status_code, said, body[:2000])
    if http >= 300 or not 1000 <= envelope.status_code < 2000:
        raise RigError(f"OCPI {operation}: HTTP {http}, status {envelope.status_code}: {said}".rstrip(": "))
    return OcpiAnswer(http, envelope.data, said, response.headers, body)
