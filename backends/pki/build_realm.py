"""A whole PKI for tests, for all roles: roots, sub-CAs and one leaf of each kind."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from backends.pki.authorities import CertificateAuthorities, Issued, Order
from backends.pki.profiles import load_profile
from ports.errors import RigError


async def build_realm(
    authorities: CertificateAuthorities,
    realm: str,
    preset: str,
    *,
    algorithm: str = "",
    bad: Mapping[str, str] | None = None,
    names: Mapping[str, str] | None = None,
    actor: str = "pki",
    on_issued: Callable[[Issued, int], None] = lambda _issued, _total: None,
) -> dict[str, Issued]:
    """Make a realm with one certificate of every kind of the preset; returns them by kind, parents first.

    bad: variant by kind, see BAD_VARIANTS. names: common name by kind. on_issued: told of each, with the total count.
    Raises RigError: realm exists, unknown preset or kind.
    """
    profile = load_profile(preset)
    for kind in (*(bad or {}), *(names or {})):
        profile.kind(kind)
    made = await authorities.add_realm(realm, preset, algorithm, actor=actor)
    issued: dict[str, Issued] = {}
    for kind in profile.certificates:
        if profile.kind(kind).parent and profile.kind(kind).parent not in issued:
            raise RigError(f"profile {preset}: {kind} stands before its parent")
        order = Order(
            realm=made.realm, kind=kind, bad=(bad or {}).get(kind, ""), common_name=(names or {}).get(kind, "")
        )
        issued[kind] = await authorities.issue(order, actor=actor)
        on_issued(issued[kind], len(profile.certificates))
    return issued
