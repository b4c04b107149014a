"""A meter bus without a line: a request reaches the simulated meter at once. The PDUs are the real ones."""

from __future__ import annotations

from meters.bus import Call, Timing
from meters.simulated import SimulatedMeter
from ports.errors import PeerError
from wire import modbus_pdu
from wire.modbus_pdu import Request


class DirectBus:
    """`meters.bus.Bus` with one device on it."""

    def __init__(self, meter: SimulatedMeter) -> None:
        self._meter = meter

    @property
    def name(self) -> str:
        """For messages."""
        return f"{self._meter.label} (direct)"

    async def transact(
        self,
        device: int,
        request: Request,
        _timing: Timing,
        _call: Call | None = None,
    ) -> tuple[int, ...]:
        """See `Bus`."""
        pdu = self._meter.answer(modbus_pdu.encode_request(request)) if device == self._meter.device else None
        if pdu is None:
            raise PeerError(f"{self.name}: no answer of device {device}")
        return modbus_pdu.decode_answer(request, pdu)

    async def close(self) -> None:
        """Nothing to release."""
