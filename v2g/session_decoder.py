"""Decodes the frames of sessions, in order: schema by the state of the session, deviations and signatures reported."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from ports.errors import PeerError
from v2g import sdp
from v2g.capture import CapturedFrame, Sender
from v2g.exi.codec import decode, decode_fragment, deviations
from v2g.exi.deviations import Deviation
from v2g.exi.dialects import STANDARD, Dialect
from v2g.exi.element import Element
from v2g.exi.errors import ExiError
from v2g.exi.generated.sap.types import supportedAppProtocolReq, supportedAppProtocolRes
from v2g.session_schema import SessionSchema
from v2g.session_signatures import SessionSignatures, SignatureReport
from v2g.signed_elements import message_name
from v2g.v2gtp import Frame, SkippedFrame, payload_type_name


@dataclass(frozen=True, slots=True)
class SessionFrame:
    """A frame and what is known about where it came from; a frame given as hex has no packet number and no time.

    schema: set when the payload is bare EXI of a known schema; otherwise the session tells.
    fragment: the payload is an EXI fragment, the form that signatures are made over.
    """

    frame: Frame
    number: int | None = None
    time: float | None = None
    stream: int | None = None
    sender: Sender | None = None
    schema: str | None = None
    fragment: bool = False

    @classmethod
    def of(cls, captured: CapturedFrame) -> SessionFrame:
        """A frame of a capture."""
        return cls(captured.frame, captured.number, captured.time, captured.stream, captured.sender)


@dataclass(frozen=True, slots=True)
class DecodedFrame:
    """What a frame says.

    protocol: schema set, "sdp", or "" when unknown. name: of the message. message: None when it could not be read;
    then `error` says why. sender: by the capture, else by the message's name.
    """

    source: SessionFrame
    protocol: str
    name: str
    message: Element | sdp.SdpMessage | None
    sender: Sender | None
    deviations: tuple[Deviation, ...] = ()
    signature: SignatureReport | None = None
    error: str = ""

    @property
    def failed(self) -> bool:
        """Whether it could not be read, or its signature does not verify."""
        return bool(self.error) or (self.signature is not None and self.signature.failed)


@dataclass(slots=True)
class SessionDecoder:
    """One session. protocol: when the capture lacks the handshake. dialect: whose octets these are."""

    protocol: str | None = None
    dialect: Dialect = STANDARD
    strict: bool = False
    _schema: SessionSchema = field(init=False)
    _signatures: SessionSignatures = field(default_factory=SessionSignatures)

    def __post_init__(self) -> None:
        self._schema = SessionSchema(self.protocol)

    def decode(self, source: SessionFrame) -> DecodedFrame:
        """Read one frame; what is wrong with it is in the result."""
        frame = source.frame
        kind = payload_type_name(frame.payload_type)
        if isinstance(frame, SkippedFrame):
            return DecodedFrame(source, "", kind, None, source.sender, error=f"skipped: payload type {kind}")
        if kind.startswith("SDP"):
            return self._sdp(source)
        if source.fragment:
            return self._fragment(source)
        protocol = source.schema or ""
        try:
            protocol = protocol or self._schema.schema_of(frame.payload_type)
            message = decode(protocol, frame.payload, strict=self.strict, dialect=self.dialect)
        except PeerError as error:
            hint = ""
            if protocol == "sap" and isinstance(error, ExiError) and self.protocol is None:
                hint = " (read as the handshake that opens a session; if this is from inside one, name the protocol)"
            return DecodedFrame(source, protocol, kind, None, source.sender, error=f"{error}{hint}")
        self._follow(message)
        name = message_name(message)
        sender = source.sender or _sender_of(name)
        report = self._signatures.check(message) if hasattr(message, "Header") else None
        return DecodedFrame(source, protocol, name, message, sender, deviations(message), report)

    def _fragment(self, source: SessionFrame) -> DecodedFrame:
        protocol, payload = source.schema or "", source.frame.payload
        try:
            name, value = decode_fragment(protocol, payload, strict=self.strict, dialect=self.dialect)
        except PeerError as error:
            return DecodedFrame(source, protocol, "fragment", None, source.sender, error=str(error))
        if isinstance(value, Element):
            return DecodedFrame(source, protocol, name, value, source.sender, deviations(value))
        return DecodedFrame(source, protocol, name, None, source.sender, error=f"a simple value: {value!r}")

    def _sdp(self, source: SessionFrame) -> DecodedFrame:
        name = payload_type_name(source.frame.payload_type)
        sender = source.sender or (Sender.VEHICLE if "REQUEST" in name else Sender.STATION)
        try:
            return DecodedFrame(source, "sdp", name, sdp.from_frame(source.frame), sender)
        except PeerError as error:
            return DecodedFrame(source, "sdp", name, None, sender, error=str(error))

    def _follow(self, message: Element) -> None:
        if isinstance(message, supportedAppProtocolReq):
            offers = [offer for offer in message.AppProtocol or [] if isinstance(offer.SchemaID, int)]
            self._schema.offered({offer.SchemaID: str(offer.ProtocolNamespace) for offer in offers})
        elif isinstance(message, supportedAppProtocolRes):
            agreed = str(message.ResponseCode).startswith("OK")
            chosen = message.SchemaID  # a decoder lets text pass where a number has to be
            self._schema.answered(chosen if chosen is None or isinstance(chosen, int) else -1, agreed=agreed)


def decode_frames(
    frames: Iterable[SessionFrame], protocol: str | None = None, dialect: Dialect = STANDARD, *, strict: bool = False
) -> Iterator[DecodedFrame]:
    """Decode the frames of any number of sessions; each TCP connection is one."""
    decoders: dict[int | None, SessionDecoder] = {}
    for frame in frames:
        if frame.stream not in decoders:
            decoders[frame.stream] = SessionDecoder(protocol, dialect, strict)
        yield decoders[frame.stream].decode(frame)


def _sender_of(name: str) -> Sender | None:
    return Sender.VEHICLE if name.endswith("Req") else Sender.STATION if name.endswith("Res") else None
