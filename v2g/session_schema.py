"""Which schema a payload is written in: the state of the session tells, never the payload (ISO 15118-2 8.2, -20 8.2).

Payload type 0x8001 carries the protocol handshake and every DIN and -2 message. The handshake's answer chooses among
the vehicle's offers; the payload types of -20 name their schema themselves.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from ports.errors import LocalError, PeerError
from v2g.exi.schemas import PAYLOAD_TYPES
from v2g.v2gtp import PayloadType, payload_type_name

NAMESPACES: Mapping[str, str] = MappingProxyType(
    {
        "urn:din:70121:2012:MsgDef": "din",
        "urn:iso:15118:2:2013:MsgDef": "iso2",
        "urn:iso:std:iso:15118:-20:AC": "iso20",
        "urn:iso:std:iso:15118:-20:DC": "iso20",
        "urn:iso:std:iso:15118:-20:WPT": "iso20",
        "urn:iso:std:iso:15118:-20:ACDP": "iso20",
    }
)
PROTOCOLS = ("sap", "din", "iso2", "iso20")


class UnknownSchemaError(PeerError):
    """The state of the session does not tell which schema a payload is written in."""


class SessionSchema:
    """Follows one session. protocol: known from elsewhere ("sap", "din", "iso2", "iso20"), or None."""

    def __init__(self, protocol: str | None = None) -> None:
        if protocol is not None and protocol not in PROTOCOLS:
            raise LocalError(f"protocol {protocol!r}: expected one of {', '.join(PROTOCOLS)}")
        self.protocol = protocol or "sap"
        self._offers: dict[int, str] = {}
        self._refusal = ""

    def schema_of(self, payload_type: int) -> str:
        """The schema set of the next payload. Raises UnknownSchemaError."""
        if payload_type in PAYLOAD_TYPES:
            return PAYLOAD_TYPES[payload_type]
        if payload_type != PayloadType.EXI:
            raise UnknownSchemaError(f"payload type {payload_type_name(payload_type)} carries no EXI message")
        if self._refusal:
            raise UnknownSchemaError(self._refusal)
        return "sap" if self.protocol == "iso20" else self.protocol

    def offered(self, offers: Mapping[int, str]) -> None:
        """The vehicle's supportedAppProtocolReq: SchemaID to namespace."""
        self._offers = dict(offers)
        self.protocol, self._refusal = "sap", ""

    def answered(self, schema_id: int | None, *, agreed: bool = True) -> None:
        """The station's supportedAppProtocolRes.

        A station that agrees without a SchemaID can only mean a vehicle's only offer.
        """
        if not agreed:
            self._refusal = "the station refused the handshake"
            return
        if schema_id is None and len(self._offers) == 1:
            schema_id = next(iter(self._offers))
        namespace = self._offers.get(-1 if schema_id is None else schema_id)
        if namespace is None:
            self._refusal = f"the station chose SchemaID {schema_id}, the vehicle offered {self._offers or 'nothing'}"
        elif namespace not in NAMESPACES:
            self._refusal = f"the session speaks {namespace}, which is no standard known here"
        else:
            self.protocol = NAMESPACES[namespace]
