"""A serial card reader as a device of a simulated line: it repeats the card that lies on it, as real ones do."""

from __future__ import annotations

from collections.abc import Callable

from ports.errors import LocalError
from ports.serial_line import LineAnswer, SerialSettings
from wire import rfid_frame

SETTINGS = SerialSettings(9600, "8N1")  # RDM6300, ID-12
REPEAT_S = 0.1
FORMATS: dict[str, Callable[[bytes], bytes]] = {
    "line": lambda uid: uid.hex().upper().encode() + b"\r\n",
    "frame": rfid_frame.frame,
}


class ReaderDevice:
    """`ports.serial_line.LineDevice` that also speaks by itself. protocol: as `readers.serial_reader.PROTOCOLS`.

    repeat_s: between two times that it says which card lies there.
    """

    def __init__(self, protocol: str = "line", settings: SerialSettings = SETTINGS, repeat_s: float = REPEAT_S) -> None:
        self._format = FORMATS[protocol]
        self._settings = settings
        self._repeat_s = repeat_s
        self._card = b""

    @property
    def settings(self) -> SerialSettings:
        """How its own UART is set."""
        return self._settings

    def present(self, uid: bytes) -> None:
        """Put a card on it; it stays until `remove`. Raises LocalError for what no card has."""
        if not 4 <= len(uid) <= 10:
            raise LocalError(f"a UID has 4 to 10 octets, not {len(uid)}")
        self._card = uid

    def remove(self) -> None:
        """Take the card away; harmless when there is none."""
        self._card = b""

    def hear(self, octets: bytes, at: float) -> list[LineAnswer]:  # noqa: ARG002
        """It only speaks."""
        return []

    def speak(self, at: float) -> tuple[list[LineAnswer], float]:
        """What it sends now, and when it looks again."""
        said = [LineAnswer(self._format(self._card), 0.0)] if self._card else []
        return said, at + self._repeat_s
