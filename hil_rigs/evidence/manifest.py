"""The manifest: every file of the evidence with its hash, and what the run was made of."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from ports.errors import PeerError

MANIFEST = "manifest.json"
DIGEST = "manifest.sha256"
SCHEMA: Literal["plugbench.evidence/1"] = "plugbench.evidence/1"
MAX_MANIFEST = 16 << 20

Sha256 = Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]


class ManifestError(PeerError):
    """A manifest that cannot be read, or is not as Plugbench writes it."""


class File(Struct, frozen=True, forbid_unknown_fields=True):
    """One file. size in octets; what: its role."""

    sha256: Sha256
    size: Annotated[int, Meta(ge=0)]
    what: str


class Resource(Struct, frozen=True, forbid_unknown_fields=True):
    """One resource of the rig. where: virtual, real or external."""

    name: str
    kind: str
    where: str
    why: str


class Versions(Struct, frozen=True, forbid_unknown_fields=True):
    """What the run was made with. commit: of Plugbench, "" when unknown; with "+" and a hash of changes, if any."""

    plugbench: str
    commit: str
    python: str
    platform: str
    libraries: dict[str, str]


class Events(Struct, frozen=True, forbid_unknown_fields=True):
    """The event file. count: lines. rule: what the hash leaves out; hash: over the canonical events."""

    file: str
    schema: str
    count: int
    rule: str
    hash: Sha256


class Manifest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything that a reader has to know before opening another file.

    started: civil time of the machine. scenario: its name, with its variant; defect: that was seeded; "" without.
    """

    schema: Literal["plugbench.evidence/1"] = SCHEMA
    run: str
    rig: str
    scenario: str
    defect: str
    seed: int
    clock: str
    started: str
    verdict: str
    signer: str
    is_hsm: bool
    resources: list[Resource]
    versions: Versions
    events: Events
    files: dict[str, File]


def encode_manifest(manifest: Manifest) -> bytes:
    """The only form it may have: one value a line, files in the order of their names."""
    octets = msgspec.json.encode(manifest, order="deterministic")
    return msgspec.json.format(octets, indent=1) + b"\n"


def decode_manifest(octets: bytes) -> Manifest:
    """Read it. Raises ManifestError: another schema, unknown or missing keys, another form."""
    if len(octets) > MAX_MANIFEST:
        raise ManifestError(f"{MANIFEST}: {len(octets)} octets, more than {MAX_MANIFEST}")
    try:
        manifest = msgspec.json.decode(octets, type=Manifest)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise ManifestError(f"{MANIFEST}: {error}", received=octets[:1000]) from None
    if encode_manifest(manifest) != octets:
        raise ManifestError(f"{MANIFEST}: not in the form that Plugbench writes", received=octets[:1000])
    return manifest


def digest_of(manifest: bytes) -> str:
    """The digest of the whole evidence: whoever noted it elsewhere can tell whether anything was rewritten."""
    return hashlib.sha256(manifest).hexdigest()


def digest_line(manifest: bytes) -> bytes:
    """The content of manifest.sha256, as `sha256sum -c` reads it."""
    return f"{digest_of(manifest)}  {MANIFEST}\n".encode()


def hash_file(chunks: Iterable[bytes]) -> tuple[str, int]:
    """SHA-256 and size in octets of what comes in pieces."""
    hasher, size = hashlib.sha256(), 0
    for chunk in chunks:
        hasher.update(chunk)
        size += len(chunk)
    return hasher.hexdigest(), size
