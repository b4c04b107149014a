"""Enrolment (RFC 7030) for the roles of Plug & Charge: who may have a certificate of which name and curve."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from asn1crypto import core  # type: ignore[import-untyped]
from asn1crypto.x509 import Certificate  # type: ignore[import-untyped]

from backends.access import Forbidden, Principal, require_ownership, require_role
from backends.pki import certificate_store as store
from backends.pki.authorities import CertificateAuthorities, Issued, Order
from backends.pki.certificate_store import Realm, StoredCertificate
from backends.pki.csr import Request
from backends.pki.end_entities import owner_of
from backends.pki.key_algorithms import ALGORITHMS
from backends.pki.profiles import load_profile
from ocmf.der import encode
from ports.errors import PeerError
from v2g.identifiers import EMAID, EVSEID, PCID, SECCID, same

ISO_2, ISO_20 = "ISO15118-2", "ISO15118-20"
CURVES: Mapping[str, tuple[str, ...]] = MappingProxyType({ISO_2: ("secp256r1",), ISO_20: ("secp521r1", "ed448")})

_CURVE_OIDS = {"secp256r1": "1.2.840.10045.3.1.7", "secp521r1": "1.3.132.0.35"}  # RFC 5480 2.1.1.1
_SIGNATURE_OIDS = {
    "sha256_ecdsa": "1.2.840.10045.4.3.2",  # RFC 5758 3.2
    "sha512_ecdsa": "1.2.840.10045.4.3.4",
    "ed448": "1.3.101.113",  # RFC 8410 3
}


@dataclass(frozen=True, slots=True)
class CaRole:
    """What the {ca} of the path stands for. kind: of the profile; names: forms of the common name, () = any."""

    kind: str
    names: tuple[tuple[str, re.Pattern[str]], ...] = ()


# OPCP 1.0.0, path parameter ca
CAS: Mapping[str, CaRole] = MappingProxyType(
    {
        "mo": CaRole("contract", (("EMAID", EMAID),)),
        "cps": CaRole("cps"),
        "oem": CaRole("provisioning", (("PCID", PCID),)),
        "cpo": CaRole("secc", (("EVSEID", EVSEID), ("SECCID", SECCID))),
        "veh": CaRole("vehicle", (("PCID", PCID),)),
    }
)


class EnrolmentRefused(PeerError):
    """The request may not be fulfilled (HTTP 400): the message says what to change."""


class NotAuthenticated(PeerError):
    """The client showed no certificate that holds (HTTP 401)."""


class Enrolment:
    """Decides and issues. realms: which are offered, all of the store when empty."""

    def __init__(self, authorities: CertificateAuthorities, realms: Sequence[str] = ()) -> None:
        self._authorities = authorities
        self._realms = tuple(realms)

    async def cacerts(self, ca: str, iso: str, algorithm: str, *, with_root: bool = True) -> list[Certificate]:
        """The issuing CAs of a role, sub-CA 2 first, root last. iso, algorithm: "" = -2 first, then what there is.

        ca "" gives every CA of the realm, its roots last. Raises EnrolmentRefused.
        """
        realm = await self._realm(iso, algorithm)
        profile = load_profile(realm.preset)
        kinds = [CAS[ca].kind] if ca else [role.kind for role in CAS.values()]
        lines = [(await self._authorities.newest(realm.realm, profile.kind(kind).parent)).chain for kind in kinds]
        below = [one for line in lines for one in line[:-1]]
        roots = [line[-1] for line in lines] if with_root else []
        return [one.x509 for one in dict.fromkeys([*below, *roots])]

    async def enroll(self, ca: str, iso: str, request: Request, principal: Principal) -> Issued:
        """A first certificate. Raises Forbidden, EnrolmentRefused, RigError."""
        require_role(principal, f"est.enroll.{ca}")
        name = request.attribute("common_name")
        self._check_name(ca, request)
        require_ownership(
            principal,
            f"est.enroll.{ca}",
            pcid=name if ca in ("oem", "veh") else "",
            emaid=name if ca == "mo" else "",
        )
        announced = await self._authorities.database.read(lambda connection: owner_of(connection, name))
        if ca == "cpo" and announced not in ("", principal.client_id):
            raise Forbidden(f"est.enroll.cpo: {name} was announced by another client")
        return await self._issue(ca, iso, request, owner=principal.client_id, actor=principal.client_id)

    async def renew(self, ca: str, iso: str, request: Request, shown: bytes) -> Issued:
        """A further certificate for the holder of one (DER) that is ours and valid now, with the same subject.

        Raises NotAuthenticated, EnrolmentRefused, RigError.
        """
        held = await self._held(shown)
        if held.kind != CAS[ca].kind:
            raise NotAuthenticated(f"the client's certificate is for {held.kind}, not for {CAS[ca].kind}", shown)
        if not same(held.common_name, request.attribute("common_name")):  # RFC 7030 4.2.2: the subject stays
            asked = request.attribute("common_name")
            raise EnrolmentRefused(f"the subject must stay: {held.common_name!r} asks for {asked!r}")
        self._check_name(ca, request)
        return await self._issue(ca, iso, request, owner=held.owner, actor=held.owner or held.common_name)

    def attributes(self, iso: str) -> bytes:
        """CsrAttrs (RFC 7030 4.5.2): key types and signature algorithms that requests should use. DER."""
        wanted = [ALGORITHMS[name] for version, names in CURVES.items() if iso in ("", version) for name in names]
        attributes = b""
        for algorithm in wanted:
            if algorithm.curve is not None:
                curve = core.ObjectIdentifier(_CURVE_OIDS[algorithm.name]).dump()
                values = encode(0x31, curve)
                attributes += encode(0x30, core.ObjectIdentifier("1.2.840.10045.2.1").dump() + values)
            attributes += core.ObjectIdentifier(_SIGNATURE_OIDS[algorithm.signature]).dump()
        return encode(0x30, attributes)

    async def _held(self, shown: bytes) -> StoredCertificate:
        if not shown:
            raise NotAuthenticated("simplereenroll needs a TLS client certificate or a token")
        now = self._authorities.now()

        fingerprint = hashlib.sha256(shown).hexdigest()
        held = await self._authorities.database.read(lambda connection: store.lookup(connection, fingerprint))
        if held is None or held.bad:
            raise NotAuthenticated("the client's certificate was not issued here", shown)
        if held.revoked is not None:
            raise NotAuthenticated("the client's certificate is revoked", shown)
        if not held.valid_from <= now <= held.valid_to:
            raise NotAuthenticated("the client's certificate is not valid now", shown)
        return held

    def _check_name(self, ca: str, request: Request) -> None:
        name, forms = request.attribute("common_name"), CAS[ca].names
        if not name:
            raise EnrolmentRefused("the subject of the request has no common name")
        if forms and not any(form.fullmatch(name) for _, form in forms):
            raise EnrolmentRefused(f"common name {name!r} is no {' or '.join(label for label, _ in forms)}")
        if not request.attribute("organization_name"):
            raise EnrolmentRefused("the subject of the request has no organisation (O)")

    async def _issue(self, ca: str, iso: str, request: Request, *, owner: str, actor: str) -> Issued:
        realm = await self._realm(iso, request.algorithm.name)
        order = Order(
            realm=realm.realm,
            kind=CAS[ca].kind,
            common_name=request.attribute("common_name"),
            organisation=request.attribute("organization_name"),
            country=request.attribute("country_name"),
            public_key=request.public_key,
            owner=owner,
        )
        return await self._authorities.issue(order, actor=actor)

    async def _realm(self, iso: str, algorithm: str) -> Realm:
        """The first realm offered that has the algorithm; without one the first whose algorithm suits the version."""
        if iso and iso not in CURVES:
            raise EnrolmentRefused(f"version {iso!r} is unknown; there are {', '.join(CURVES)}")
        allowed = CURVES[iso] if iso else tuple(name for names in CURVES.values() for name in names)
        if algorithm and algorithm not in allowed:
            raise EnrolmentRefused(f"key is {algorithm}, allowed{f' for {iso}' if iso else ''}: {', '.join(allowed)}")
        offered = {realm.realm: realm for realm in await self._authorities.realms()}
        chosen = [offered[name] for name in self._realms if name in offered] if self._realms else [*offered.values()]
        for wanted in (algorithm,) if algorithm else allowed:
            for realm in chosen:
                if realm.algorithm == wanted:
                    return realm
        raise EnrolmentRefused(f"no certificate authority here has keys on {algorithm or ' or '.join(allowed)}")
