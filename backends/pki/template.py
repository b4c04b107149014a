"""A certificate before it is signed: plain data in, DER out. Anything can be asked for, also what no CA should sign."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime

from asn1crypto import core, x509  # type: ignore[import-untyped]
from asn1crypto.keys import PublicKeyInfo  # type: ignore[import-untyped]

from backends.pki.ca_keys import SigningKey

_SERIAL_BITS = 127  # 16 octets, positive: RFC 5280 4.1.2.2 allows 20
_FIRST_GENERALIZED_YEAR = 2050  # RFC 5280 4.1.2.5
_EXPLICIT_FALSE = bytes.fromhex("3003010100")  # SEQUENCE { BOOLEAN FALSE }: the default written out, not DER
_STRING_TYPES = {"domain_component": "ia5_string", "country_name": "printable_string"}  # X.520; others UTF-8


@dataclass(frozen=True, slots=True)
class Extension:
    """Any further extension: dotted identifier, DER of its value."""

    identifier: str
    value: bytes
    critical: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """What the certificate says.

    subject: pairs of asn1crypto's attribute names and values, in order. issuer / authority_key_identifier: the
    issuer's subject (DER) and key identifier; None = self-signed. public_key: DER SubjectPublicKeyInfo.
    ca: basicConstraints, None leaves the extension out. signature: asn1crypto's name of the algorithm.
    """

    subject: tuple[tuple[str, str], ...]
    public_key: bytes
    not_before: datetime
    not_after: datetime
    signature: str
    serial: int
    issuer: bytes | None = None
    authority_key_identifier: bytes | None = None
    key_identifier_octets: int = 20
    ca: bool | None = False
    path_length: int | None = None
    explicit_ca_false: bool = False
    key_usage: frozenset[str] | None = frozenset()
    key_usage_critical: bool = True
    extended_key_usage: tuple[str, ...] = ()
    ocsp_url: str = ""
    ocsp_no_check: bool = False
    policies: tuple[str, ...] = ()
    more: tuple[Extension, ...] = ()


def random_serial() -> int:
    """An unpredictable serial number."""
    return secrets.randbits(_SERIAL_BITS - 1) | 1 << (_SERIAL_BITS - 1)


def key_identifier(spki: bytes, octets: int) -> bytes:
    """Subject key identifier: 20 octets by method 1 of RFC 5280 4.2.1.2, 8 octets by its method 2."""
    digest = hashlib.sha1(bytes(PublicKeyInfo.load(spki)["public_key"]), usedforsecurity=False).digest()
    return digest if octets == len(digest) else bytes((0x40 | digest[-8] & 0x0F,)) + digest[-7:]


def name_of(parts: tuple[tuple[str, str], ...]) -> x509.Name:
    """A distinguished name, one attribute per RDN, in the given order."""
    rdns = []
    for kind, text in parts:
        type_and_value = {"type": kind}
        if kind == "domain_component":
            type_and_value["value"] = x509.DNSName(text)
        else:
            type_and_value["value"] = x509.DirectoryString(
                name=_STRING_TYPES.get(kind, "utf8_string"),
                value=(core.PrintableString if kind in _STRING_TYPES else core.UTF8String)(text),
            )
        rdns.append(x509.RelativeDistinguishedName([x509.NameTypeAndValue(type_and_value)]))
    return x509.Name(name="", value=x509.RDNSequence(rdns))


async def sign_certificate(template: Template, key: SigningKey) -> x509.Certificate:
    """Sign with the issuer's key (its own for a root). Raises RigError when the key cannot be used."""
    algorithm = {"algorithm": template.signature}
    subject = name_of(template.subject)
    tbs = x509.TbsCertificate(
        {
            "version": "v3",
            "serial_number": template.serial,
            "signature": algorithm,
            "issuer": x509.Name.load(template.issuer) if template.issuer else subject,
            "validity": {"not_before": time_of(template.not_before), "not_after": time_of(template.not_after)},
            "subject": subject,
            "subject_public_key_info": PublicKeyInfo.load(template.public_key),
            "extensions": [
                {"extn_id": one.identifier, "critical": one.critical, "extn_value": core.ParsableOctetString(one.value)}
                for one in _extensions(template)
            ],
        }
    )
    signature = await key.sign(tbs.dump(), template.signature)
    made = {"tbs_certificate": tbs, "signature_algorithm": algorithm, "signature_value": signature}
    return x509.Certificate.load(x509.Certificate(made).dump())  # one that was put together is encoded at every look


def time_of(moment: datetime) -> x509.Time:
    """UTCTime to 2049, GeneralizedTime from 2050 on; whole seconds."""
    moment = moment.astimezone(UTC).replace(microsecond=0)
    if moment.year < _FIRST_GENERALIZED_YEAR:
        return x509.Time(name="utc_time", value=core.UTCTime(moment))
    return x509.Time(name="general_time", value=core.GeneralizedTime(moment))


def _extensions(t: Template) -> list[Extension]:
    found = []
    if t.ca is not None:
        constraints = {"ca": t.ca} if t.path_length is None else {"ca": t.ca, "path_len_constraint": t.path_length}
        explicit = t.explicit_ca_false and not t.ca
        value = _EXPLICIT_FALSE if explicit else x509.BasicConstraints(constraints).dump()
        found.append(Extension("2.5.29.19", value, critical=True))
    if t.key_usage is not None:
        found.append(Extension("2.5.29.15", x509.KeyUsage(set(t.key_usage)).dump(), critical=t.key_usage_critical))
    own = key_identifier(t.public_key, t.key_identifier_octets)
    found.append(Extension("2.5.29.14", core.OctetString(own).dump()))
    if t.authority_key_identifier is not None:
        authority = x509.AuthorityKeyIdentifier({"key_identifier": t.authority_key_identifier})
        found.append(Extension("2.5.29.35", authority.dump()))
    if t.extended_key_usage:
        found.append(Extension("2.5.29.37", x509.ExtKeyUsageSyntax(list(t.extended_key_usage)).dump()))
    if t.policies:
        policies = x509.CertificatePolicies([{"policy_identifier": policy} for policy in t.policies])
        found.append(Extension("2.5.29.32", policies.dump()))
    if t.ocsp_url:
        location = x509.GeneralName(name="uniform_resource_identifier", value=x509.URI(t.ocsp_url))
        access = x509.AuthorityInfoAccessSyntax([{"access_method": "ocsp", "access_location": location}])
        found.append(Extension("1.3.6.1.5.5.7.1.1", access.dump()))
    if t.ocsp_no_check:
        found.append(Extension("1.3.6.1.5.5.7.48.1.5", core.Null().dump()))  # RFC 6960 4.2.2.2.1
    return [*found, *t.more]
