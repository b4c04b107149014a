"""A meter."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Annotated

from msgspec import Meta, Struct

from hil_rigs.resources.field import RECORD_TEXT, External, Real, TcpPort


class MeterResource(Struct, tag_field="kind", tag="meter", frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A meter: on a serial line (`bus`) or at a host (`host`, Modbus TCP); simulated when its line or host is."""

    model: Annotated[str, Meta(description="a known model", examples=["eastron_sdm630"])] | None = None
    model_file: Annotated[Path, Meta(description="a model of your own, in YAML")] | None = None
    variant: Annotated[str, Meta(description="a variant of the model, as its file names it")] = ""
    bus: Annotated[str, Meta(description="name of a resource of kind serial")] | None = None
    host: (
        Annotated[
            str,
            Meta(min_length=1, description='"virtual", or the name or address of a device that speaks Modbus TCP'),
        ]
        | None
    ) = None
    tcp_port: TcpPort = 502
    unit: Annotated[int, Meta(ge=0, le=255, description="Modbus unit; 1 to 247 on a serial line")] = 1
    serial_number: (
        Annotated[
            str,
            Meta(pattern=RECORD_TEXT, description="what a simulated meter shows; what a real one must show"),
        ]
        | None
    ) = None
    start_kwh: Annotated[Decimal, Meta(description="what a simulated meter has counted before")] = Decimal(0)
    real: Real = None
    external: External = None

    def __post_init__(self) -> None:
        """What belongs together."""
        if (self.model is None) == (self.model_file is None):
            raise ValueError("expected exactly one of model and model_file")
        if (self.bus is None) == (self.host is None):
            raise ValueError("expected exactly one of bus (serial line) and host (Modbus TCP)")
        if self.bus is not None and not 1 <= self.unit <= 247:  # Modbus over Serial Line 1.02, 2.2
            raise ValueError(f"unit: expected 1 to 247 on a serial line, found {self.unit}")
        if not (self.start_kwh.is_finite() and self.start_kwh >= 0):
            raise ValueError(f"start_kwh: expected 0 or more, found {self.start_kwh}")
