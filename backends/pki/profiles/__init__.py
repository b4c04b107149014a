"""Issuing profiles: what a certificate of each kind is made of, read from the TOML files beside this one."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import msgspec

from ports.errors import RigError
from v2g.certificate_profiles import LEAF_ROLES, PROFILES, Profile, Role

FOLDER = Path(__file__).parent
PRESETS = ("iso2-strict", "iso20-strict", "hubject-qa", "rise")
OCSP_KIND = "ocsp"


class CertificateKind(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One kind of certificate of a profile.

    role: None for what V2G has no rule for. parent: the kind that issues it, "" for a root. common_name: when none is
    asked for. days: how long it is valid, but never longer than its issuer. domain_component: "" = none.
    path_length: of a CA, None = no constraint. ocsp: whether it names the OCSP responder. explicit_ca_false: encode cA
    although FALSE is the default.
    """

    role: Role | None
    common_name: str
    key_usage: tuple[str, ...]
    days: int
    parent: str = ""
    domain_component: str = ""
    path_length: int | None = None
    extended_key_usage: tuple[str, ...] = ()
    policies: tuple[str, ...] = ()
    ocsp: bool = True
    explicit_ca_false: bool = False

    @property
    def is_ca(self) -> bool:
        """Whether it issues others."""
        return self.role is not None and self.role not in LEAF_ROLES


class IssuingProfile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How one ecosystem issues. algorithms: names of key_algorithms.ALGORITHMS, the first is the default."""

    name: str
    algorithms: tuple[str, ...]
    subject_key_identifier_octets: int
    organisation: str
    country: str
    backdated_s: int
    certificates: dict[str, CertificateKind]

    @property
    def check(self) -> Profile:
        """The table that its certificates are checked with."""
        return PROFILES[self.name]

    def kind(self, name: str) -> CertificateKind:
        """Raises RigError for a kind that the profile does not issue."""
        if name not in self.certificates:
            raise RigError(f"profile {self.name} issues no {name!r}; there are {', '.join(self.certificates)}")
        return self.certificates[name]

    def line(self, kind: str) -> list[str]:
        """The kinds from this one up to its root."""
        line = [kind]
        while parent := self.kind(line[-1]).parent:
            line.append(parent)
        return line


@cache
def load_profile(name: str) -> IssuingProfile:
    """The profile of a preset. Raises RigError: unknown, or a file with a mistake."""
    if name not in PRESETS:
        raise RigError(f"profile {name!r} is unknown; there are {', '.join(PRESETS)}")
    table = _read(name)
    table["certificates"] = {k: v for k, v in table["certificates"].items() if not v.pop("drop", False)}
    try:
        return msgspec.convert({**table, "name": name}, IssuingProfile, strict=True)
    except msgspec.ValidationError as error:
        raise RigError(f"{FOLDER / name}.toml: {error}") from None


def _read(name: str) -> dict[str, Any]:
    path = FOLDER / f"{name}.toml"
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise RigError(f"{path}: {error}") from None
    base = table.pop("base", "")
    return _merged(_read(base), table) if base else table


def _merged(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in changes.items():
        below = merged.get(key)
        merged[key] = _merged(below, value) if isinstance(below, dict) and isinstance(value, dict) else value
    return merged
