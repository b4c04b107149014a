"""Who may do what: roles, ownership by WMI and provider id, one table of rights."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from ports.errors import PeerError


class Role(StrEnum):
    """Roles as the token's role claim spells them; CPS and ADMIN are our own words, no public token shows them."""

    CPO = "CPO"
    OEM = "OEM"
    MO_V2G_PKI = "MO_HUBJECT_PKI"  # MO without a PKI of its own: the pool's MO CA issues for it
    MO_OWN_PKI = "MO_EXTERNAL_PKI"
    CPS = "CPS"
    ADMIN = "ADMIN"


MO = frozenset({Role.MO_V2G_PKI, Role.MO_OWN_PKI})
ALL = frozenset(Role)
USERS = ALL - {Role.ADMIN}

# Roles per operation: OPCP 1.0.0 OpenAPI and its table of rights; see docs/decisions/0040-opcp-contradictions.md.
RIGHTS: dict[str, frozenset[Role]] = {
    "root.list": ALL,
    "root.get": ALL,
    "root.put": frozenset({Role.ADMIN}),
    "root.delete": frozenset({Role.ADMIN}),
    "root.ctl": ALL,
    "provisioning.put": frozenset({Role.OEM}),
    "provisioning.get": MO | {Role.OEM, Role.CPS},
    "provisioning.lookup": MO | {Role.OEM},
    "provisioning.delete": frozenset({Role.OEM}),
    "contract.sign": frozenset({Role.MO_OWN_PKI}),
    "contract.forward": frozenset({Role.MO_OWN_PKI}),
    "contract.generate": frozenset({Role.MO_V2G_PKI}),
    "contract.signer": USERS,
    "contract.request": frozenset({Role.CPO}),
    "contract.put": frozenset({Role.CPS}),
    "contract.delete": MO,
    "contract.provide": frozenset({Role.OEM}),
    "contract.set_default": frozenset({Role.OEM}),
    "contract.lookup": MO | {Role.OEM, Role.CPO},
    "contract.list": frozenset({Role.OEM}),
    "est.cacerts": ALL,
    "est.enroll.mo": MO,
    "est.enroll.cps": frozenset({Role.CPS}),
    "est.enroll.oem": frozenset({Role.OEM}),
    "est.enroll.veh": frozenset({Role.OEM}),
    "est.enroll.cpo": frozenset({Role.CPO}),
    "webhook": ALL,
}

# Operations in which these roles may only touch what they own, by the identifier's kind.
OWNS_PCID: dict[str, frozenset[Role]] = {
    "provisioning.put": frozenset({Role.OEM}),
    "provisioning.delete": frozenset({Role.OEM}),
    "contract.provide": frozenset({Role.OEM}),
    "contract.set_default": frozenset({Role.OEM}),
    "contract.list": frozenset({Role.OEM}),
    "est.enroll.oem": frozenset({Role.OEM}),
    "est.enroll.veh": frozenset({Role.OEM}),
}
OWNS_EMAID: dict[str, frozenset[Role]] = {
    "contract.sign": frozenset({Role.MO_OWN_PKI}),
    "contract.forward": frozenset({Role.MO_OWN_PKI}),
    "contract.generate": frozenset({Role.MO_V2G_PKI}),
    "contract.delete": MO,
    "contract.lookup": MO,
    "est.enroll.mo": MO,
}

WMI_LENGTH = 3
PROVIDER_LENGTH = 5


class Forbidden(PeerError):
    """The role or the ownership does not allow it (HTTP 403)."""


@dataclass(frozen=True, slots=True)
class Principal:
    """Who calls: a client with its roles and the identifiers that it owns (upper case)."""

    client_id: str
    name: str
    roles: frozenset[Role]
    wmis: frozenset[str] = frozenset()
    provider_ids: frozenset[str] = frozenset()

    def owns_pcid(self, pcid: str) -> bool:
        """Whether the WMI (first 3 characters) is one of its own; case does not matter."""
        return pcid[:WMI_LENGTH].upper() in self.wmis

    def owns_emaid(self, emaid: str) -> bool:
        """Whether the provider id (first 5 characters without hyphens) is one of its own; case does not matter."""
        return emaid.replace("-", "")[:PROVIDER_LENGTH].upper() in self.provider_ids


def require_role(principal: Principal, operation: str) -> None:
    """Raises Forbidden when none of the principal's roles may do the operation."""
    if not principal.roles & RIGHTS[operation]:
        roles = ", ".join(sorted(principal.roles)) or "no role"
        allowed = ", ".join(sorted(RIGHTS[operation]))
        raise Forbidden(f"{operation}: {principal.client_id} has {roles}, it takes one of: {allowed}")


def require_ownership(principal: Principal, operation: str, *, pcid: str = "", emaid: str = "") -> None:
    """Raises Forbidden when the principal's role is bound to own identifiers here and this is a foreign one.

    pcid / emaid: of the thing touched, "" where the operation has none.
    """
    roles = principal.roles & RIGHTS[operation]
    if pcid and roles <= OWNS_PCID.get(operation, frozenset()) and not principal.owns_pcid(pcid):
        raise Forbidden(f"{operation}: {pcid[:WMI_LENGTH]} is not a WMI of {principal.client_id}")
    if emaid and roles <= OWNS_EMAID.get(operation, frozenset()) and not principal.owns_emaid(emaid):
        raise Forbidden(f"{operation}: {emaid[:PROVIDER_LENGTH]} is not a provider id of {principal.client_id}")
