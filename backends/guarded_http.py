"""HTTP to addresses that strangers name (OCSP responders in certificates, webhooks): never into our own network."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

import httpx

from backend_client.keep_alive import keep_alive
from backend_client.tls_trust import tls_trust
from ports.errors import PeerError

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
LOOPBACK: tuple[Network, ...] = (ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("::1/128"))
MAX_URL = 512
# IPv4 addresses inside of IPv6 ones: NAT64 (RFC 6052), 6to4 (RFC 3056), Teredo (RFC 4380)
_WRAPPERS = tuple(ipaddress.ip_network(net) for net in ("64:ff9b::/96", "64:ff9b:1::/48", "2002::/16", "2001::/32"))


class AddressRefused(PeerError):
    """A URL that must not be called."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back."""

    status: int
    body: bytes
    headers: Mapping[str, str]


class GuardedHttp:
    """A client for http and https. Redirects are not followed, proxies of the environment are not used."""

    def __init__(
        self,
        *,
        allowed: Iterable[Network] = (),
        verify: object = True,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        """allowed: networks that may be called although they are not public, e.g. LOOPBACK on a test bench.

        verify: as httpx takes it (an ssl.SSLContext, True). transport: in place of the network, for tests.
        """
        self._allowed = tuple(allowed)
        self._verify = verify
        self._transport = transport

    @cached_property
    def _client(self) -> httpx.AsyncClient:
        """Made when it is used first: reading the public roots takes a while."""
        return httpx.AsyncClient(
            verify=tls_trust() if self._verify is True else self._verify,  # type: ignore[arg-type]
            transport=self._transport,
            limits=keep_alive(),
            follow_redirects=False,
            trust_env=False,
            timeout=None,  # noqa: S113 - every request has its own
        )

    async def post(
        self, url: str, content: bytes, headers: Mapping[str, str], *, timeout_s: float, max_answer: int
    ) -> Answer:
        """POST. Raises AddressRefused (before anything is sent), PeerError (no answer, too late, too long)."""
        target = check_url(url)
        try:
            async with asyncio.timeout(timeout_s):
                address = await self._resolve(target.host, target.port or (443 if target.scheme == "https" else 80))
                request = self._client.build_request(
                    "POST",
                    target.copy_with(host=address),  # the address that was checked, not what the name is a moment later
                    content=content,
                    headers={**headers, "Host": target.netloc.decode("ascii")},
                    extensions={"sni_hostname": target.host},
                )
                response = await self._client.send(request, stream=True)
                try:
                    return Answer(response.status_code, await _limited(response, url, max_answer), response.headers)
                finally:
                    await response.aclose()
        except TimeoutError:
            raise PeerError(f"{url}: no answer within {timeout_s:g} s") from None
        except httpx.HTTPError as error:
            raise PeerError(f"{url}: {type(error).__name__} {error}".rstrip()) from None

    async def close(self) -> None:
        """Close the connections; harmless when closed."""
        if "_client" in self.__dict__:
            await self._client.aclose()

    async def _resolve(self, host: str, port: int) -> str:
        try:
            found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except OSError as error:
            raise PeerError(f"{host}: name not found ({error})") from None
        addresses = [str(entry[4][0]) for entry in found]
        for address in addresses:
            check_address(address, self._allowed)
        if not addresses:
            raise PeerError(f"{host}: name without address")
        return addresses[0]


def check_url(url: str) -> httpx.URL:
    """The URL, parsed. Raises AddressRefused: too long, another scheme than http(s), credentials, no host."""
    if len(url) > MAX_URL:
        raise AddressRefused(f"URL of {len(url)} characters, at most {MAX_URL}", url[:MAX_URL])
    try:
        target = httpx.URL(url)
    except (httpx.InvalidURL, ValueError) as error:
        raise AddressRefused(f"{url!r} is no URL: {error}", url) from None
    if target.scheme not in {"http", "https"} or not target.host or target.userinfo:
        raise AddressRefused(f"{url!r}: only http and https URLs with a host and without credentials are called", url)
    return target


def check_address(text: str, allowed: Iterable[Network] = ()) -> None:
    """Raises AddressRefused unless the address is public or in one of the allowed networks."""
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        raise AddressRefused(f"{text!r} is no address", text) from None
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    if any(address in network for network in allowed if network.version == address.version):
        return
    if (
        not address.is_global
        or address.is_multicast
        or any(address in network for network in _WRAPPERS if network.version == address.version)
    ):
        raise AddressRefused(f"{text} is no public address: calling it must be allowed by configuration", text)


async def _limited(response: httpx.Response, url: str, max_answer: int) -> bytes:
    body = b""
    async for chunk in response.aiter_raw():
        body += chunk
        if len(body) > max_answer:
            raise PeerError(f"{url}: the answer is longer than {max_answer} octets", body[:64])
    return body
