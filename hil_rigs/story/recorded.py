"""The V2G messages of a run, decoded from its recordings."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from hil_rigs.story.step import Lane, Step
from ports.errors import PeerError
from v2g.capture import Capture, Sender, read_capture
from v2g.exi.element import Element
from v2g.exi.json_form import to_json
from v2g.session_decoder import DecodedFrame, SessionFrame, decode_frames
from v2g.signed_elements import body_of

PROTOCOLS = {"sap": "ISO 15118-2 handshake", "sdp": "SDP", "iso2": "ISO 15118-2", "din": "DIN SPEC 70121"}
WITHHELD = frozenset({"ContractSignatureEncryptedPrivateKey"})
"""Private keys, though encrypted for the vehicle, are told by nobody."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """One message as a step, with what it was decoded from."""

    step: Step
    frame: DecodedFrame


def read_recording(name: str, octets: bytes, connector: str) -> tuple[list[Recorded], list[str]]:
    """The messages of one link, and notes about what could not be used. Times are civil ones: seconds since 1970.

    Raises CaptureError.
    """
    capture: Capture = read_capture(octets)
    frames = [SessionFrame.of(frame) for frame in capture.frames]
    messages = [Recorded(_step(name, decoded, connector), decoded) for decoded in decode_frames(frames)]
    return messages, [f"{name}: {note}" for note in capture.notes]


def _step(name: str, decoded: DecodedFrame, connector: str) -> Step:
    source = decoded.source
    ends = (Lane.VEHICLE, Lane.STATION) if decoded.sender is Sender.VEHICLE else (Lane.STATION, Lane.VEHICLE)
    protocol = PROTOCOLS.get(decoded.protocol, decoded.protocol or "V2GTP")
    remark = decoded.error or _said(decoded.message)
    if decoded.signature is not None:
        remark = (
            f"signature {'does not verify' if decoded.signature.failed else 'valid'}{f', {remark}' if remark else ''}"
        )
    return Step(
        at=source.time or 0.0,
        source=connector,
        sender=ends[0],
        receiver=ends[1],
        text=decoded.name,
        protocol=protocol,
        remark=remark,
        content=content_of(decoded),
        packet=source.number,
        capture=name,
    )


def _said(message: Any) -> str:
    """The answer's code, when it is more than OK."""
    named = body_of(message) if isinstance(message, Element) else None
    body = named[1] if named is not None else None
    codes = [str(getattr(body, field, None) or "") for field in ("ResponseCode", "EVSEProcessing")]
    return ", ".join(code for code in codes if code not in ("", "OK", "Finished"))


def content_of(decoded: DecodedFrame) -> dict[str, object]:
    """The message as JSON; what no JSON can hold says why."""
    if not isinstance(decoded.message, Element):
        return {}
    try:
        return _shown(to_json(decoded.message))  # type: ignore[no-any-return]
    except PeerError as error:
        return {"not shown": str(error)}


def _shown(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: "withheld" if key in WITHHELD else _shown(inner) for key, inner in value.items()}
    return [_shown(one) for one in value] if isinstance(value, list) else value


def signed(messages: list[Recorded]) -> Iterator[Recorded]:
    """Those with a signature."""
    return (one for one in messages if one.frame.signature is not None)
