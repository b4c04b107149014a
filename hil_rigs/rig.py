"""What a rig file says: resources, the gateway that joins them, and the sessions to run."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from msgspec import Meta, Struct, field

from hil_rigs.resources import Resource
from hil_rigs.resources.field import RECORD_TEXT, Amperes
from hil_rigs.resources.secc import SeccSettings
from hil_rigs.typed_yaml import path_unless
from v2g.session.faults import (
    CutExi,
    CutFrame,
    Delay,
    Drop,
    EventCode,
    OtherKey,
    Repeat,
    ReplaceBits,
    ReplaceExi,
    ReplaceField,
    ReplaceHeader,
    Replay,
    ReverseList,
    Silence,
    SplitFrame,
    WrongOrder,
    WrongSession,
)

V2gFault = (
    Delay
    | Drop
    | Silence
    | Repeat
    | ReplaceField
    | WrongSession
    | WrongOrder
    | ReplaceExi
    | CutExi
    | ReplaceBits
    | EventCode
    | ReplaceHeader
    | CutFrame
    | SplitFrame
    | OtherKey
    | Replay
    | ReverseList
)

Zone = Annotated[str, Meta(min_length=1, description="IANA name of the zone of civil time", examples=["Europe/Berlin"])]


class RealClockSettings(Struct, tag_field="mode", tag="real", frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The clock of the machine."""

    zone: Zone | None = None


class VirtualClockSettings(
    Struct, tag_field="mode", tag="virtual", frozen=True, kw_only=True, forbid_unknown_fields=True
):
    """Simulated time: as fast as the machine can, and the same in every run with one seed."""

    start: Annotated[datetime, Meta(tz=True, examples=["2026-03-29T00:55:00+01:00"])]
    zone: Zone | None = None
    drift_ppm: Annotated[float, Meta(ge=-1000, le=1000, description="how much too fast civil time runs")] = 0.0


ClockSettings = RealClockSettings | VirtualClockSettings


class TroublePolicy(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the operator decides about trouble. Seconds; what is not given is as in `gateway.policy.Policy`."""

    meter_lost: Annotated[Literal["stop", "continue"], Meta(description="a meter that is silent for too long")] = "stop"
    meter_silence_s: Annotated[float, Meta(gt=0, description="without a good reading so long it is lost")] = 10.0
    clock_step: Annotated[Literal["stop", "continue"], Meta(description="civil time was set while charging")] = (
        "continue"
    )
    token_s: Annotated[float, Meta(gt=0, description="a record may stay unsigned so long before charging stops")] = 30.0


class Connector(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One connector of the gateway, and the resources that belong to it."""

    id: Annotated[str, Meta(min_length=1)]
    evse_id: Annotated[
        str,
        Meta(
            # ISO 15118-2 annex H.2: country, operator, "E", number; or the DIN SPEC 91286 form in digits
            pattern=r"^([A-Z]{2}\*?[A-Z0-9]{3}\*?E[A-Z0-9][A-Z0-9*]{0,30}|\+?[0-9]{1,3}\*[0-9]{3,6}\*[0-9*]{1,32})$",
            description="EVSE ID",
            examples=["DE*PLB*E0001"],
        ),
    ]
    board: Annotated[str, Meta(description="name of a resource of kind charger")]
    meter: Annotated[str, Meta(description="name of a resource of kind meter")]
    signer: Annotated[str, Meta(description="name of a resource of kind pkcs11 or file_key")]
    max_current_a: Amperes
    reading_interval_s: Annotated[
        float, Meta(ge=1, le=86400, description="seconds between two signed readings of a session")
    ] = 60.0
    live_interval_s: (
        Annotated[float, Meta(ge=1, le=86400, description="seconds between two readings that are shown, not signed")]
        | None
    ) = None
    secc: SeccSettings | None = None
    trouble: TroublePolicy = TroublePolicy()


class Identification(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A card or contract that may charge."""

    # OCMF 1.4.1, field ID: up to 40 characters
    id: Annotated[str, Meta(pattern=RECORD_TEXT, max_length=40, examples=["04A1B2C3D4E5F6"])]
    type: Annotated[
        Literal[  # OCMF 1.4.1 table 17
            "ISO14443",
            "ISO15693",
            "EMAID",
            "EVCCID",
            "EVCOID",
            "ISO7812",
            "CARD_TXN_NR",
            "CENTRAL",
            "CENTRAL_1",
            "CENTRAL_2",
            "LOCAL",
            "LOCAL_1",
            "LOCAL_2",
            "PHONE_NUMBER",
            "KEY_CODE",
        ],
        Meta(description="kind of identification, by its OCMF name"),
    ] = "ISO14443"


class OcspSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whether the status of contract certificates is asked for before they may charge."""

    source: Annotated[
        str, Meta(min_length=1, description='"direct": the responders that certificates name; else a csms.ocpp')
    ] = "direct"
    policy: Annotated[
        Literal["hard", "soft", "off"],
        Meta(description="hard: without an answer nobody charges; soft: only what is revoked is refused"),
    ] = "soft"


class Gateway(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The charge point controller."""

    serial_number: Annotated[str, Meta(pattern=RECORD_TEXT, max_length=64, examples=["GW-0001"])]
    connectors: Annotated[list[Connector], Meta(min_length=1)]
    local_list: list[Identification] = []
    backends: Annotated[list[str], Meta(description="names of resources of kind cpo.rest, cpo.mqtt or csms.ocpp")] = []
    authorisers: Annotated[
        list[str],
        Meta(min_length=1, description='who is asked, in this order: "local" (local_list) or names of csms.ocpp'),
    ] = field(default_factory=lambda: ["local"])
    contracts: (
        Annotated[
            str,
            Meta(description="where vehicles' certificates come from: a resource of kind pools.opcp or csms.ocpp"),
        ]
        | None
    ) = None
    ocsp: OcspSettings | None = None
    receipts: Annotated[bool, Meta(description="whether vehicles have to sign meter readings")] = False
    free: Annotated[bool, Meta(description="whether charging costs nothing, and nobody has to identify himself")] = (
        False
    )
    readers: Annotated[list[str], Meta(description="names of resources of kind reader")] = []
    journal: Annotated[
        str,
        Meta(
            min_length=1,
            description='"auto": in the folder of the run; else an SQLite file that stays',
            extra=path_unless("auto"),
        ),
    ] = "auto"


class Session(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One charging session: who plugs in where and when, and when it ends."""

    connector: Annotated[str, Meta(description="id of a connector")]
    vehicle: Annotated[str, Meta(description="name of a resource of kind vehicle")]
    identification: Annotated[str, Meta(min_length=1, description="what is shown at the reader")]
    plug_at_s: Annotated[float, Meta(ge=0, description="seconds after the start of the run")] = 0.0
    charge_for_s: Annotated[float, Meta(gt=0, description="stop after so many seconds of charging")] | None = None
    until_kwh: Annotated[float, Meta(gt=0, description="stop after so much energy")] | None = None
    until_soc: Annotated[float, Meta(gt=0, le=100, description="stop at this state of charge")] | None = None
    pause_after_s: (
        Annotated[float, Meta(gt=0, description="the V2G session pauses so long after the first current")] | None
    ) = None
    pause_s: Annotated[float, Meta(gt=0, description="so long; then the vehicle wakes the station and goes on")] = 60.0
    renegotiate_after_s: (
        Annotated[float, Meta(gt=0, description="the vehicle negotiates anew so long after the first current")] | None
    ) = None
    station_faults: Annotated[list[V2gFault], Meta(description="what is broken in the station's messages")] = []
    vehicle_faults: Annotated[list[V2gFault], Meta(description="what is broken in the vehicle's messages")] = []

    def __post_init__(self) -> None:
        """Exactly one end."""
        if sum(end is not None for end in (self.charge_for_s, self.until_kwh, self.until_soc)) != 1:
            raise ValueError("expected exactly one of charge_for_s, until_kwh and until_soc")


class Place(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A labgrid place that has to be held while the rig runs."""

    name: Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", description="name of the place")]
    coordinator: Annotated[str, Meta(pattern=r"^[^:\s]+:[0-9]+$", examples=["lab.example:20408"])] = "127.0.0.1:20408"


class Limits(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What may never be exceeded. A rig with limits closes a contactor only when its run was armed (--arm)."""

    max_current_a: Amperes
    arm_timeout_s: Annotated[
        float, Meta(gt=0, description="a contactor that has been closed for so long is opened again")
    ] = 900.0


class Rig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A whole rig file."""

    rig: Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", description="name", examples=["first-session"])]
    clock: ClockSettings
    seed: Annotated[int, Meta(ge=0, description="of everything random that may repeat")] = 0
    resources: Annotated[dict[str, Resource], Meta(description="what the rig is made of, by name")]
    gateway: Gateway
    sessions: list[Session] = []
    claims: Annotated[list[str], Meta(description="what it can: selects scenarios", examples=[["ac", "iso2"]])] = []
    place: Place | None = None
    limits: Limits | None = None
