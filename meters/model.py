"""Meter model files: what registers a meter has, how it times its answers, and where that is known from."""

from __future__ import annotations

from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from meters.values import WORDS, NumberType, Order, TextType, exact_below
from meters.yaml_lines import PlacedYaml, read_yaml
from ports.errors import RigError
from ports.serial_line import SerialSettings

MODELS = Path(__file__).parent / "models"

Numbering = Literal["pdu", "one_based", "5digit", "6digit"]
Unit = Literal["kWh", "Wh", "W", "kW", "V", "A", "Hz", ""]
Positive = Annotated[int, Meta(ge=1)]
Milliseconds = Annotated[float, Meta(ge=0)]

EXPECTED = {
    "type": f"one of {', '.join(WORDS)}, text, bcd_time, hex",
    "order": "be (high word first) or lsw (low word first)",
    "numbering": "pdu (0-based), one_based, 5digit (30001) or 6digit (300001)",
    "unit": 'one of kWh, Wh, W, kW, V, A, Hz, ""',
    "kind": "instant, total or partial (a counter that can be reset)",
    "trust": "documented (the maker's manual), field (working software) or bench (measured by us)",
    "format": "data bits, parity and stop bits, such as 8N1 or 8E1",
    "fc": "3 (holding registers) or 4 (input registers)",
    "pad": "null or space",
    "form": "decimal, hex, bcd or dotted",
}
_PREFIX = {"5digit": (10_000, {"3": 4, "4": 3}), "6digit": (100_000, {"3": 4, "4": 3})}


class Source(Struct, forbid_unknown_fields=True, frozen=True):
    """Where facts of the file come from, and how far they may be trusted."""

    title: str
    trust: Literal["documented", "field", "bench"]
    covers: str = ""


class Serial(Struct, forbid_unknown_fields=True, frozen=True):
    """How the meter leaves the factory."""

    baud: Positive
    format: Annotated[str, Meta(pattern="^[78][NEO][12]$")]
    device: Annotated[int, Meta(ge=1, le=247)]


class Limits(Struct, forbid_unknown_fields=True, frozen=True):
    """What the device stands; times in milliseconds.

    start_at_value: a read must begin and end at a value. read_holes: undefined registers may be read along.
    one_parameter_per_write: a write carries exactly one parameter.
    """

    max_registers: Annotated[int, Meta(ge=1, le=125)]
    max_response_ms: Milliseconds
    late_window_ms: Milliseconds
    min_gap_ms: Milliseconds = 0
    start_at_value: bool = True
    read_holes: bool = False
    max_write_registers: Annotated[int, Meta(ge=1, le=123)] = 123
    one_parameter_per_write: bool = False


class Rating(Struct, forbid_unknown_fields=True, frozen=True):
    """The largest power that the meter can see; a counter that rises faster is not believed."""

    max_power_w: Positive


class Part(Struct, forbid_unknown_fields=True, frozen=True):
    """One of several registers whose sum is the value (tariffs; import minus export power with sign -1)."""

    addr: int
    sign: Literal[1, -1] = 1


class ExponentFrom(Struct, forbid_unknown_fields=True, frozen=True):
    """The value counts in ten to (another register + add): SunSpec scale factors, decimal point registers."""

    addr: int
    type: Literal["u16", "i16"] = "i16"
    add: int = 0
    nan: tuple[int, ...] = ()


class Identity(Struct, forbid_unknown_fields=True, frozen=True):
    """A register that says who the device is.

    form: how a number is written out. expect: contents that fit this model, with the name of each.
    """

    addr: int
    type: NumberType | TextType
    fc: Literal[3, 4] | None = None
    words: Positive | None = None
    order: Order = "be"
    form: Literal["decimal", "hex", "bcd", "dotted"] = "decimal"
    expect: dict[int | str, str] = {}
    optional: bool = False

    @property
    def size(self) -> int:
        """Registers."""
        return self.words or WORDS[self.type]


class Identify(Struct, forbid_unknown_fields=True, frozen=True):
    """How the device tells who it is; what is missing cannot be asked for."""

    serial: Identity | None = None
    firmware: Identity | None = None
    code: Identity | None = None


class Point(Struct, forbid_unknown_fields=True, frozen=True):
    """One value of the meter.

    exp: decimal exponent of the register. digit: power of ten of the last digit a float counter counts in (same
    unit as the register). nan: raw contents that mean "not measured". bits: [first, count] of an unsigned register.
    kind: total and partial are counters; monotonic: it may never run backwards. optional: some devices lack it.
    """

    name: str
    type: NumberType
    unit: Unit
    addr: int | None = None
    parts: tuple[Part, ...] = ()
    fc: Literal[3, 4] | None = None
    order: Order = "be"
    exp: int = 0
    exp_from: ExponentFrom | None = None
    digit: int | None = None
    nan: tuple[int, ...] = ()
    bits: tuple[int, int] | None = None
    kind: Literal["instant", "total", "partial"] = "instant"
    monotonic: bool = False
    range: tuple[float, float] | None = None
    optional: bool = False
    billing: bool = False
    obis: str = ""

    @property
    def size(self) -> int:
        """Registers of one of its parts."""
        return WORDS[self.type]

    @property
    def summands(self) -> tuple[Part, ...]:
        """Everything that is summed up."""
        return self.parts or (Part(self.addr or 0),)

    @property
    def function(self) -> int:
        """Function code that reads it."""
        return self.fc or 3

    @property
    def si_unit(self) -> str:
        """Unit of its readings: powers always in W."""
        return "W" if self.unit == "kW" else self.unit

    @property
    def si_exponent(self) -> int:
        """Decimal exponent from the register to `si_unit`."""
        return self.exp + (3 if self.unit == "kW" else 0)


class Block(Struct, forbid_unknown_fields=True, frozen=True):
    """A parameter that can be written. whole: always all its registers, padded."""

    name: str
    addr: int
    words: Positive
    type: NumberType | TextType
    order: Order = "be"
    pad: Literal["null", "space"] = "null"
    whole: bool = True
    function: Literal[6, 16] = 16


class When(Struct, forbid_unknown_fields=True, frozen=True):
    """Devices that a variant is for: those with this code or with firmware that begins so."""

    code: tuple[int, ...] = ()
    firmware: str = ""


class Variant(Struct, forbid_unknown_fields=True, frozen=True):
    """Differences of some devices: changed points by name, points that they lack, other limits."""

    name: str
    when: When
    points: tuple[dict[str, object], ...] = ()
    without: tuple[str, ...] = ()
    limits: dict[str, object] = {}


class MeterModel(Struct, forbid_unknown_fields=True, frozen=True):
    """One meter model file."""

    model: str
    vendor: str
    name: str
    sources: Annotated[tuple[Source, ...], Meta(min_length=1)]
    serial: Serial
    limits: Limits
    points: Annotated[tuple[Point, ...], Meta(min_length=1)]
    rating: Rating
    notes: str = ""
    numbering: Numbering = "pdu"
    defaults: dict[str, object] = {}
    identify: Identify = Identify()
    writes: tuple[Block, ...] = ()
    variants: tuple[Variant, ...] = ()

    @property
    def settings(self) -> SerialSettings:
        """Serial settings as the meter leaves the factory."""
        return SerialSettings(self.serial.baud, self.serial.format)

    @property
    def billing_point(self) -> Point:
        """The register that is billed."""
        return next(point for point in self.points if point.billing)

    def point(self, name: str) -> Point:
        """A point by name. Raises RigError with the names there are."""
        for point in self.points:
            if point.name == name:
                return point
        raise RigError(f"{self.model} has no point {name!r}; it has {', '.join(p.name for p in self.points)}")


def model_names() -> list[str]:
    """Models that come with Plugbench."""
    return sorted(path.stem for path in MODELS.glob("*.yaml"))


def load_model(name: str | Path, variant: str = "") -> MeterModel:
    """A model by name, or from a file ("./my_meter.yaml"), optionally one of its variants.

    Raises RigError with file, line and what was expected.
    """
    path = Path(name) if str(name).endswith((".yaml", ".yml")) else MODELS / f"{name}.yaml"
    if path.parent == MODELS and not path.exists():
        raise RigError(f"no meter model {name!r}; there are {', '.join(model_names())}, or a path to a .yaml file")
    return _load(path, variant)


@cache
def _load(path: Path, variant: str) -> MeterModel:
    return parse_model(read_yaml(path), variant)


def parse_model(document: PlacedYaml, variant: str = "") -> MeterModel:
    """Check a document and make the model of it; addresses come out as PDU addresses (0-based)."""
    if not isinstance(document.data, dict):
        raise document.error((), "a meter model is a mapping that begins with 'model:'")
    _fill_defaults(document)
    model = document.convert(MeterModel, EXPECTED)
    _check(document, model)
    if variant:
        if variant not in [each.name for each in model.variants]:
            raise document.error(("variants",), f"no variant {variant!r}")
        model = apply_variant(model, variant)
        _check(document, model)
    return _renumber(document, model)


def apply_variant(model: MeterModel, name: str) -> MeterModel:
    """The model with the differences of one variant."""
    variant = next(each for each in model.variants if each.name == name)
    changes = {str(change.get("name")): change for change in variant.points}
    known = {point.name for point in model.points}
    points = [
        msgspec.convert(_as_dict(point) | changes.get(point.name, {}), Point)
        for point in model.points
        if point.name not in variant.without
    ]
    points += [msgspec.convert(change, Point) for key, change in changes.items() if key not in known]
    limits = msgspec.convert(_as_dict(model.limits) | variant.limits, Limits)
    return msgspec.structs.replace(model, points=tuple(points), limits=limits)


def _as_dict(struct: Struct) -> dict[str, object]:
    plain: dict[str, object] = msgspec.to_builtins(struct)
    return plain


def _fill_defaults(document: PlacedYaml) -> None:
    """`defaults:` holds keys that all points share."""
    data = document.data
    assert isinstance(data, dict)  # noqa: S101 - checked by the caller
    defaults, points = data.get("defaults", {}), data.get("points", [])
    if isinstance(defaults, dict) and isinstance(points, list):
        data["points"] = [defaults | point if isinstance(point, dict) else point for point in points]


def _check(document: PlacedYaml, model: MeterModel) -> None:
    """What a schema cannot say."""
    names: set[str] = set()
    for index, point in enumerate(model.points):
        place = ("points", index)
        if point.name in names:
            raise document.error((*place, "name"), f"point {point.name!r} stands twice")
        names.add(point.name)
        if (point.addr is None) == (not point.parts):
            raise document.error(place, f"point {point.name!r}: expected either addr or parts")
        if point.fc is None and model.numbering not in _PREFIX:
            raise document.error(place, f"point {point.name!r}: expected fc: 3 or 4")
        if point.digit is not None and point.type not in ("f32", "f64"):
            raise document.error((*place, "digit"), f"point {point.name!r}: digit is for floats; others use exp")
        if point.kind == "instant" and (point.monotonic or point.billing):
            raise document.error(place, f"point {point.name!r}: a billing or monotonic point is kind: total or partial")
        if point.billing and (point.kind != "total" or point.unit not in ("kWh", "Wh")):
            raise document.error(place, f"point {point.name!r}: only a total in kWh or Wh can be billed")
        if point.size > model.limits.max_registers:
            raise document.error(place, f"point {point.name!r} is longer than limits.max_registers")
    if sum(point.billing for point in model.points) != 1:
        raise document.error(("points",), "expected exactly one point with billing: true")
    for key in ("serial", "firmware", "code"):
        identity: Identity | None = getattr(model.identify, key)
        if identity is not None and identity.type not in WORDS and identity.words is None:
            raise document.error(("identify", key), f"{key}: type {identity.type} needs words")
        if identity is not None and identity.fc is None and model.numbering not in _PREFIX:
            raise document.error(("identify", key), f"{key}: expected fc: 3 or 4")
    for index, variant in enumerate(model.variants):
        try:
            apply_variant(model, variant.name)
        except msgspec.ValidationError as error:
            raise document.error(("variants", index), f"variant {variant.name!r}: {error}") from error


def _renumber(document: PlacedYaml, model: MeterModel) -> MeterModel:
    """Addresses of the manual to PDU addresses; five and six digits name the function too."""

    def convert(addr: int, fc: int | None, place: tuple[str | int, ...]) -> tuple[int, int]:
        pdu, function = addr, fc
        if model.numbering == "one_based":
            pdu = addr - 1
        elif model.numbering in _PREFIX:
            base, functions = _PREFIX[model.numbering]
            first = str(addr // base)
            if first not in functions or fc not in (None, functions[first]):
                raise document.error(place, f"{addr} is no {model.numbering} number of a register that fc {fc} reads")
            pdu, function = addr % base - 1, functions[first]
        if not 0 <= pdu <= 0xFFFF or function is None:
            raise document.error(place, f"register {addr}: outside of 0-65535 as a PDU address")
        return pdu, function

    points = []
    for index, point in enumerate(model.points):
        place = ("points", index)
        pairs = [convert(part.addr, point.fc, (*place, "addr")) for part in point.summands]
        parts = tuple(Part(pdu, part.sign) for (pdu, _), part in zip(pairs, point.summands, strict=True))
        source = point.exp_from
        if source is not None:
            at, _ = convert(source.addr, point.fc, (*place, "exp_from", "addr"))
            source = msgspec.structs.replace(source, addr=at)
        points.append(
            msgspec.structs.replace(
                point,
                fc=pairs[0][1],
                addr=pairs[0][0] if not point.parts else None,
                parts=parts if point.parts else (),
                exp_from=source,
            )
        )
    identities: dict[str, Identity] = {}
    for key in ("serial", "firmware", "code"):
        identity: Identity | None = getattr(model.identify, key)
        if identity is not None:
            pdu, function = convert(identity.addr, identity.fc, ("identify", key))
            identities[key] = msgspec.structs.replace(identity, addr=pdu, fc=function)
    writes = tuple(
        msgspec.structs.replace(block, addr=convert(block.addr, 3, ("writes", index))[0])
        for index, block in enumerate(model.writes)
    )
    return msgspec.structs.replace(
        model, points=tuple(points), identify=Identify(**identities), writes=writes, numbering="pdu"
    )


def exact_limit(point: Point) -> Decimal | None:
    """Up to which reading a float counter is exact, in the register's unit; None for integers (no such limit)."""
    return exact_below(point.digit, point.type) if point.digit is not None else None
