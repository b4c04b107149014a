"""What OCPI and OICP messages are made of: strings with published lengths, times, exact numbers, JSON."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Annotated, TypeAlias

import msgspec

# \Z and not $, which would let a line feed pass at the end
TEXT = r"^[^\x00-\x1f\x7f\ud800-\udfff]*\Z"  # OCPI types, string: printable
_ASCII = r"^[\x20-\x7e]+\Z"  # OCPI types, CiString: printable ASCII

CountryCode: TypeAlias = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z]{2}\Z")]  # CiString(2), ISO 3166-1 alpha-2
PartyId: TypeAlias = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9]{3}\Z")]  # CiString(3), as in ISO 15118
Ci32: TypeAlias = Annotated[str, msgspec.Meta(max_length=32, pattern=_ASCII)]
Ci36: TypeAlias = Annotated[str, msgspec.Meta(max_length=36, pattern=_ASCII)]
Ci39: TypeAlias = Annotated[str, msgspec.Meta(max_length=39, pattern=_ASCII)]
Ci48: TypeAlias = Annotated[str, msgspec.Meta(max_length=48, pattern=_ASCII)]
S2: TypeAlias = Annotated[str, msgspec.Meta(max_length=2, pattern=TEXT)]
S10: TypeAlias = Annotated[str, msgspec.Meta(max_length=10, pattern=TEXT)]
S20: TypeAlias = Annotated[str, msgspec.Meta(max_length=20, pattern=TEXT)]
S45: TypeAlias = Annotated[str, msgspec.Meta(max_length=45, pattern=TEXT)]
S64: TypeAlias = Annotated[str, msgspec.Meta(max_length=64, pattern=TEXT)]
S100: TypeAlias = Annotated[str, msgspec.Meta(max_length=100, pattern=TEXT)]
S255: TypeAlias = Annotated[str, msgspec.Meta(max_length=255, pattern=TEXT)]
S512: TypeAlias = Annotated[str, msgspec.Meta(max_length=512, pattern=TEXT)]
S5000: TypeAlias = Annotated[str, msgspec.Meta(max_length=5000, pattern=TEXT)]
Country3: TypeAlias = Annotated[str, msgspec.Meta(pattern=r"^[A-Z]{3}\Z")]  # ISO 3166-1 alpha-3
Currency: TypeAlias = Annotated[str, msgspec.Meta(pattern=r"^[A-Z]{3}\Z")]  # ISO 4217
Latitude: TypeAlias = Annotated[str, msgspec.Meta(max_length=10, pattern=r"^-?[0-9]{1,2}\.[0-9]{5,7}\Z")]
Longitude: TypeAlias = Annotated[str, msgspec.Meta(max_length=11, pattern=r"^-?[0-9]{1,3}\.[0-9]{5,7}\Z")]
Url: TypeAlias = S255

_FOUR_DECIMALS = Decimal("0.0001")  # OCPI types, number: four decimals unless mentioned otherwise
_JSON = msgspec.json.Encoder(decimal_format="number")


def encode(message: object) -> bytes:
    """A message as JSON; decimals are JSON numbers with the digits that they have."""
    return _JSON.encode(message)


def number(value: Decimal) -> Decimal:
    """As OCPI writes numbers: at most four decimals. value: finite."""
    return value if int(value.as_tuple().exponent) >= -4 else value.quantize(_FOUR_DECIMALS, ROUND_HALF_EVEN)


def utc(moment: datetime) -> datetime:
    """As OCPI writes times: UTC, whole seconds. A received time without a zone is UTC, too (types, DateTime)."""
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return aware.astimezone(UTC).replace(microsecond=0)
