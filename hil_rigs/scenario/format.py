"""What a scenario file says: the rig, what is done, what is broken, what has to be seen."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from msgspec import Meta, Struct, field

from hil_rigs.resources.field import RECORD_TEXT
from hil_rigs.scenario.duration import Duration
from hil_rigs.scenario.moment import MomentText, PatternText
from hil_rigs.scenario.strategy import RigState

Scalar = bool | int | float | str | None
Connector = Annotated[str, Meta(description="id of a connector; empty = the only one")]
Vehicle = Annotated[str, Meta(description="name of a vehicle; empty = the only one")]
FaultName = Annotated[str, Meta(description="name in the catalogue: plugbench faults", examples=["line.corrupt"])]


class Step(Struct, tag_field="do", frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of all steps."""


class Plug(Step, tag="plug", frozen=True):
    """The driver plugs a vehicle in. pause_after, pause, renegotiate_after: what a V2G session does on its own."""

    vehicle: Vehicle = ""
    connector: Connector = ""
    pause_after: Duration | None = None
    pause: Duration = "60 s"
    renegotiate_after: Duration | None = None


class Unplug(Step, tag="unplug", frozen=True):
    """The plug is pulled, whatever goes on."""

    vehicle: Vehicle = ""


class Want(Step, tag="want", frozen=True):
    """What the driver wants: charge for a time, an energy, up to a state of charge; nothing of these: no more."""

    vehicle: Vehicle = ""
    time: Duration | None = None
    kwh: Annotated[float, Meta(gt=0)] | None = None
    soc: Annotated[float, Meta(gt=0, le=100)] | None = None


class Card(Step, tag="card", frozen=True):
    """An identification is shown; a refusal is an observation (session refused), not an error."""

    id: Annotated[str, Meta(pattern=RECORD_TEXT, max_length=40)]
    type: str = "ISO14443"
    connector: Connector = ""


class Stop(Step, tag="stop", frozen=True):
    """The operator ends the transaction from afar."""

    connector: Connector = ""


class Wait(Step, tag="wait", frozen=True):
    """Nothing is done for a time."""

    time: Duration


class Until(Step, tag="until", frozen=True):
    """Nothing is done until something is seen; seen counts from the last step on, unless `since: start`."""

    seen: PatternText
    within: Duration
    since: Annotated[str, Meta(pattern="^(step|start)$")] = "step"


class Inject(Step, tag="inject", frozen=True):
    """Something is broken now; `name` lets a later step undo it."""

    fault: FaultName
    on: str = ""
    values: dict[str, Scalar] = field(name="with", default_factory=dict)
    times: Annotated[int, Meta(ge=1)] | None = None
    time: Duration | None = field(name="for", default=None)
    name: str = ""


class Undo(Step, tag="undo", frozen=True):
    """A fault is undone. name: of the step or of the fault."""

    name: str


class Offer(Step, tag="offer", frozen=True):
    """The station renegotiates with another limit."""

    amperes: Annotated[float, Meta(gt=0)]
    connector: Connector = ""


class Restart(Step, tag="restart", frozen=True):
    """The vehicle tries again without being unplugged."""

    vehicle: Vehicle = ""


class Session(Step, tag="session", frozen=True):
    """A whole session: plug, card (unless it pays by contract), charge, card, unplug; as under `sessions` of a rig."""

    vehicle: Vehicle = ""
    connector: Connector = ""
    identification: str = "04A1B2C3D4E5F6"
    time: Duration | None = None
    kwh: Annotated[float, Meta(gt=0)] | None = None
    soc: Annotated[float, Meta(gt=0, le=100)] | None = None


class Reach(Step, tag="reach", frozen=True):
    """The rig is brought into a state, by whatever is needed for it: unplug, plug, card, wait."""

    state: RigState
    vehicle: Vehicle = ""
    connector: Connector = ""
    identification: str = "04A1B2C3D4E5F6"


class Repeat(Step, tag="repeat", frozen=True):
    """Steps again and again, until something is seen or so many times."""

    steps: Annotated[list[SimpleStep], Meta(min_length=1)]
    until: PatternText | None = None
    times: Annotated[int, Meta(ge=1)] | None = None
    within: Duration | None = None

    def __post_init__(self) -> None:
        """An end, and a deadline for what may never come."""
        if self.until is None and self.times is None:
            raise ValueError("until: expected until or times")
        if self.until is not None and self.within is None:
            raise ValueError("within: a wait without a deadline may never end")


SimpleStep = Plug | Unplug | Want | Card | Stop | Wait | Until | Inject | Undo | Offer | Restart | Session | Reach
AnyStep = SimpleStep | Repeat


class Timed(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A fault at a moment."""

    at: MomentText
    fault: FaultName
    on: str = ""
    values: dict[str, Scalar] = field(name="with", default_factory=dict)
    times: Annotated[int, Meta(ge=1)] | None = None
    time: Duration | None = field(name="for", default=None)


class Assertion(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One thing to be seen, or not. Its channel is the first word of the pattern, or of the check.

    expect: it is seen, after `after` (start), before `before` (end), within a time of `after`. never: it is not.
    count: how often it is seen. order: seen one after the other. check: a judgement of what the run left.
    """

    expect: PatternText | None = None
    never: PatternText | None = None
    count: PatternText | None = None
    order: list[PatternText] | None = None
    check: str | None = None
    after: MomentText | None = None
    before: MomentText | None = None
    within: Duration | None = None
    exactly: Annotated[int, Meta(ge=0)] | None = None
    at_least: Annotated[int, Meta(ge=0)] | None = None
    at_most: Annotated[int, Meta(ge=0)] | None = None
    values: dict[str, Scalar] = field(name="with", default_factory=dict)
    claim: str = ""
    ids: Annotated[list[str], Meta(description="conformance or requirement ids", examples=[["V2G2-902"]])] = []
    says: Annotated[str, Meta(description="what it means, in words")] = ""

    def __post_init__(self) -> None:
        """One of them, with what belongs to it."""
        kinds = {name: getattr(self, name) for name in ("expect", "never", "count", "order", "check")}
        given = [name for name, value in kinds.items() if value is not None]
        if len(given) != 1:
            raise ValueError(f"expected one of {', '.join(kinds)}, found {', '.join(given) or 'none'}")
        limits = [self.exactly, self.at_least, self.at_most]
        if (given[0] == "count") != any(limit is not None for limit in limits):
            raise ValueError("count goes with exactly, at_least or at_most")
        if self.values and given[0] != "check":
            raise ValueError("with: goes with check")
        if self.within is not None and given[0] not in ("expect", "never"):
            raise ValueError("within: goes with expect and never")

    @property
    def kind(self) -> str:
        """Which of them it is."""
        return next(name for name in ("expect", "never", "count", "order", "check") if getattr(self, name) is not None)


class Defect(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A defect of the device under test, seeded on purpose: the scenario has to fail with it.

    seed: name of a defect (`plugbench faults --defects`). caught_by: what has to fail, "then[0]"; empty = anything.
    """

    seed: str
    on: str = ""
    values: dict[str, Scalar] = field(name="with", default_factory=dict)
    caught_by: list[str] = []


class Needs(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a rig has to have. claims: what it says it can. clock: virtual or real, any when empty."""

    claims: list[str] = []
    clock: Annotated[str, Meta(pattern="^(any|virtual|real)$")] = "any"


class Scenario(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A whole scenario file.

    changes: values of the rig file that are other here, by their place. parameters: `${name}` anywhere in the file;
    matrix: the scenario runs once for each combination of these.
    """

    scenario: Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._ -]*$", description="name")]
    title: str = ""
    rig: Annotated[Path, Meta(description="the rig file, from this file's folder")]
    changes: dict[str, Scalar] = {}
    needs: Needs = Needs()
    parameters: dict[str, Scalar] = {}
    matrix: dict[str, list[Scalar]] = {}
    given: list[AnyStep] = []
    when: Annotated[list[AnyStep], Meta(min_length=1)]
    inject: list[Timed] = []
    then: Annotated[list[Assertion], Meta(min_length=1)]
    defects: list[Defect] = []
    not_applicable: Annotated[dict[str, str], Meta(description="clause: why it is not judged here")] = {}
