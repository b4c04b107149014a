"""The editions of ISO 15118 as message namespaces: three spellings of -20 are in use, one is sent."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from backends.refusals import Refusal, Refused

ISO2 = "urn:iso:15118:2:2013:MsgDef"
ISO20 = "urn:iso:15118:20:2022:MsgDef"

_SPELLINGS: Mapping[str, str] = MappingProxyType(
    {
        ISO2: ISO2,
        ISO20: ISO20,
        "urn:iso:15118:20:2020:MsgDef": ISO20,  # EST documents
        "urn:iso:std:iso:15118:-20:CommonMessages": ISO20,  # the schema itself
    }
)


def edition(namespace: str | None) -> str:
    """ISO2 (also when nothing is given) or ISO20. Raises Refused (NAMESPACE)."""
    if not namespace:
        return ISO2
    if namespace not in _SPELLINGS:
        raise Refused(Refusal.NAMESPACE, f"known are {', '.join(_SPELLINGS)}", received=namespace[:200])
    return _SPELLINGS[namespace]


def edition_of_curve(curve: str) -> str:
    """The edition whose certificates have such keys."""
    return ISO2 if curve == "secp256r1" else ISO20
