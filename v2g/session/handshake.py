"""The protocol handshake (ISO 15118-2 8.2): the vehicle lists protocols by priority, the station picks one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

from v2g.exi.generated.sap.types import AppProtocolType, supportedAppProtocolReq, supportedAppProtocolRes


class Version(NamedTuple):
    """A protocol as the handshake names it."""

    protocol: str
    namespace: str
    major: int
    minor: int


VERSIONS: Mapping[str, Version] = MappingProxyType(
    {
        version.protocol: version
        for version in (
            Version("din", "urn:din:70121:2012:MsgDef", 2, 0),  # DIN SPEC 70121 [V2G-DC-226]
            Version("iso2", "urn:iso:15118:2:2013:MsgDef", 2, 0),  # ISO 15118-2 [V2G2-098]
        )
    }
)
WITHOUT_TLS_ONLY = frozenset({"din"})  # DIN SPEC 70121 has no TLS
AGREED = "OK_SuccessfulNegotiation"
AGREED_MINOR = "OK_SuccessfulNegotiationWithMinorDeviation"
REFUSED = "Failed_NoNegotiation"


def choose(
    request: supportedAppProtocolReq, supported: Sequence[str], *, tls: bool
) -> tuple[supportedAppProtocolRes, Version | None]:
    """The station's answer: the vehicle's best offer that it supports ([V2G2-170]), and which that is.

    A wrong major version is no match, a wrong minor one a deviation ([V2G2-172]).
    """
    known = {VERSIONS[name].namespace: VERSIONS[name] for name in supported if not (tls and name in WITHOUT_TLS_ONLY)}
    for offer in sorted(request.AppProtocol or [], key=lambda offer: offer.Priority):
        version = known.get(offer.ProtocolNamespace)
        if version is None or offer.VersionNumberMajor != version.major:
            continue
        same = offer.VersionNumberMinor == version.minor
        code: Any = AGREED if same else AGREED_MINOR
        return supportedAppProtocolRes(ResponseCode=code, SchemaID=offer.SchemaID), version
    refused: Any = REFUSED
    return supportedAppProtocolRes(ResponseCode=refused), None


def offer(protocols: Sequence[str]) -> supportedAppProtocolReq:
    """The vehicle's request: protocols, best first."""
    return supportedAppProtocolReq(
        AppProtocol=[
            AppProtocolType(
                ProtocolNamespace=VERSIONS[name].namespace,
                VersionNumberMajor=VERSIONS[name].major,
                VersionNumberMinor=VERSIONS[name].minor,
                SchemaID=number,
                Priority=number,
            )
            for number, name in enumerate(protocols, 1)
        ]
    )
