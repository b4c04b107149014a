"""One connection as messages: V2GTP frames and EXI on the way in and out, with the fault hook at every step out.

The points of the hook, in order, for a message named CurrentDemandRes:

    v2g.tx.CurrentDemandRes.message   the message object, signed already
    v2g.tx.CurrentDemandRes.exi       its EXI octets: values, event codes, anything
    v2g.tx.CurrentDemandRes.frame     an `Outgoing`: V2GTP octets, and when they go out
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from ports.faults import FaultHook, no_fault
from v2g.exi.codec import decode, encode
from v2g.exi.element import Element
from v2g.v2gtp import DEFAULT_LENGTH_LIMIT, Frame, FrameStream, PayloadType


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A frame on its way. delay: seconds from now."""

    octets: bytes = field(repr=False)
    delay: float = 0.0


class Channel:
    """schema: the set of the next message; the session switches it after the handshake."""

    def __init__(self, hook: FaultHook = no_fault, length_limit: int = DEFAULT_LENGTH_LIMIT) -> None:
        self.schema = "sap"
        self._hook = hook
        self._stream = FrameStream(length_limit)

    @property
    def pending(self) -> int:
        """Octets received that are no whole frame yet."""
        return self._stream.pending

    def receive(self, octets: bytes) -> list[Frame]:
        """Frames that are whole now. Raises HeaderError, after which nothing can be read any more."""
        return self._stream.receive(octets)

    def read(self, frame: Frame) -> Element:
        """The message of a frame. Raises ExiError."""
        return decode(self.schema, frame.payload)

    def write(self, name: str, message: Element, octets: bytes = b"") -> Iterator[Outgoing]:
        """The frames of a message. octets: its EXI, when it has been encoded. Raises EncodeError."""
        if self._hook is no_fault:
            yield Outgoing(bytes(Frame(PayloadType.EXI, octets or encode(message))))
            return
        point = f"v2g.tx.{name}"
        for changed in self._hook(f"{point}.message", message):
            as_it_was = octets if changed is message else b""
            for exi in self._hook(f"{point}.exi", as_it_was or encode(changed, check=False)):
                yield from self._hook(f"{point}.frame", Outgoing(bytes(Frame(PayloadType.EXI, exi))))
