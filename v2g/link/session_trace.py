"""Events of a session machine as trace events: every frame with its octets and its decoded form."""

from __future__ import annotations

import hashlib
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from ports.trace import TraceEvent
from v2g.exi.element import Element
from v2g.exi.json_form import to_json
from v2g.session.events import Event, Ignored, Received, Send
from v2g.v2gtp import Frame, PayloadType

if TYPE_CHECKING:
    from v2g.link.connection import LinkSettings

_HIDDEN = frozenset({"key", "details", "paused"})  # never secrets in a trace
# these carry a contract's private key, encrypted for the vehicle: shown without it, and without their octets
_SEALED = frozenset({"CertificateInstallationRes", "CertificateUpdateRes"})
_KEY_FIELDS = frozenset({"ContractSignatureEncryptedPrivateKey", "DHpublickey"})


def trace_session_event(settings: LinkSettings, event: Event, peer: str, *, vehicle: bool) -> None:
    """Hand one event to the tracer: "v2g.tx" and "v2g.rx" for messages, "v2g.<Event>" for the rest."""
    at = settings.clock.monotonic()
    kind, data, octets = _content(event)
    data["peer"] = peer
    data["role"] = "EVCC" if vehicle else "SECC"
    settings.tracer(TraceEvent(at, "v2g", kind, settings.source, data, octets))


def _content(event: Event) -> tuple[str, dict[str, Any], bytes]:
    match event:
        case Send(octets, name, message):
            data, octets = _shown_message(name, message, octets)
            return "v2g.tx", data, octets
        case Received(name, message, deviations, octets):
            data, octets = _shown_message(name, message, bytes(Frame(PayloadType.EXI, octets)))
            if deviations:
                data["deviations"] = [deviation._asdict() for deviation in deviations]
            return "v2g.rx", data, octets
        case Ignored(text, octets):
            return "v2g.ignored", {"why": text}, octets
    return f"v2g.{type(event).__name__}", {f.name: plain(getattr(event, f.name)) for f in _shown(event)}, b""


def _shown_message(name: str, message: Element | None, octets: bytes) -> tuple[dict[str, Any], bytes]:
    """Its name and content, and its octets."""
    decoded = _decoded(message)
    if name not in _SEALED:
        return {"message": name, "decoded": decoded}, octets
    return {"message": name, "decoded": _withheld(decoded), "sha256": hashlib.sha256(octets).hexdigest()}, b""


def _withheld(decoded: object) -> object:
    if isinstance(decoded, dict):
        return {key: "withheld" if key in _KEY_FIELDS else _withheld(value) for key, value in decoded.items()}
    return [_withheld(one) for one in decoded] if isinstance(decoded, list) else decoded


def _shown(event: Event) -> list[Any]:
    return [f for f in fields(event) if f.repr and f.name not in _HIDDEN]


def _decoded(message: Element | None) -> object:
    """The message as JSON; what cannot be shown says why, since a fault may have made it impossible."""
    if message is None:
        return None
    try:
        return to_json(message)
    except Exception as error:  # noqa: BLE001 - a fault hook may put anything into a message; tracing never raises
        return f"not shown: {type(error).__name__}: {error}"


def plain(value: object) -> object:
    """Values of events as plain data."""
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, Element):
        return _decoded(value)
    if isinstance(value, tuple | list):
        return [plain(one) for one in value]
    if value is None or isinstance(value, str | int | float | bool):
        return value
    return repr(value)
