"""The fault matrix: many polls under one fault at a time, each answer compared with what the meter really held."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from hil_rigs.serial_line.faults import FROM_MASTER, TO_MASTER, FaultPlan
from hil_rigs.serial_line.memory_line import MemoryLine
from hil_rigs.serial_line.simple_devices import Babbler
from hil_rigs.virtual_clock import VirtualClock, run_virtual
from meters.bus import Call, Priority, Timing
from meters.model import load_model
from meters.rtu_master import RtuMaster
from meters.simulated import SimulatedMeter
from ports.errors import PeerError, RigError
from ports.serial_line import LineDevice, SerialSettings
from tests.meters.plant import Plant
from wire.modbus_pdu import ReadRegisters

TIMING = Timing(max_response_s=0.3, late_window_s=0.3)
MODEL = load_model("eastron_sdm630")

# Same function and size: only the discipline keeps them apart. 0x48 grows with every poll, the others stand.
POLLS = (ReadRegisters(4, 0x48, 2), ReadRegisters(4, 0x34, 2), ReadRegisters(4, 0x00, 2))
SYNC = (ReadRegisters(4, 0x34, 2), ReadRegisters(3, 0xFC00, 2))


@dataclass(slots=True)
class Campaign:
    """One fault on one line. strike: switches the fault on for the poll to come."""

    settings: SerialSettings
    polls: int
    seed: int
    plan: FaultPlan = field(init=False)
    meters: list[SimulatedMeter] = field(default_factory=list)
    right: int = 0
    errors: int = 0
    wrong: list[str] = field(default_factory=list)
    kinds: dict[str, int] = field(default_factory=dict)
    counters: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.plan = FaultPlan(self.seed)


Strike = Callable[[Campaign, random.Random], None]


def line_fault(name: str, point: str = TO_MASTER, **values: float | str) -> Strike:
    """A fault of the virtual line, for one burst."""

    def strike(campaign: Campaign, source: random.Random) -> None:
        campaign.plan.injected.clear()
        campaign.plan.inject(name, point=point, times=1, **values)

    return strike


def meter_fault(name: str, **values: float) -> Strike:
    """A fault of the meter, for one request."""

    def strike(campaign: Campaign, source: random.Random) -> None:
        campaign.meters[0].faults.inject(name, times=1, **values)

    return strike


def late(shortest_ms: float, longest_ms: float) -> Strike:
    """An answer that comes after the timeout (300 ms)."""

    def strike(campaign: Campaign, source: random.Random) -> None:
        campaign.meters[0].faults.inject("late", times=1, delay_ms=source.uniform(shortest_ms, longest_ms))

    return strike


def nothing(campaign: Campaign, source: random.Random) -> None:
    """Faults that are always there need no switching on."""


def anything(campaign: Campaign, source: random.Random) -> None:
    """Several faults of the line and of the meter at once."""
    campaign.plan.injected.clear()
    for strike in source.sample([strike for strike in FAULTS.values() if strike is not anything], 2):
        strike(campaign, source)


FAULTS: dict[str, Strike] = {
    "none": nothing,
    "request lost": line_fault("drop", FROM_MASTER),
    "answer lost": line_fault("drop"),
    "late, inside the window": late(320, 560),
    "late, beyond the window": late(620, 1500),
    "bad CRC": meter_fault("bad_crc"),
    "bit flipped": line_fault("corrupt"),
    "bits flipped in the request": line_fault("corrupt", FROM_MASTER, bits=3),
    "half a frame": line_fault("truncate", octets=4),
    "wrong id": meter_fault("wrong_id"),
    "wrong function": meter_fault("wrong_function"),
    "wrong length": meter_fault("wrong_length"),
    "00 before": line_fault("stray_before", octets=1, value=0),
    "noise before": line_fault("stray_before", octets=3),
    "noise long before": line_fault("stray_before", octets=12, gap_s=0.05),
    "noise after": line_fault("stray_after", octets=3),
    "echo, now and then": line_fault("echo", FROM_MASTER),
    "echo": nothing,
    "50 ms gap": line_fault("gap", seconds=0.05),
    "gap in the request": line_fault("gap", FROM_MASTER, seconds=0.02),
    "answer too early": line_fault("early", FROM_MASTER, seconds=0.0003),
    "answer twice": line_fault("duplicate", gap_s=0.012),
    "exception": meter_fault("exception", code=2),
    "busy": meter_fault("busy"),
    "dead": meter_fault("dead"),
    "two meters at once": meter_fault("second_meter"),
    "two meters in turn": meter_fault("second_meter", delay_ms=1),
    "two meters, far apart": meter_fault("second_meter", delay_ms=40),
    "baud off": line_fault("baud_off", percent=6.0),
    "other format": line_fault("other_format", format="8O1"),
    "unplugged": line_fault("unplug", for_s=0.1),
    "line-clock jitter": line_fault("late", spread_s=0.25),
    "babbling device": nothing,
    "several at once": anything,
}


def devices_of(campaign: Campaign, fault: str, plant: Plant) -> list[LineDevice]:
    """Two meters on the bus, and what the fault needs besides."""
    for device in (1, 2):
        campaign.meters.append(SimulatedMeter(MODEL, plant, device=device, settings=campaign.settings))
    pause_s = 0.15 + 60 * campaign.settings.character_s  # longer than a poll, or nothing ever gets through
    extra = [Babbler(campaign.settings, every_s=pause_s, seed=campaign.seed)] if fault == "babbling device" else []
    return [*campaign.meters, *extra]


def run_campaign(fault: str, settings: SerialSettings, polls: int, seed: int, settle: bool = True) -> Campaign:
    """Poll under the fault; settle: as billing reads do."""
    campaign = Campaign(settings, polls, seed)
    run_virtual(lambda clock: _poll(campaign, fault, clock, settle), start=datetime(2026, 1, 1, tzinfo=UTC), seed=seed)
    return campaign


async def _poll(campaign: Campaign, fault: str, clock: VirtualClock, settle: bool) -> None:
    source = random.Random(f"{campaign.seed}/{fault}")
    plant = Plant(11_000)
    line = MemoryLine(campaign.settings, devices_of(campaign, fault, plant), faults=campaign.plan)
    if fault == "echo":
        campaign.plan.inject("echo", point=FROM_MASTER)
    master = RtuMaster(line.port())
    call = Call(Priority.BILLING, 4, settle=settle, sync=SYNC)
    for number in range(campaign.polls):
        plant.extra_wh += 130
        if source.random() < 0.5:
            FAULTS[fault](campaign, source)
        meter = campaign.meters[0 if source.random() < 0.8 else 1]
        request = source.choice(POLLS)
        truth = meter.execute(request)
        try:
            registers = await master.transact(meter.device, request, TIMING, call)
        except (PeerError, RigError) as error:
            campaign.errors += 1
            kind = type(error).__name__
            campaign.kinds[kind] = campaign.kinds.get(kind, 0) + 1
            if isinstance(error, RigError):
                await clock.sleep(1)
        else:
            if registers == truth:
                campaign.right += 1
            else:
                campaign.wrong.append(f"poll {number}: {registers} instead of {truth}")
        if source.random() < 0.5:
            await clock.sleep(source.uniform(0, 0.4))
    campaign.counters = master.counters.as_dict()
    line.close()


def settings_of(pairs: Sequence[str]) -> list[SerialSettings]:
    """From "9600 8N1"."""
    return [SerialSettings(int(pair.split()[0]), pair.split()[1]) for pair in pairs]
