"""The curves of OCMF and how SA spells them (OCMF 1.4.1 table 22)."""

from __future__ import annotations

from dataclasses import dataclass

from ports.errors import LocalError


@dataclass(frozen=True, slots=True)
class Curve:
    """An elliptic curve.

    name: as OpenSSL has it. spelling: as SA writes it. oid: of namedCurve (RFC 5480, SEC 2, RFC 5639).
    size: octets of a coordinate. order: number of points, for low and high s. in_table: listed in table 22.
    """

    name: str
    spelling: str
    oid: str
    size: int
    order: int
    in_table: bool = True

    @property
    def algorithm(self) -> str:
        """What SA holds; always SHA-256, also on the 384-bit curves."""
        return f"ECDSA-{self.spelling}-SHA256"


CURVES: dict[str, Curve] = {
    curve.name: curve
    for curve in (
        Curve(
            "secp192k1",
            "secp192k1",
            "1.3.132.0.31",
            24,
            0xFFFFFFFFFFFFFFFFFFFFFFFE26F2FC170F69466A74DEFD8D,
        ),
        Curve(
            "secp192r1",
            "secp192r1",
            "1.2.840.10045.3.1.1",
            24,
            0xFFFFFFFFFFFFFFFFFFFFFFFF99DEF836146BC9B1B4D22831,
        ),
        Curve(
            "secp256k1",
            "secp256k1",
            "1.3.132.0.10",
            32,
            0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141,
        ),
        Curve(
            "secp256r1",
            "secp256r1",
            "1.2.840.10045.3.1.7",
            32,
            0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551,
        ),
        Curve(
            "brainpoolP256r1",
            "brainpool256r1",
            "1.3.36.3.3.2.8.1.1.7",
            32,
            0xA9FB57DBA1EEA9BC3E660A909D838D718C397AA3B561A6F7901E0E82974856A7,
        ),
        Curve(
            "secp384r1",
            "secp384r1",
            "1.3.132.0.34",
            48,
            0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFC7634D81F4372DDF581A0DB248B0A77AECEC196ACCC52973,
        ),
        Curve(
            "brainpoolP384r1",
            "brainpool384r1",
            "1.3.36.3.3.2.8.1.1.11",
            48,
            0x8CB91E82A3386D280F5D6F7E50E641DF152F7109ED5456B31F166E6CAC0425A7CF3AB6AF6B7FC3103B883202E9046565,
        ),
        # an extension of the field, verified but never written
        Curve(
            "secp521r1",
            "secp521r1",
            "1.3.132.0.35",
            66,
            0x01FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFA51868783BF2F966B7FCC0148F709A5D03BB5C9B8899C47AEBB6FB71E91386409,
            in_table=False,
        ),
    )
}
_ALIASES = {"PRIME256V1": "secp256r1", "NISTP256": "secp256r1", "NISTP384": "secp384r1", "P256": "secp256r1"}
_BY_SPELLING = {spelling.upper(): curve for curve in CURVES.values() for spelling in (curve.name, curve.spelling)} | {
    alias: CURVES[name] for alias, name in _ALIASES.items()
}
BY_OID = {curve.oid: curve for curve in CURVES.values()}


def curve_named(name: str) -> Curve:
    """The curve by any of its spellings, in any case. Raises LocalError for one that OCMF does not know."""
    curve = _BY_SPELLING.get(name.upper())
    if curve is None:
        known = ", ".join(curve.name for curve in CURVES.values() if curve.in_table)
        raise LocalError(f"curve {name!r} is unknown; OCMF has {known}")
    return curve


def curve_of_spelling(spelling: str) -> Curve | None:
    """The curve that SA's middle part names, read leniently; None when unknown."""
    return _BY_SPELLING.get(spelling.upper())
