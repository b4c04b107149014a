"""What a certificate of each role must look like, as tables: the standards' rules and those of real ecosystems.

Sources: ISO 15118-2 annex F, ISO 15118-20 annex B, the configurations of V2GClarity/RISE-V2G (RISE-V2G-Certificates)
and EcoG-io/iso15118 (iso15118/shared/pki), and the certificates that the Hubject ecosystem issues in its QA system.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from types import MappingProxyType

from v2g.identifiers import EMAID, EVSEID, PCID, SECCID


class Role(StrEnum):
    """What a certificate is for. Sub-CA 2 issues leafs, sub-CA 1 stands above it."""

    V2G_ROOT = "V2G root"
    PRIVATE_ROOT = "MO or OEM root"
    SUB_CA_1 = "sub-CA 1"
    SUB_CA_2 = "sub-CA 2"
    SECC = "SECC"
    CPS = "certificate provisioning service"
    OEM_PROVISIONING = "OEM provisioning"
    CONTRACT = "contract"
    VEHICLE = "vehicle"


LEAF_ROLES = (Role.SECC, Role.CPS, Role.OEM_PROVISIONING, Role.CONTRACT, Role.VEHICLE)

CERT_SIGN = frozenset({"key_cert_sign", "crl_sign"})
SIGN = frozenset({"digital_signature"})
SIGN_AND_AGREE = frozenset({"digital_signature", "key_agreement"})
CONTRACT_USE = frozenset({"digital_signature", "non_repudiation", "key_encipherment", "key_agreement"})
COMMITMENT = frozenset({"digital_signature", "non_repudiation"})  # an MO Sub-CA 2 signs SalesTariffs: ISO 15118-2 F.5
NONE: frozenset[str] = frozenset()
BRANCHES = frozenset({"V2G", "CPO", "CPS", "MO", "OEM"})


@dataclass(frozen=True, slots=True)
class Rule:
    """What one role demands.

    ca: value of basicConstraints. path_lengths: allowed pathLenConstraints (None = no constraint).
    key_usage: demanded; more_key_usage: tolerated beside it. domain_components: accepted DC values.
    names: forms of which the common name must have one; empty = any name.
    *_optional: the extension or attribute may be missing (a wrong one is still refused).
    ocsp: the certificate must say where its OCSP responder is.
    """

    ca: bool
    key_usage: frozenset[str]
    domain_components: frozenset[str]
    path_lengths: frozenset[int | None] = frozenset({None})
    more_key_usage: frozenset[str] = NONE
    names: tuple[tuple[str, re.Pattern[str]], ...] = ()
    domain_component_optional: bool = False
    basic_constraints_optional: bool = False
    key_usage_optional: bool = False
    ocsp: bool = False


@dataclass(frozen=True, slots=True)
class Profile:
    """The rules of one ecosystem.

    key_algorithms / signature_algorithms: "secp256r1", "ed448" / "sha256_ecdsa", ... as asn1crypto names them.
    max_octets: largest certificate, 0 = no limit. ski_octets: length of the subject key identifier, 0 = any.
    max_sub_cas: longest chain between leaf and root.
    """

    name: str
    key_algorithms: frozenset[str]
    signature_algorithms: frozenset[str]
    rules: Mapping[Role, Rule]
    max_octets: int = 0
    ski_octets: int = 0
    max_sub_cas: int = 2

    def with_rules(self, name: str, changes: Mapping[Role, Mapping[str, object]]) -> Profile:
        """A copy with some fields of some rules changed."""
        rules = {role: replace(rule, **changes.get(role, {})) for role, rule in self.rules.items()}  # type: ignore[arg-type]
        return replace(self, name=name, rules=MappingProxyType(rules))


_EMAID = (("EMAID", EMAID),)
_PCID = (("PCID", PCID),)
_SECC = (("EVSEID", EVSEID), ("SECCID", SECCID))

_STANDARD = {
    Role.V2G_ROOT: Rule(True, CERT_SIGN, frozenset({"V2G"})),
    Role.PRIVATE_ROOT: Rule(True, CERT_SIGN, BRANCHES, more_key_usage=SIGN, domain_component_optional=True),
    Role.SUB_CA_1: Rule(True, CERT_SIGN, BRANCHES, frozenset({1}), ocsp=True),
    Role.SUB_CA_2: Rule(True, CERT_SIGN, BRANCHES, frozenset({0}), more_key_usage=COMMITMENT, ocsp=True),
    Role.SECC: Rule(False, SIGN_AND_AGREE, frozenset({"CPO"}), names=_SECC, ocsp=True),
    Role.CPS: Rule(False, SIGN, frozenset({"CPS"})),
    Role.OEM_PROVISIONING: Rule(False, SIGN_AND_AGREE, frozenset({"OEM"}), names=_PCID),
    Role.CONTRACT: Rule(False, CONTRACT_USE, frozenset({"MO"}), names=_EMAID, ocsp=True),
    Role.VEHICLE: Rule(False, SIGN_AND_AGREE, frozenset({"OEM"}), names=_PCID),
}

ISO2_STRICT = Profile(
    "iso2-strict",
    key_algorithms=frozenset({"secp256r1"}),  # ISO 15118-2 [V2G2-006], annex F
    signature_algorithms=frozenset({"sha256_ecdsa"}),
    rules=MappingProxyType(_STANDARD),
    max_octets=800,  # ISO 15118-2, certificateType
)

ISO20_STRICT = replace(
    ISO2_STRICT,
    name="iso20-strict",
    key_algorithms=frozenset({"secp521r1", "ed448"}),  # ISO 15118-20 [V2G20-2674], [V2G20-2319]
    signature_algorithms=frozenset({"sha512_ecdsa", "ed448"}),
    max_octets=1600,  # ISO 15118-20, certificateType
)

_FIELD_CA = {"domain_component_optional": True, "ocsp": False}
_FIELD_LEAF = {
    "domain_component_optional": True,
    "basic_constraints_optional": True,
    "key_usage_optional": True,
    "ocsp": False,
}
HUBJECT_QA = replace(
    ISO2_STRICT,
    key_algorithms=ISO2_STRICT.key_algorithms | ISO20_STRICT.key_algorithms,
    signature_algorithms=ISO2_STRICT.signature_algorithms | ISO20_STRICT.signature_algorithms,
    max_octets=0,
    ski_octets=8,  # RFC 5280 4.2.1.2, method 2
).with_rules(
    "hubject-qa",
    {
        Role.SUB_CA_1: _FIELD_CA,  # generation G1.2 has no DC
        Role.SUB_CA_2: {**_FIELD_CA, "path_lengths": frozenset({0, 1})},  # 1 in 2018
        Role.CPS: _FIELD_LEAF,  # leafs up to 2022 have neither keyUsage nor basicConstraints
        # 2018: digitalSignature and keyEncipherment
        Role.OEM_PROVISIONING: {**_FIELD_LEAF, "key_usage": SIGN, "more_key_usage": CONTRACT_USE},
        Role.CONTRACT: _FIELD_LEAF,
        Role.VEHICLE: _FIELD_LEAF,
        Role.SECC: {"ocsp": False},
    },
)

RISE = replace(
    ISO2_STRICT,
    signature_algorithms=frozenset({"sha256_ecdsa", "sha1_ecdsa"}),  # OpenSSL 1.0 defaults of the published set
).with_rules(
    "rise",
    {
        Role.SUB_CA_1: {"ocsp": False},
        Role.SUB_CA_2: {"ocsp": False},
        Role.SECC: {"ocsp": False, "names": ()},
        Role.OEM_PROVISIONING: {"names": ()},
        Role.CONTRACT: {"ocsp": False},
        Role.VEHICLE: {"names": ()},
    },
)

PROFILES: Mapping[str, Profile] = MappingProxyType({p.name: p for p in (ISO2_STRICT, ISO20_STRICT, HUBJECT_QA, RISE)})
