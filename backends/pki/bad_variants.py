"""Certificates that are wrong on purpose: one table of what may be asked for, and what everybody should say to it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from types import MappingProxyType

from backends.pki.template import Extension, Template
from ports.errors import LocalError

LEAF, SUB, ROOT = "leaf", "sub", "root"
Change = Callable[[Template, datetime], Template]


def _unchanged(template: Template, _now: datetime) -> Template:
    return template


@dataclass(frozen=True, slots=True, kw_only=True)
class BadVariant:
    """One way to be wrong.

    text: for people. levels: what can be wrong so: leaf, sub, root. complaint: what `v2g.certificates` says of it
    ("" when only the revocation status tells). refused_by_all: levels at which every verifier of RFC 5280 refuses,
    not only one that knows the profile. change: of the template, given the moment of issuing. wrong_curve: its own key
    is on P-384. foreign_key: signed by a key that is not the issuer's. spoiled: a bit of the signature is turned.
    self_signed: a leaf that is its own issuer. third_sub_ca: issued below a sub-CA 3. revoked: right after it is made.
    """

    text: str
    complaint: str
    levels: frozenset[str] = frozenset({LEAF, SUB})
    refused_by_all: frozenset[str] = frozenset()
    change: Change = _unchanged
    wrong_curve: bool = False
    foreign_key: bool = False
    spoiled: bool = False
    self_signed: bool = False
    third_sub_ca: bool = False
    revoked: bool = False


def _expired(template: Template, now: datetime) -> Template:
    life = template.not_after - template.not_before
    return replace(template, not_before=now - life - timedelta(days=1), not_after=now - timedelta(days=1))


def _not_yet(template: Template, now: datetime) -> Template:
    return replace(template, not_before=now + timedelta(days=1), not_after=now + timedelta(days=30))


def _set(**fields: object) -> Change:
    return lambda template, _now: replace(template, **fields)  # type: ignore[arg-type]


def _wrong_key_usage(template: Template, _now: datetime) -> Template:
    return replace(template, key_usage=frozenset({"digital_signature"} if template.ca else {"key_encipherment"}))


def _domain_component(component: str) -> Change:
    def change(template: Template, _now: datetime) -> Template:
        rest = tuple(part for part in template.subject if part[0] != "domain_component")
        return replace(template, subject=(*rest, ("domain_component", component)) if component else rest)

    return change


def _wrong_name(template: Template, _now: datetime) -> Template:
    rest = tuple(part for part in template.subject if part[0] != "common_name")
    return replace(template, subject=(("common_name", "nobody's identifier"), *rest))


def _weak_hash(template: Template, _now: datetime) -> Template:
    if template.signature == "ed448":
        raise LocalError("weak-hash: a certificate signed with Ed448 has no hash to choose")
    return replace(template, signature="sha1_ecdsa")


# 2.5.29.54 would be real; this arc is of nobody: RFC 5612 reserves it for examples
_EXAMPLE_ARC = "1.3.6.1.4.1.32473.1"
_ALL = frozenset({LEAF, SUB, ROOT})

BAD_VARIANTS: Mapping[str, BadVariant] = MappingProxyType(
    {
        "expired": BadVariant(
            text="ended a day ago", complaint="expired", levels=_ALL, refused_by_all=_ALL, change=_expired
        ),
        "not-yet-valid": BadVariant(
            text="begins tomorrow", complaint="not valid before", levels=_ALL, refused_by_all=_ALL, change=_not_yet
        ),
        "wrong-dc": BadVariant(
            text="domain component XXX", complaint="DC=XXX", levels=_ALL, change=_domain_component("XXX")
        ),
        "no-dc": BadVariant(text="no domain component", complaint="subject has no DC", change=_domain_component("")),
        "wrong-name": BadVariant(
            text="common name is no EMAID, PCID, EVSEID or SECCID",
            complaint="is no",
            levels=frozenset({LEAF}),
            change=_wrong_name,
        ),
        "wrong-key-usage": BadVariant(
            text="key usage of something else: a CA that must not sign, a leaf that must not sign",
            complaint="keyUsage lacks",
            refused_by_all=frozenset({SUB}),
            change=_wrong_key_usage,
        ),
        "no-key-usage": BadVariant(text="no key usage", complaint="no keyUsage", change=_set(key_usage=None)),
        "key-usage-not-critical": BadVariant(
            text="key usage is not critical",
            complaint="keyUsage is not critical",
            change=_set(key_usage_critical=False),
        ),
        "no-basic-constraints": BadVariant(
            text="no basic constraints",
            complaint="no basicConstraints",
            refused_by_all=frozenset({SUB}),
            change=_set(ca=None),
        ),
        "not-a-ca": BadVariant(
            text="a sub-CA that says it is none",
            complaint="basicConstraints says no CA",
            levels=frozenset({SUB}),
            refused_by_all=frozenset({SUB}),
            change=_set(ca=False, path_length=None),
        ),
        "leaf-is-ca": BadVariant(
            text="a leaf that says it is a CA",
            complaint="basicConstraints says CA",
            levels=frozenset({LEAF}),
            change=_set(ca=True),
        ),
        "path-length": BadVariant(
            text="issued below a sub-CA 3, which the path length of sub-CA 2 forbids",
            complaint="3 sub-CAs",
            levels=frozenset({LEAF}),
            refused_by_all=frozenset({LEAF}),
            third_sub_ca=True,
        ),
        "wrong-curve": BadVariant(
            text="its key is on P-384", complaint="key is secp384r1", levels=_ALL, wrong_curve=True
        ),
        "weak-hash": BadVariant(text="signed with SHA-1", complaint="signed with sha1_ecdsa", change=_weak_hash),
        "wrong-signature": BadVariant(
            text="a bit of its signature is turned",
            complaint="signature",
            refused_by_all=frozenset({LEAF, SUB}),
            spoiled=True,
        ),
        "foreign-issuer": BadVariant(
            text="signed by a key that is not its issuer's, under the issuer's name",
            complaint="signature",
            refused_by_all=frozenset({LEAF, SUB}),
            foreign_key=True,
        ),
        "self-signed": BadVariant(
            text="its own issuer: leads to no root",
            complaint="no path to a trusted root",
            levels=frozenset({LEAF}),
            refused_by_all=frozenset({LEAF}),
            self_signed=True,
        ),
        "too-large": BadVariant(
            text="2000 octets of padding in an extension: longer than the message allows",
            complaint="octets, at most",
            change=_set(more=(Extension(f"{_EXAMPLE_ARC}.1", b"\x04\x82\x07\xd0" + bytes(2000)),)),
        ),
        "unknown-critical-extension": BadVariant(
            text="a critical extension that nobody knows",
            complaint="path: ",
            refused_by_all=frozenset({LEAF, SUB}),
            change=_set(more=(Extension(f"{_EXAMPLE_ARC}.2", b"\x05\x00", critical=True),)),
        ),
        "no-ocsp": BadVariant(text="names no OCSP responder", complaint="names no OCSP", change=_set(ocsp_url="")),
        "revoked": BadVariant(text="revoked right after it was made", complaint="", revoked=True),
    }
)


def bad_variant(name: str, level: str) -> BadVariant:
    """The variant of that name; "" = nothing wrong. Raises LocalError: unknown, or not for this level."""
    if not name:
        return BadVariant(text="", complaint="")
    if name not in BAD_VARIANTS:
        raise LocalError(f"bad variant {name!r} is unknown; there are {', '.join(BAD_VARIANTS)}")
    if level not in BAD_VARIANTS[name].levels:
        raise LocalError(f"bad variant {name!r} is for {', '.join(sorted(BAD_VARIANTS[name].levels))}, not a {level}")
    return BAD_VARIANTS[name]
