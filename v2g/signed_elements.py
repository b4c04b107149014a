"""Which elements of a message are signed, and how to find them by Id (ISO 15118-2 and -20, 7.9.2.4)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import NamedTuple

from ports.errors import LocalError
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


def body_of(message: Element) -> Named:
    """What a message says: the body element of DIN and -2, the message itself in -20, with its name."""
    body = getattr(message, "Body", message)
    body = getattr(body, "BodyElement", body)
    if body is None:
        raise LocalError("the message has an empty Body")
    return Named(element_name(body), body)


def element_name(element: Element) -> str:
    """The name of a message from its class: "AuthorizationReq" of AuthorizationReqType."""
    return type(element).__name__.removesuffix("Type")


def required_elements(message: Element) -> list[Named]:
    """The elements that the signature of this message must cover; empty when it signs nothing by the standard."""
    name = body_of(message).name
    names = SIGNED.get(schema_of(message), {}).get(name, ())
    return [found for found in elements_of(message) if found.name in names]


def elements_of(message: Element) -> Iterator[Named]:
    """Every element of a message except its header, outermost first."""
    name, body = body_of(message)
    yield Named(name, body)
    yield from _inside(body)


def _inside(element: Element) -> Iterator[Named]:
    for field in element.__struct_fields__:
        value = getattr(element, field)
        if field == "Header":
            continue
        for item in value if isinstance(value, list) else (value,):
            if isinstance(item, Element):
                yield Named(field, item)
                yield from _inside(item)
