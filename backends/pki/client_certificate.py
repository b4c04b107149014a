"""The certificate that a client showed: in its own TLS connection, or to a proxy that we trust."""

from __future__ import annotations

import base64
import binascii
import ipaddress
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

from asn1crypto import pem  # type: ignore[import-untyped]
from starlette.requests import Request

from backends.guarded_http import Network
from backends.pki.der import check_der
from ports.errors import PeerError

MAX_OCTETS = 8192


@dataclass(frozen=True, slots=True)
class TrustedProxy:
    """A TLS-terminating proxy: only from its addresses is the header believed.

    header: PEM escaped for URLs (nginx $ssl_client_escaped_cert), base64 of DER, or the Client-Cert of RFC 9440. The
    proxy must remove the header from what clients send.
    """

    networks: tuple[Network, ...]
    header: str = "x-ssl-client-cert"


def client_certificate(request: Request, proxy: TrustedProxy | None = None) -> bytes:
    """DER of the client's certificate, b"" when it showed none. Raises PeerError when the proxy's header is broken."""
    text = request.headers.get(proxy.header, "") if proxy is not None else ""
    if text and proxy is not None and _comes_from(request, proxy):
        return _decoded(text)
    tls = (request.scope.get("extensions") or {}).get("tls") or {}
    chain = tls.get("client_cert_chain") or ()
    der: bytes = pem.unarmor(chain[0].encode("ascii"))[2] if chain else b""
    return der


def _comes_from(request: Request, proxy: TrustedProxy) -> bool:
    try:
        address = ipaddress.ip_address(request.client.host) if request.client else None
    except ValueError:
        return False
    return address is not None and any(
        address in network for network in proxy.networks if network.version == address.version
    )


def _decoded(text: str) -> bytes:
    octets = unquote_to_bytes(text) if "%" in text else text.encode("latin-1")
    try:
        if pem.detect(octets):
            der: bytes = pem.unarmor(octets)[2]
        else:
            der = base64.b64decode(octets.strip().strip(b":"), validate=True)  # RFC 9440: between colons
    except (ValueError, binascii.Error) as error:
        raise PeerError(f"client certificate of the proxy cannot be read: {error}", text[:256]) from None
    check_der(der, "client certificate of the proxy", MAX_OCTETS)
    return der
