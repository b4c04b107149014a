"""Readers of cards at the station."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from hil_rigs.resources.field import External, Real


class SimulatedReaderResource(
    Struct, tag_field="kind", tag="reader.simulated", frozen=True, kw_only=True, forbid_unknown_fields=True
):
    """A reader to which the sessions of the rig hold their cards."""


class SerialReaderResource(
    Struct, tag_field="kind", tag="reader.serial", frozen=True, kw_only=True, forbid_unknown_fields=True
):
    """A reader that writes the UID of each card to a serial port, as a line in hexadecimal."""

    port: Annotated[str, Meta(pattern=r"^/.+$", description="the path of a port", examples=["/dev/serial/by-id/..."])]
    baud: Annotated[int, Meta(ge=300, le=1_000_000, description="bits per second")] = 9600
    card: Annotated[Literal["ISO14443", "ISO15693"], Meta(description="what it reads")] = "ISO14443"
    real: Real = None
    external: External = None


class PcscReaderResource(
    Struct, tag_field="kind", tag="reader.pcsc", frozen=True, kw_only=True, forbid_unknown_fields=True
):
    """A reader behind PC/SC (pcscd)."""

    name: Annotated[str, Meta(min_length=1, description="part of the reader's name")] | None = None
    real: Real = None
    external: External = None


ReaderResource = SimulatedReaderResource | SerialReaderResource | PcscReaderResource
