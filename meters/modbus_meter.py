"""A Modbus meter (`ports.meter.Meter`) on any bus: its model says what its registers mean."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

from meters.batch import Registers, Slot, plan, slots_of
from meters.bus import AmbiguousAnswerError, Bus, Call, Priority, Timing
from meters.model import Block, Identity, MeterModel, Point, apply_variant
from meters.plausibility import MeterReplacedError, Plausibility
from meters.values import (
    WORDS,
    NotImplementedValueError,
    Number,
    decode_number,
    decode_text,
    encode_number,
    encode_text,
    to_octets,
)
from ports.clock import Clock
from ports.errors import LocalError, PeerError, PlugbenchError, RigError
from ports.meter import MeterIdentity, Quality, Reading
from ports.serial_line import SerialSettings
from ports.trace import TraceEvent, Tracer, no_trace
from wire.modbus_pdu import BUSY, DeviceRefusedError, ReadRegisters, Request, WriteRegisters, describe

ATTEMPTS = 2  # a read that failed on the line is tried once more: noise rarely hits twice
BUSY_TRIES = 5
BUSY_PAUSE_S = 0.2
BILLING_SKIP = 4  # octets of noise accepted before a billing answer
LOG_PAUSE_S = 60.0  # a dead meter is logged once a minute
ILLEGAL_ADDRESS = 2

log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Outage:
    since: float
    logged: float
    failures: int = 0


class ModbusMeter:
    """One meter on a bus.

    settings: of the serial line, None on TCP (used to plan reads). expected_serial: refuse any other meter.
    """

    def __init__(
        self,
        label: str,
        model: MeterModel,
        bus: Bus,
        clock: Clock,
        *,
        device: int | None = None,
        settings: SerialSettings | None = None,
        expected_serial: str = "",
        tracer: Tracer = no_trace,
    ) -> None:
        self._label = label
        self.model = model
        self.device = model.serial.device if device is None else device
        self._bus = bus
        self._clock = clock
        self._settings = settings
        self._trace = tracer
        self._serial = expected_serial
        self._identity: MeterIdentity | None = None
        self._missing: set[str] = set()
        self._outage: _Outage | None = None
        self._sync = _sync_reads(model)
        self.plausibility = Plausibility(label, model)

    @property
    def label(self) -> str:
        """Its name in the rig file."""
        return self._label

    @property
    def timing(self) -> Timing:
        """From the model."""
        limits = self.model.limits
        return Timing(limits.max_response_ms / 1000, limits.late_window_ms / 1000, limits.min_gap_ms / 1000)

    async def identify(self) -> MeterIdentity:
        """Read who the meter is.

        Raises MeterReplacedError when the serial number is another one than before (or than expected), PeerError
        when the device is another model, RigError without a line.
        """
        asked = self.model.identify
        code = await self._identity_text(asked.code, "code")
        name = self.model.name
        if asked.code is not None and asked.code.expect and code:
            known = {str(key): value for key, value in asked.code.expect.items()}
            if code not in known:
                raise PeerError(
                    f"meter {self._label}: the device calls itself {code!r};"
                    f" model {self.model.model} is for {', '.join(known)}"
                )
            name = known[code]
        serial = await self._identity_text(asked.serial, "serial")
        self._check_serial(serial)
        firmware = await self._identity_text(asked.firmware, "firmware")
        for variant in self.model.variants:
            when = variant.when
            if (when.code and code in map(str, when.code)) or (when.firmware and firmware.startswith(when.firmware)):
                self.model = self.plausibility.model = apply_variant(self.model, variant.name)
        self._identity = MeterIdentity(self.model.vendor, name, serial, firmware)
        return self._identity

    async def read_energy(self) -> Reading:
        """The billing register, after a look at the serial number.

        The first reading is confirmed by a second one, because nothing is known yet that could show it wrong.
        Raises ImplausibleError (backwards, jump, replaced meter), PeerError, RigError; never returns a stale value.
        """
        if self._identity is None:
            await self.identify()
        else:
            self._check_serial(await self._identity_text(self.model.identify.serial, "serial"))
        name = self.model.billing_point.name
        confirmed = name in self.plausibility.last
        try:
            reading = await self._read_billing()
            if not confirmed:
                reading = await self._read_billing()
        except PeerError:
            if not confirmed:
                self.plausibility.last.pop(name, None)
            raise
        self._publish(reading)
        return reading

    async def read(self, names: tuple[str, ...] = ()) -> dict[str, Reading]:
        """The named points, all of the model when empty; optional points that the device lacks are left out."""
        points = [self.model.point(name) for name in names] if names else list(self.model.points)
        points = [point for point in points if point.name not in self._missing]
        call = Call(Priority.LIVE, sync=self._sync)
        try:
            registers = await self._fetch((slot for point in points for slot in slots_of(point)), call)
        except DeviceRefusedError as refusal:
            if refusal.code != ILLEGAL_ADDRESS or not any(point.optional for point in points):
                raise
            registers = await self._fetch_singly(points, call)
            points = [point for point in points if point.name not in self._missing]
        readings = {}
        for point in points:
            reading = self._decode(point, registers)
            if reading is not None:
                readings[point.name] = reading
                self._publish(reading)
        return readings

    async def write(self, name: str, value: str | Decimal) -> None:
        """Write a parameter of the model. Raises LocalError (does not fit), PeerError, RigError."""
        block = next((block for block in self.model.writes if block.name == name), None)
        if block is None:
            raise LocalError(f"{self.model.model} has no parameter {name!r} to write")
        registers = _block_registers(block, value)
        limits = self.model.limits
        if len(registers) > limits.max_write_registers and limits.one_parameter_per_write:
            raise LocalError(f"{name}: {len(registers)} registers do not fit into one write of this device")
        for start in range(0, len(registers), limits.max_write_registers):
            part = registers[start : start + limits.max_write_registers]
            await self._ask(WriteRegisters(block.addr + start, part, block.function), Call(Priority.SETTING))

    def forget(self) -> None:
        """Accept a meter that was replaced or reset on purpose: serial number and last readings begin anew."""
        self._serial = ""
        self._identity = None
        self._missing.clear()
        self.plausibility.last.clear()

    async def close(self) -> None:
        """Release the bus; harmless when closed."""
        await self._bus.close()

    # reading --------------------------------------------------------------------------------------------------

    async def _read_billing(self) -> Reading:
        point = self.model.billing_point
        registers = await self._fetch(
            slots_of(point), Call(Priority.BILLING, BILLING_SKIP, settle=True, sync=self._sync)
        )
        reading = self._decode(point, registers)
        if reading is None:
            raise PeerError(f"meter {self._label}: this device does not measure {point.name}, which is to be billed")
        return reading

    async def _fetch(self, slots: Iterable[Slot], call: Call) -> Registers:
        registers: dict[tuple[int, int], int] = {}
        for read in plan(slots, self.model.limits, self._settings):
            values = await self._ask(read, call)
            registers.update({(read.function, read.address + i): value for i, value in enumerate(values)})
        return registers

    async def _fetch_singly(self, points: list[Point], call: Call) -> Registers:
        """One read for each point, to learn which of the optional ones the device lacks."""
        registers: dict[tuple[int, int], int] = {}
        for point in points:
            try:
                registers.update(await self._fetch(slots_of(point), call))
            except DeviceRefusedError as refusal:
                if refusal.code != ILLEGAL_ADDRESS or not point.optional:
                    raise
                self._missing.add(point.name)
        return registers

    async def _ask(self, request: Request, call: Call) -> tuple[int, ...]:
        """One transaction, repeated when the line garbled it or the device is busy."""
        busy, failures = 0, 0
        while True:
            try:
                registers = await self._bus.transact(self.device, request, self.timing, call)
            except DeviceRefusedError as refusal:
                busy += 1
                if refusal.code not in BUSY or busy >= BUSY_TRIES:
                    raise DeviceRefusedError(f"meter {self._label}: {refusal}", refusal.code) from refusal
                await self._clock.sleep(BUSY_PAUSE_S)
            except PeerError as error:
                failures += 1
                if (
                    failures >= ATTEMPTS
                    or isinstance(error, AmbiguousAnswerError)
                    or isinstance(request, WriteRegisters)
                ):
                    self._note_failure(error)
                    raise
            except RigError as error:
                self._note_failure(error)
                raise
            else:
                self._note_success()
                return registers

    def _decode(self, point: Point, registers: Registers) -> Reading | None:
        """The reading of a point; None when an optional one is not measured."""
        raw = b""
        total, exact = Decimal(0), True
        try:
            exponent = point.si_exponent + self._exponent_from(point, registers)
            for part in point.summands:
                content = [registers[point.function, part.addr + i] for i in range(point.size)]
                raw += to_octets(content)
                number = _number(point, content, exponent)
                total += part.sign * number.value
                exact &= number.exact
        except NotImplementedValueError:
            if point.optional or point.kind == "instant":
                return None
            raise PeerError(f"meter {self._label}: {point.name} holds 'not measured'", raw) from None
        reading = Reading(
            point.name,
            total,
            point.si_unit,
            point.obis,
            self._clock.now(),
            self._clock.status(),
            self._clock.monotonic(),
            Quality.GOOD,
            exact,
            raw,
        )
        where = ", ".join(describe(ReadRegisters(*slot)) for slot in slots_of(point))
        self.plausibility.check(point, reading, where)
        return reading

    def _exponent_from(self, point: Point, registers: Registers) -> int:
        source = point.exp_from
        if source is None:
            return 0
        number = decode_number([registers[point.function, source.addr]], source.type, nan=source.nan)
        return int(number.value) + source.add

    async def _identity_text(self, identity: Identity | None, key: str) -> str:
        if identity is None:
            return ""
        read = ReadRegisters(identity.fc or 3, identity.addr, identity.size)
        try:
            registers = await self._ask(read, Call(Priority.BILLING, BILLING_SKIP, sync=self._sync))
        except DeviceRefusedError:
            if identity.optional:
                return ""
            raise
        text = identity_text(identity, registers)
        if not text and not identity.optional:
            raise PeerError(f"meter {self._label}: {describe(read)} ({key}) is empty", to_octets(registers))
        return text

    def _check_serial(self, serial: str) -> None:
        if self._serial and not _same_serial(serial, self._serial):
            self._identity = None
            raise MeterReplacedError(
                f"meter {self._label} was replaced: serial number {self._serial} before, {serial} now",
                Quality.EXCHANGED,
                serial.encode(),
            )
        self._serial = serial

    # telling --------------------------------------------------------------------------------------------------

    def _publish(self, reading: Reading) -> None:
        data: dict[str, object] = {"name": reading.name, "value": str(reading.value), "unit": reading.unit}
        self._trace(TraceEvent(reading.monotonic, "meter", "meter.reading", self._label, data, reading.raw))

    def _note_failure(self, error: PlugbenchError) -> None:
        now = self._clock.monotonic()
        self._trace(TraceEvent(now, "meter", "meter.failure", self._label, {"error": str(error)}))
        if self._outage is None:
            self._outage = _Outage(now, now - LOG_PAUSE_S)
        outage = self._outage
        outage.failures += 1
        if now - outage.logged >= LOG_PAUSE_S:
            outage.logged = now
            log.warning("meter %s does not answer (%d failures): %s", self._label, outage.failures, error)

    def _note_success(self) -> None:
        if self._outage is not None:
            seconds = self._clock.monotonic() - self._outage.since
            log.info("meter %s answers again after %.1f s, %d failures", self._label, seconds, self._outage.failures)
            self._outage = None


def identity_text(identity: Identity, registers: tuple[int, ...]) -> str:
    """What an identity register says, written out in the form that the model asks for."""
    if identity.type not in WORDS:
        return decode_text(registers, identity.type, identity.order)  # type: ignore[arg-type]
    octets = to_octets(registers, identity.order)
    if identity.form == "dotted":
        return ".".join(str(octet) for octet in octets)
    if identity.form in ("hex", "bcd"):
        return octets.hex()
    return str(decode_number(registers, identity.type, identity.order).value)  # type: ignore[arg-type]


def _number(point: Point, content: list[int], exponent: int) -> Number:
    if point.bits is not None:
        first, count = point.bits
        whole = int.from_bytes(to_octets(content, point.order), "big")
        return Number(Decimal(whole >> first & (1 << count) - 1).scaleb(exponent))
    return decode_number(content, point.type, point.order, exponent, point.nan, point.digit)


def _block_registers(block: Block, value: str | Decimal) -> tuple[int, ...]:
    try:
        if isinstance(value, str):
            words = block.words if block.whole else (len(value) + 1) // 2
            return encode_text(value, words, block.pad)
        return encode_number(value, block.type, block.order)  # type: ignore[arg-type]
    except (ValueError, OverflowError, KeyError) as error:
        raise LocalError(f"parameter {block.name}: {error}") from error


def _sync_reads(model: MeterModel) -> tuple[ReadRegisters, ...]:
    """Harmless reads with answers of different sizes, shortest first (see `meters.bus.Call.sync`)."""
    reads = {ReadRegisters(*slot) for point in model.points if not point.optional for slot in slots_of(point)}
    serial = model.identify.serial
    if serial is not None:
        reads.add(ReadRegisters(serial.fc or 3, serial.addr, serial.size))
    forms = {read.answer_header: read for read in sorted(reads, key=lambda read: (read.count, read.address))}
    if len(forms) == 1:  # all alike: two neighbours in one read make another size
        pairs = plan((slot for point in model.points for slot in slots_of(point)), model.limits, None)
        forms |= {read.answer_header: read for read in pairs}
    return tuple(forms.values())


def _same_serial(one: str, other: str) -> bool:
    """Numeric registers have no leading zeros, the label on the meter may."""
    return one == other or (one.isdigit() and other.isdigit() and one.lstrip("0") == other.lstrip("0"))
