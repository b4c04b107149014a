"""Find out how a meter's line is set: try formats and baud rates and say what came back."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass

from ports.serial_line import BytePort, SerialSettings
from wire import rtu
from wire.modbus_pdu import EXCEPTION_BIT

FORMATS = ("8N1", "8E1", "8N2", "8O1")
BAUDS = (9600, 19200, 38400, 57600, 115200, 4800, 2400, 1200)
_READ_ONE_HOLDING_REGISTER = bytes((3, 0, 0, 0, 1))  # V1.1b3 6.3; any answer will do, a refusal too


@dataclass(frozen=True, slots=True)
class Seen:
    """What one try brought. verdict: "answer", "garbage" or "silence"; octets: what was received."""

    settings: SerialSettings
    device: int
    verdict: str
    octets: bytes
    after_s: float

    def __str__(self) -> str:
        what = f"{self.settings.baud:6} {self.settings.format}  device {self.device}: {self.verdict}"
        if self.verdict == "answer":
            return f"{what} after {self.after_s * 1000:.0f} ms"
        if self.verdict == "garbage":
            shown = self.octets[:16].hex(" ") + (" ..." if len(self.octets) > 16 else "")
            return f"{what}, {len(self.octets)} octets: {shown}"
        return what


async def probe(
    port_with: Callable[[SerialSettings], BytePort],
    devices: Sequence[int] = (1,),
    bauds: Iterable[int] = BAUDS,
    formats: Iterable[str] = FORMATS,
    wait_s: float = 0.3,
) -> AsyncIterator[Seen]:
    """Ask each device at each setting for one register; yields what was seen, as it is seen.

    port_with: makes the (closed) port with given settings. wait_s: the longest answer time of the meters. Raises
    RigError when the port cannot be opened; settings that it cannot do raise too, so ask for what it can.
    """
    formats = tuple(formats)
    for baud in bauds:
        for format_ in formats:
            settings = SerialSettings(baud, format_)
            port = port_with(settings)
            port.open()
            try:
                for device in devices:
                    yield await _ask(port, device, wait_s)
            finally:
                port.close()


async def _ask(port: BytePort, device: int, wait_s: float) -> Seen:
    settings = port.settings
    await port.wait_until(port.time() + settings.silence_s)
    port.flush_input()
    request = rtu.frame(device, _READ_ONE_HOLDING_REGISTER)
    sent = port.write(request)
    heard, first = bytearray(), 0.0
    until = sent + wait_s
    while octets := await port.receive(until):
        now = port.time()
        first = first or now
        heard += octets
        if request.startswith(heard):  # so far an echo
            continue
        if _is_answer(bytes(heard).removeprefix(request), device):
            return Seen(settings, device, "answer", bytes(heard), first - sent)
        until = now + max(0.02, 20 * settings.character_s)  # a USB adapter pauses for up to 16 ms
    return Seen(settings, device, "garbage" if heard else "silence", bytes(heard), first - sent if heard else 0.0)


def _is_answer(octets: bytes, device: int) -> bool:
    return rtu.is_frame(octets) and octets[0] == device and octets[1] & ~EXCEPTION_BIT == _READ_ONE_HOLDING_REGISTER[0]


def conclusion(seen: Sequence[Seen]) -> str:
    """One sentence for the reader: which settings answered, or what to look at."""
    good = [one for one in seen if one.verdict == "answer"]
    if good:
        found = sorted({(one.settings.baud, one.settings.format, one.device) for one in good})
        told = ", ".join(f"device {device} at {baud} {format_}" for baud, format_, device in found)
        both = {one.settings.format for one in good} >= {"8N1", "8N2"}
        return f"answers: {told}" + (" (8N1 and 8N2 cannot be told apart by listening)" if both else "")
    noisy = [one for one in seen if one.verdict == "garbage"]
    if noisy:
        return (
            f"no answer, but {len(noisy)} of {len(seen)} tries heard something: a device id, format or baud not tried"
        )
    return "silence at every setting: check A/B wires, supply, termination and the device id"
