"""Which elements of a message are signed, and how to find them by Id (ISO 15118-2 and -20, 7.9.2.4)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import NamedTuple

from v2g.element_names import element_name, name_in
from v2g.exi.element import Element

# the elements that a signature of a message must cover, wherever they stand in it
SIGNED: Mapping[str, Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "iso2": {
            "AuthorizationReq": ("AuthorizationReq",),
            "MeteringReceiptReq": ("MeteringReceiptReq",),
            "CertificateInstallationReq": ("CertificateInstallationReq",),
            "CertificateUpdateReq": ("CertificateUpdateReq",),
            "CertificateInstallationRes": (
                "ContractSignatureCertChain",
                "ContractSignatureEncryptedPrivateKey",
                "DHpublickey",
                "eMAID",
            ),
            "CertificateUpdateRes": (
                "ContractSignatureCertChain",
                "ContractSignatureEncryptedPrivateKey",
                "DHpublickey",
                "eMAID",
            ),
            "ChargeParameterDiscoveryRes": ("SalesTariff",),
        },
        "iso20_common": {
            "AuthorizationReq": ("PnC_AReqAuthorizationMode",),
            "CertificateInstallationReq": ("OEMProvisioningCertificateChain",),
            "CertificateInstallationRes": ("SignedInstallationData",),
            "MeteringConfirmationReq": ("SignedMeteringData",),
            "ScheduleExchangeRes": ("AbsolutePriceSchedule",),
        },
    }
)


class Named(NamedTuple):
    """An element with its name in the message."""

    name: str
    element: Element


def schema_of(message: Element) -> str:
    """The schema set whose class a message is: "iso2", "iso20_common", ..."""
    return type(message).__module__.split(".")[-2]


def body_of(message: Element) -> Named | None:
    """What a message says: the body element of DIN and -2, the message itself in -20; None when the Body is empty."""
    named = Named(element_name(message), message)
    for field in ("Body", "BodyElement"):
        if field in named.element.__struct_fields__:
            value = getattr(named.element, field)
            if not isinstance(value, Element):
                return None
            named = Named(name_in(named.element, field, value), value)
    return named


def message_name(message: Element) -> str:
    """The name of what a message says: "CurrentDemandReq", also inside a V2G_Message."""
    body = body_of(message)
    return body.name if body else f"{element_name(message)} with empty Body"


def required_elements(message: Element) -> list[Named]:
    """The elements that the signature of this message must cover; empty when it signs nothing by the standard."""
    names = SIGNED.get(schema_of(message), {}).get(message_name(message), ())
    return [found for found in elements_of(message) if found.name in names]


def elements_of(message: Element) -> Iterator[Named]:
    """Every element of a message except its header, outermost first."""
    body = body_of(message)
    if body is not None:
        yield body
        yield from _inside(body.element)


def _inside(element: Element) -> Iterator[Named]:
    for field in element.__struct_fields__:
        value = getattr(element, field)
        if field == "Header":
            continue
        for item in value if isinstance(value, list) else (value,):
            if isinstance(item, Element):
                yield Named(field, item)
                yield from _inside(item)
