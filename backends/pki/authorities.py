"""The certificate authorities: realms, issuing under a profile, revoking."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import sqlalchemy as sa
from asn1crypto.x509 import Certificate  # type: ignore[import-untyped]

from backends.pki import certificate_store as store
from backends.pki.bad_variants import LEAF, ROOT, SUB, BadVariant, bad_variant
from backends.pki.ca_keys import FileKeys, KeyStore, MemoryKey, SigningKey
from backends.pki.certificate_store import Realm, StoredCertificate
from backends.pki.key_algorithms import algorithm_named, algorithm_of
from backends.pki.profiles import OCSP_KIND, CertificateKind, IssuingProfile, load_profile
from backends.pki.template import Template, random_serial, sign_certificate
from backends.store.database import Database
from ports.clock import Clock
from ports.errors import LocalError, PeerError, RigError
from v2g.certificate_profiles import Role
from v2g.certificates import check_certificate

# Delegated OCSP signer (RFC 6960 4.2.2.2): short-lived, because nobody can revoke it (ocsp-nocheck).
_OCSP_SIGNER = CertificateKind(
    role=None,
    common_name="Plugbench OCSP",
    key_usage=("digital_signature",),
    extended_key_usage=("ocsp_signing",),
    days=30,
    ocsp=False,
)
_THIRD_SUB_CA = CertificateKind(
    role=Role.SUB_CA_2,
    common_name="Plugbench Sub-CA 3",
    path_length=0,
    key_usage=("key_cert_sign", "crl_sign"),
    days=365,
)
_COUNTRY = re.compile(r"[A-Za-z]{2}")
MAX_NAME = 64  # RFC 5280 appendix A, ub-common-name and ub-organization-name


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What to issue.

    kind: of the realm's profile, or "ocsp". common_name, organisation, country, valid_from, valid_to: "" or None take
    the profile's. public_key: DER SubjectPublicKeyInfo; without one a key is made. issuer: fingerprint; "" is the
    newest certificate of the parent kind. bad: a name of BAD_VARIANTS.
    """

    realm: str
    kind: str
    common_name: str = ""
    organisation: str = ""
    country: str = ""
    valid_from: datetime | None = None
    valid_to: datetime | None = None
    public_key: bytes = b""
    issuer: str = ""
    owner: str = ""
    bad: str = ""


@dataclass(frozen=True, slots=True)
class Issued:
    """A certificate with everything above it. chain: leaf first, root last."""

    chain: tuple[StoredCertificate, ...]

    @property
    def stored(self) -> StoredCertificate:
        """The row of the certificate itself."""
        return self.chain[0]

    @property
    def certificate(self) -> Certificate:
        """The certificate itself, parsed."""
        return self.chain[0].x509

    @property
    def sub_cas(self) -> list[Certificate]:
        """Between leaf and root, the issuer of the leaf first."""
        return [one.x509 for one in self.chain[1:-1]]

    @property
    def root(self) -> Certificate:
        """The root."""
        return self.chain[-1].x509


class CertificateAuthorities:
    """All realms of one store."""

    def __init__(
        self, database: Database, clock: Clock, keys: FileKeys, *, token: KeyStore | None = None, ocsp_url: str
    ) -> None:
        """keys: of leafs, and of CAs too unless `token` is given. ocsp_url: the responder that certificates name."""
        self.database = database
        self.clock = clock
        self.keys = keys
        self._token = token
        self.ocsp_url = ocsp_url
        self._opened: dict[str, SigningKey] = {}

    def now(self) -> int:
        """UTC seconds since 1970."""
        return int(self.clock.now().timestamp())

    async def add_realm(self, realm: str, preset: str, algorithm: str = "", *, actor: str) -> Realm:
        """Begin a realm. Raises RigError: name taken, unknown preset, algorithm that the preset has not."""
        profile = load_profile(preset)
        algorithm = algorithm or profile.algorithms[0]
        if algorithm not in profile.algorithms:
            raise RigError(f"profile {preset} has no keys on {algorithm}; there are {', '.join(profile.algorithms)}")
        made, at = Realm(realm, preset, algorithm), self.now()
        await self.database.write(lambda connection: store.add_realm(connection, made, at=at, actor=actor))
        return made

    async def realm(self, name: str) -> Realm:
        """Raises RigError when there is none of that name."""
        found = await self.database.read(lambda connection: store.find_realm(connection, name))
        if found is None:
            raise RigError(f"realm {name!r} does not exist: see `plugbench pki show`")
        return found

    async def realms(self) -> list[Realm]:
        """All."""
        return await self.database.read(store.list_realms)

    async def newest(self, realm: str, kind: str) -> Issued:
        """The newest certificate of a kind with its chain. Raises RigError when there is none."""

        def work(connection: sa.Connection) -> Issued:
            found = store.newest(connection, realm, kind)
            if found is None:
                raise RigError(f"realm {realm!r} has no certificate {kind!r}: issue it first")
            return Issued(tuple(store.chain(connection, found)))

        return await self.database.read(work)

    async def find(self, wanted: str, realm: str = "") -> Issued:
        """By fingerprint, serial, common name or kind, see `certificate_store.find`. Raises RigError."""
        return await self.database.read(
            lambda connection: Issued(tuple(store.chain(connection, store.find(connection, wanted, realm))))
        )

    async def issue(self, order: Order, *, actor: str) -> Issued:
        """Make one certificate. Raises RigError (no issuer, key away), CertificateError (the profile refuses it)."""
        realm = await self.realm(order.realm)
        profile = load_profile(realm.preset)
        kind = _OCSP_SIGNER if order.kind == OCSP_KIND else profile.kind(order.kind)
        variant = bad_variant(order.bad, LEAF if not kind.is_ca else SUB if kind.parent else ROOT)
        issuer = await self._issuer(order, kind)
        if variant.third_sub_ca:
            deeper = await self._make(
                replace(order, kind="sub3", common_name="", public_key=b""),
                realm,
                profile,
                _THIRD_SUB_CA,
                BadVariant(text="", complaint=""),
                issuer,
                actor,
            )
            issuer = deeper.chain
        issued = await self._make(order, realm, profile, kind, variant, issuer, actor)
        if variant.revoked:
            issued = await self.revoke(issued.stored.fingerprint, "key_compromise", actor=actor)
        return issued

    async def revoke(self, fingerprint: str, reason: str = "unspecified", *, actor: str) -> Issued:
        """Revoke a certificate from now on; harmless when it is revoked. Raises RigError."""
        at = self.now()

        def work(connection: sa.Connection) -> Issued:
            found = store.by_fingerprint(connection, fingerprint)
            return Issued(tuple(store.chain(connection, store.revoke(connection, found, reason, at=at, actor=actor))))

        return await self.database.write(work)

    async def key_of(self, certificate: StoredCertificate) -> SigningKey:
        """The private key that belongs to a certificate. Raises RigError when it is not ours."""
        reference = certificate.key_reference
        if not reference:
            raise RigError(f"the private key of {certificate.common_name} is not here: it was issued for a request")
        if reference not in self._opened:
            if reference.startswith(FileKeys.SCHEME):
                self._opened[reference] = await self.keys.open(reference)
            elif self._token is not None:
                self._opened[reference] = await self._token.open(reference)
            else:
                raise RigError(f"the key of {certificate.common_name} is in a token, and no token is configured")
        return self._opened[reference]

    async def close(self) -> None:
        """Release keys; harmless when closed. The database is the caller's."""
        opened, self._opened = self._opened, {}
        for key in opened.values():
            await key.close()

    async def _issuer(self, order: Order, kind: CertificateKind) -> tuple[StoredCertificate, ...]:
        """Chain of the issuer, () for a root."""
        if order.issuer:
            return await self.database.read(
                lambda connection: tuple(store.chain(connection, store.by_fingerprint(connection, order.issuer)))
            )
        return (await self.newest(order.realm, kind.parent)).chain if kind.parent else ()

    async def _make(
        self,
        order: Order,
        realm: Realm,
        profile: IssuingProfile,
        kind: CertificateKind,
        variant: BadVariant,
        issuer: tuple[StoredCertificate, ...],
        actor: str,
    ) -> Issued:
        now = self.clock.now()
        serial = random_serial()
        reference, spki, own = "", order.public_key, None
        if not spki:
            algorithm = algorithm_named("secp384r1" if variant.wrong_curve else realm.algorithm)
            keys = self._token if self._token is not None and kind.is_ca and not variant.wrong_curve else self.keys
            reference, own = await keys.make(f"{realm.realm}/{order.kind}-{serial:x}"[:80], algorithm)
            if kind.is_ca:
                self._opened[reference] = own
            spki = own.spki
        signer = own if not issuer or variant.self_signed else await self.key_of(issuer[0])
        if signer is None:
            raise LocalError(f"{order.kind}: a self-signed certificate needs a key of its own")
        template = _template(order, profile, kind, issuer, spki, signer.algorithm.signature, serial, now)
        template = replace(template, ocsp_url=self.ocsp_url if kind.ocsp else "")
        if variant.self_signed:
            template = replace(template, issuer=None, authority_key_identifier=None)
        template = variant.change(template, now)
        if variant.foreign_key:
            signer = MemoryKey(signer.algorithm.generate())
        certificate = await sign_certificate(template, signer)
        if variant.spoiled:
            certificate = Certificate.load(certificate.dump()[:-1] + bytes((certificate.dump()[-1] ^ 1,)))
        if kind.role and not order.bad and not any(one.bad for one in issuer):
            check_certificate(certificate, kind.role, profile.check, template.not_before)
        at = self.now()
        parent = "" if not issuer or variant.self_signed else issuer[0].fingerprint

        def work(connection: sa.Connection) -> StoredCertificate:
            return store.add_certificate(
                connection,
                certificate,
                realm=realm.realm,
                kind=order.kind,
                issuer=parent or store.fingerprint(certificate),
                key_reference=reference,
                owner=order.owner,
                bad=order.bad,
                at=at,
                actor=actor,
            )

        stored = await self.database.write(work)
        return Issued((stored, *(issuer if parent else ())))


def _template(
    order: Order,
    profile: IssuingProfile,
    kind: CertificateKind,
    issuer: Sequence[StoredCertificate],
    spki: bytes,
    signature: str,
    serial: int,
    now: datetime,
) -> Template:
    begin = order.valid_from or now - timedelta(seconds=profile.backdated_s)
    end = order.valid_to or (order.valid_from or now) + timedelta(days=kind.days)
    above = issuer[0].x509 if issuer else None
    if above is not None and not order.bad and not any(one.bad for one in issuer):  # shell model
        begin, end = max(begin, above.not_valid_before), min(end, above.not_valid_after)
    if end <= begin:
        until = f"its issuer ended {above.not_valid_after:%Y-%m-%d %H:%M:%S}" if above else "it ends before it begins"
        raise RigError(f"{order.kind} from {begin:%Y-%m-%d %H:%M:%S} to {end:%Y-%m-%d %H:%M:%S}: {until}")
    algorithm_of(spki)
    return Template(
        subject=_subject(order, profile, kind),
        public_key=spki,
        not_before=begin.astimezone(UTC),
        not_after=end.astimezone(UTC),
        signature=signature,
        serial=serial,
        issuer=above.subject.dump() if above is not None else None,
        authority_key_identifier=above.key_identifier if above is not None else None,
        key_identifier_octets=profile.subject_key_identifier_octets,
        ca=kind.is_ca,
        path_length=kind.path_length,
        explicit_ca_false=kind.explicit_ca_false,
        key_usage=frozenset(kind.key_usage),
        extended_key_usage=kind.extended_key_usage,
        ocsp_no_check=order.kind == OCSP_KIND,
        policies=kind.policies,
    )


def _subject(order: Order, profile: IssuingProfile, kind: CertificateKind) -> tuple[tuple[str, str], ...]:
    """Raises PeerError for names that X.520 does not allow."""
    parts = (
        ("common_name", order.common_name or kind.common_name),
        ("organization_name", order.organisation or profile.organisation),
        ("country_name", order.country or profile.country),
        ("domain_component", kind.domain_component),
    )
    for name, text in parts:
        if len(text) > MAX_NAME or not text.isprintable():
            raise PeerError(f"{name} of {len(text)} characters, at most {MAX_NAME} printable ones: {text[:80]!r}", text)
    if not _COUNTRY.fullmatch(parts[2][1]):
        raise PeerError(f"country has two letters (ISO 3166-1): {parts[2][1]!r}", parts[2][1])
    return tuple(part for part in parts if part[1])
