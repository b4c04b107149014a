"""Simulated Modbus meters: the other end of the line (a `LineDevice`), fed from the electrical plant."""

from __future__ import annotations

from decimal import Decimal

from meters.batch import slots_of
from meters.faults import Faults
from meters.model import MeterModel, Point
from meters.registers import (
    PhaseEnergies,
    default_identity,
    identity_registers,
    last_digit,
    not_measured,
    physical_value,
    point_registers,
    shown_value,
)
from ports.energy import Electrical, EnergySource
from ports.errors import PeerError, RigError
from ports.serial_line import LineAnswer, SerialSettings
from wire import modbus_pdu, rtu
from wire.modbus_pdu import DeviceRefusedError, ReadRegisters, Request, WriteRegisters

SERIAL = "17042019"
OTHER_SERIAL = "17042020"


class SimulatedMeter:
    """A meter of `model` that shows what `source` measures, with the registers and the resolution of the device.

    start: what the billing counter showed when the plant was switched on, in the register's unit.
    turnaround_s: from the end of a request to the answer (never less than t3.5 on a line).
    """

    def __init__(
        self,
        model: MeterModel,
        source: EnergySource,
        *,
        device: int | None = None,
        settings: SerialSettings | None = None,
        serial: str = SERIAL,
        firmware: str = "",
        start: Decimal = Decimal(0),
        turnaround_s: float = 0.0,
        label: str = "",
        seed: int = 0,
    ) -> None:
        step = last_digit(model.billing_point)
        if start < 0 or start % step:
            raise RigError(f"simulated {model.model}: start {start} is no multiple of its last digit {step}")
        self.model = model
        self.label = label or model.model
        self.device = model.serial.device if device is None else device
        self.faults = Faults(seed)
        self.serial = serial
        self.firmware = firmware
        self._source = source
        self._settings = settings or model.settings
        self._start = start
        self._turnaround_s = turnaround_s
        self._phases = PhaseEnergies()
        self._frozen: Electrical | None = None
        self._reset_at: Electrical | None = None
        self._written: dict[tuple[int, int], int] = {}
        self._owner = {
            (slot.function, slot.address + i): point
            for point in model.points
            for slot in slots_of(point)
            for i in range(slot.size)
        }
        self._busy_until = 0.0
        self.requests = 0

    @property
    def settings(self) -> SerialSettings:
        """How its UART is set."""
        return self._settings

    # the line --------------------------------------------------------------------------------------------------

    def hear(self, octets: bytes, at: float) -> list[LineAnswer]:
        """Answer a request for this device; whatever else is on the line is left alone."""
        try:
            device, pdu = rtu.open_frame(octets)
        except PeerError:
            return []
        if device not in (0, self.device) or at < self._busy_until:
            return []
        answer = self.answer(pdu)
        if answer is None or device == 0:
            return []
        delay_s = max(self._turnaround_s, self._settings.silence_s)
        late = self.faults.strikes("late")
        if late:
            delay_s = late["delay_ms"] / 1000
            self._busy_until = at - self._settings.silence_s + delay_s
        wrong_id = self.faults.strikes("wrong_id")
        frame = rtu.frame((self.device + int(wrong_id["by"])) % 248 if wrong_id else self.device, answer)
        if self.faults.strikes("bad_crc"):
            frame = frame[:-2] + bytes((frame[-2] ^ 0x5A, frame[-1]))
        answers = [LineAnswer(frame, delay_s)]
        second = self.faults.strikes("second_meter")
        if second:
            other = rtu.frame(self.device, self._as_second_meter(pdu))
            pause_s = len(frame) * self._settings.character_s + second["delay_ms"] / 1000
            answers.append(LineAnswer(other, delay_s + (pause_s if second["delay_ms"] else 0.0)))
        return answers

    def answer(self, pdu: bytes) -> bytes | None:
        """The PDU that answers a request PDU; None when the meter is dead."""
        try:
            request = modbus_pdu.decode_request(pdu)
            registers = self.serve(request)
        except DeviceRefusedError as refusal:
            return modbus_pdu.encode_exception(pdu[0] if pdu else 0, refusal.code)
        if registers is None:
            return None
        answer = modbus_pdu.encode_answer(request, registers)
        if isinstance(request, ReadRegisters):
            if self.faults.strikes("wrong_function"):
                answer = bytes((7 - request.function,)) + answer[1:]
            if self.faults.strikes("wrong_length"):
                answer = bytes((answer[0], answer[1] - 2)) + answer[2:-2]
        return answer

    def serve(self, request: Request) -> tuple[int, ...] | None:
        """Registers read (() for a write), None from a dead meter. Raises DeviceRefusedError."""
        self.requests += 1
        if self.faults.strikes("dead"):
            return None
        refused = self.faults.strikes("exception")
        if refused:
            raise DeviceRefusedError("injected", int(refused["code"]))
        if self.faults.strikes("busy"):
            raise DeviceRefusedError("injected", 6)
        return self.execute(request)

    # the registers ---------------------------------------------------------------------------------------------

    def execute(self, request: Request) -> tuple[int, ...]:
        """Do what a request asks. Raises DeviceRefusedError with the code that the device would answer."""
        if isinstance(request, WriteRegisters):
            self._write(request)
            return ()
        if request.count > self.model.limits.max_registers:
            raise DeviceRefusedError("too many registers", 3)
        image = self._image(request)
        wanted = range(request.address, request.address + request.count)
        holes = [at for at in wanted if (request.function, at) not in image]
        if holes and not (self.model.limits.read_holes and len(holes) < request.count):
            raise DeviceRefusedError(f"no register {holes[0]:#06x}", 2)
        return tuple(image.get((request.function, at), 0) for at in wanted)

    def shown(self, name: str) -> Decimal:
        """What a counter shows now, in its register's unit, without faults."""
        point = self.model.point(name)
        value = physical_value(name, self._source.electrical(), self._phases)
        if value is None:
            raise RigError(f"simulated {self.model.model}: the plant has no {name}")
        return shown_value(point, value, self._start_of(point))

    def _image(self, request: ReadRegisters) -> dict[tuple[int, int], int]:
        """Every register that the request touches."""
        wanted = [(request.function, at) for at in range(request.address, request.address + request.count)]
        image = {at: self._written[at] for at in wanted if at in self._written}
        state = self._state()
        for point in {id(owner): owner for at in wanted if (owner := self._owner.get(at)) is not None}.values():
            if self.model.limits.start_at_value and self._splits(point, request):
                raise DeviceRefusedError(f"a read may not split {point.name}", 2)
            image |= self._point_image(point, state)
        serial = OTHER_SERIAL if self.faults.active.get("serial_change") else self.serial
        for key in ("serial", "firmware", "code"):
            identity = getattr(self.model.identify, key)
            if identity is not None and any((identity.fc, identity.addr + i) in wanted for i in range(identity.size)):
                text = (self.firmware if key == "firmware" else "") or default_identity(self.model, key, serial)
                image |= identity_registers(identity, text)
        return image

    def _state(self) -> Electrical:
        state = self._source.electrical()
        self._phases.update(state)
        if "stuck" not in self.faults.active:
            self._frozen = None
        elif self._frozen is None:
            self._frozen = state
        if "reset" not in self.faults.active:
            self._reset_at = None
        elif self._reset_at is None:
            self._reset_at = state
        return self._frozen or state

    def _point_image(self, point: Point, state: Electrical) -> dict[tuple[int, int], int]:
        value = physical_value(point.name, state, self._phases)
        if value is None:
            return not_measured(point)
        shown = shown_value(point, value, self._start_of(point))
        if point.kind != "instant":
            shown = self._broken_counter(point, shown, value)
        registers = point_registers(point, shown)
        if self.faults.strikes("swapped_words"):
            for slot in slots_of(point):
                keys = [(slot.function, slot.address + i) for i in range(slot.size)]
                registers.update(zip(keys, [registers[key] for key in reversed(keys)], strict=True))
        return registers

    def _start_of(self, point: Point) -> Decimal:
        return self._start if point.billing else Decimal(0)

    def _broken_counter(self, point: Point, shown: Decimal, value: Decimal) -> Decimal:
        jump, back = self.faults.strikes("jump"), self.faults.strikes("backwards")
        if jump:
            shown += int(jump["by"]) * last_digit(point)
        if back:
            shown = max(shown - int(back["by"]) * last_digit(point), Decimal(0))
        if self.faults.strikes("zero"):
            shown = Decimal(0)
        if self._reset_at is not None:
            before = physical_value(point.name, self._reset_at, self._phases) or Decimal(0)
            shown = shown_value(point, value - before)
        return shown

    def _splits(self, point: Point, request: ReadRegisters) -> bool:
        first, end = request.address, request.address + request.count
        return any(
            slot.function == request.function
            and slot.address < end
            and slot.address + slot.size > first
            and not (first <= slot.address and slot.address + slot.size <= end)
            for slot in slots_of(point)
        )

    def _write(self, request: WriteRegisters) -> None:
        end = request.address + len(request.registers)
        inside = [b for b in self.model.writes if b.addr <= request.address and end <= b.addr + b.words]
        if not inside:
            raise DeviceRefusedError("not writable", 2)
        if len(request.registers) > self.model.limits.max_write_registers:
            raise DeviceRefusedError("too many registers", 3)
        for i, register in enumerate(request.registers):
            self._written[3, request.address + i] = register

    def _as_second_meter(self, pdu: bytes) -> bytes:
        """What a meter with another serial number and a counter at 0 answers."""
        twin = SimulatedMeter(self.model, self._source, device=self.device, serial=OTHER_SERIAL)
        return twin.answer(pdu) or b""
