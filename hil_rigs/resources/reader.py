"""Readers of cards at the station."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from hil_rigs.resources.field import External, Real
from ports.serial_line import SerialSettings

Served = Annotated[list[str], Meta(description="ids of the connectors that it serves; empty: all of them")]


class SimulatedReaderResource(
    Struct, tag_field="kind", tag="reader.simulated", frozen=True, kw_only=True, forbid_unknown_fields=True
):
    """A reader to which the sessions of the rig hold their cards."""

    connectors: Served = []


class SerialReaderResource(
    Struct, tag_field="kind", tag="reader.serial", frozen=True, kw_only=True, forbid_unknown_fields=True
):
    """A reader that sends the UID of each card over a serial port."""

    port: Annotated[str, Meta(pattern=r"^/.+$", description="the path of a port", examples=["/dev/serial/by-id/..."])]
    baud: Annotated[int, Meta(ge=300, le=1_000_000, description="bits per second")] = 9600
    format: Annotated[
        str, Meta(pattern=r"^[78][NEO][12]$", description="data bits, parity, stop bits", examples=["8N1"])
    ] = "8N1"
    protocol: Annotated[
        Literal["line", "frame"], Meta(description="line: hexadecimal text; frame: 02 length type UID XOR 03")
    ] = "line"
    reverse: Annotated[bool, Meta(description="it sends the last octet of a UID first")] = False
    card: Annotated[Literal["ISO14443", "ISO15693", "UNDEFINED"], Meta(description="what it reads")] = "ISO14443"
    connectors: Served = []
    real: Real = None
    external: External = None

    @property
    def settings(self) -> SerialSettings:
        """As the drivers want them."""
        return SerialSettings(self.baud, self.format)


class PcscReaderResource(
    Struct, tag_field="kind", tag="reader.pcsc", frozen=True, kw_only=True, forbid_unknown_fields=True
):
    """A reader behind PC/SC (pcscd)."""

    name: Annotated[str, Meta(min_length=1, description="part of the reader's name; default: the only one")] | None = (
        None
    )
    connectors: Served = []
    real: Real = None
    external: External = None


ReaderResource = SimulatedReaderResource | SerialReaderResource | PcscReaderResource
