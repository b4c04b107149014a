"""Get15118EVCertificate: a vehicle's request goes to the pools and their answer back, octet by octet."""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Mapping
from typing import Any

from backend_client.opcp import OpcpClient
from ports.clock import Clock
from ports.errors import PlugbenchError
from ports.trace import TraceEvent, Tracer

# characters of base64: OCPP 2.0.1 Get15118EVCertificateRequest and -Response
MAX_EXI_REQUEST = 5600
MAX_EXI_RESPONSE = 7500
MAX_REASON_CODE = 20  # StatusInfoType
MAX_ADDITIONAL_INFO = 512


class ContractDesk:
    """Forwards for all stations."""

    def __init__(self, pools: OpcpClient | None, clock: Clock, name: str, tracer: Tracer, deadline_s: float) -> None:
        """deadline_s: for the pools; a vehicle gives up after 5 s (ISO 15118-2 V2G2-443)."""
        self._pools = pools
        self._clock = clock
        self._name = name
        self._tracer = tracer
        self._deadline_s = deadline_s

    async def answer(self, station: str, payload: Mapping[str, Any]) -> Mapping[str, Any]:
        """Get15118EVCertificateResponse. An answer that does not fit in it is Failed, never sent in part."""
        began = self._clock.monotonic()
        request, response = b"", b""
        try:
            request = _octets(payload["exiRequest"])
            response, accepted = await self._ask(request, payload["iso15118SchemaVersion"])
            text = base64.b64encode(response).decode()
            if len(text) > MAX_EXI_RESPONSE:
                raise _Failed("TooLarge", f"the answer has {len(text)} characters, at most {MAX_EXI_RESPONSE} fit")
            said: dict[str, Any] = {"status": "Accepted" if accepted else "Failed", "exiResponse": text}
            why = "" if accepted else "the pools have no contract for the vehicle"
            if not accepted:
                said |= {"statusInfo": _info("NoContract", why)}
        except _Failed as failed:
            why = str(failed)
            said = {"status": "Failed", "exiResponse": "", "statusInfo": _info(failed.code, why)}
        data = {
            "station": station,
            "action": payload["action"],
            "status": said["status"],
            "why": why,
            "seconds": round(self._clock.monotonic() - began, 3),
            "request_sha256": hashlib.sha256(request).hexdigest(),
            "response_sha256": hashlib.sha256(response).hexdigest(),
        }
        self._tracer(TraceEvent(self._clock.monotonic(), "backend", "csms.contract", self._name, data))
        return said

    async def _ask(self, request: bytes, namespace: str) -> tuple[bytes, bool]:
        if self._pools is None:
            raise _Failed("NoPools", "this CPO has no contract with a pool operator")
        try:
            answers = await self._pools.request_contract(request, namespace=namespace, deadline_s=self._deadline_s)
        except PlugbenchError as error:
            raise _Failed("PoolError", str(error)) from None
        if not answers:
            raise _Failed("NoContract", "the pools gave no answer for the vehicle")
        best = next((one for one in answers if one.available), answers[0])
        return best.message, best.available


class _Failed(Exception):
    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code


def _octets(text: str) -> bytes:
    if len(text) > MAX_EXI_REQUEST:
        raise _Failed("TooLarge", f"exiRequest has {len(text)} characters, at most {MAX_EXI_REQUEST}")
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise _Failed("Format", f"exiRequest is no base64: {error}") from None


def _info(code: str, text: str) -> dict[str, str]:
    return {"reasonCode": code[:MAX_REASON_CODE], "additionalInfo": text[:MAX_ADDITIONAL_INFO]}
