"""A serial line."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from hil_rigs.resources.field import External, Real
from ports.serial_line import SerialSettings


class SerialResource(Struct, tag_field="kind", tag="serial", frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A serial line (RS-485, USB adapter), simulated or real, with any number of devices on it."""

    port: Annotated[
        str,
        Meta(
            pattern=r"^(virtual|/.+)$",
            description='"virtual", or the path of a port; /dev/serial/by-id/... stays the same after replugging',
            examples=["virtual"],
        ),
    ]
    baud: Annotated[int, Meta(ge=300, le=1_000_000, description="bits per second")]
    format: Annotated[
        str,
        Meta(pattern=r"^[78][NEO][12]$", description="data bits, parity, stop bits", examples=["8N1"]),
    ] = "8N1"
    real: Real = None
    external: External = None

    @property
    def settings(self) -> SerialSettings:
        """As the drivers want them."""
        return SerialSettings(self.baud, self.format)
