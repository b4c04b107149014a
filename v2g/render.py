"""Messages for people: an indented tree with physical values in their units and certificates by subject."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import TypeAlias

from v2g.certificates import CertificateError, describe, load
from v2g.element_names import name_in
from v2g.exi.element import Element

Plain: TypeAlias = "Mapping[str, Plain] | list[Plain] | str | int | bytes"

_INDENT = "  "
_SCALE = ("Multiplier", "Exponent")  # PhysicalValueType of DIN and -2, RationalNumberType of -20
_LONG = 64  # octets of a value shown in full


def tree_lines(tree: Plain, indent: int = 1) -> Iterator[str]:
    """The lines of a message, one per field: name and value; physical values in their unit, certificates by subject."""
    if isinstance(tree, Mapping):
        for name, value in tree.items():
            yield from _field_lines(name, value, indent)


def _field_lines(name: str, value: Plain, indent: int) -> Iterator[str]:
    pad = _INDENT * indent
    if isinstance(value, list):
        for index, item in enumerate(value):
            yield from _field_lines(f"{name}[{index}]", item, indent)
        if not value:
            yield f"{pad}{name} (empty list)"
    elif isinstance(value, Mapping):
        physical = physical_value(value)
        if physical:
            yield f"{pad}{name} {physical}"
        else:
            yield f"{pad}{name}"
            yield from tree_lines(value, indent + 1)
    else:
        yield f"{pad}{name} {scalar(name, value)}"


def physical_value(value: Mapping[str, Plain]) -> str:
    """Text like "400 V" of {Multiplier, Unit, Value} and {Exponent, Value}; "" for everything else."""
    scale = next((value[key] for key in _SCALE if key in value), None)
    number = value.get("Value")
    if not isinstance(scale, int) or not isinstance(number, int) or not set(value) <= {*_SCALE, "Unit", "Value"}:
        return ""
    text = format(Decimal(number).scaleb(scale), "f")
    unit = value.get("Unit")
    return text + (f" {unit}" if isinstance(unit, str) else "") + (f" ({number} x 10^{scale})" if scale else "")


def scalar(name: str, value: Plain) -> str:
    """One value: octets in hex, with their text when they are text, certificates by subject."""
    if isinstance(value, bytes):
        return _octets(name, value)
    return str(value).lower() if isinstance(value, bool) else str(value)


def _octets(name: str, value: bytes) -> str:
    if "Certificate" in name or name.startswith("OEMProvisioningCert"):
        try:
            certificate = load(value)
        except CertificateError:
            pass
        else:
            until = certificate.not_valid_after
            return f"{describe(certificate.subject)}, valid until {until:%Y-%m-%d} ({len(value)} octets)"
    shown = value.hex().upper() if len(value) <= _LONG else f"{value[:_LONG].hex().upper()}... ({len(value)} octets)"
    if len(value) > 2 and value.isascii() and value.decode().isprintable():
        return f'{shown} "{value.decode()}"'
    return shown or "(empty)"


def plain(element: Element) -> dict[str, Plain]:
    """The fields of a message that are there, as a tree; substitutes under their own names."""
    tree: dict[str, Plain] = {}
    for field in element.__struct_fields__:
        value = getattr(element, field)
        if value is None or value == []:
            continue
        if isinstance(value, list):
            tree[field] = [_plain(item) for item in value]
        else:
            tree[name_in(element, field, value)] = _plain(value)
    return tree


def _plain(value: object) -> Plain:
    if isinstance(value, Element):
        return plain(value)
    if isinstance(value, str | int | bytes):
        return value
    raise TypeError(f"no field of a message: {type(value).__name__}")
