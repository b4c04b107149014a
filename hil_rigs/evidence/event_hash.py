"""One hash over the events of a run: the same rig and seed in virtual time give the same one.

What cannot repeat (keys made for a run, and all that is signed with them) is left out by the table; where a field was
left out, so are the octets that hold it. The order of the events counts.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import msgspec
from msgspec import Struct

from ports.errors import PeerError

EVENTS = "events.jsonl"
SCHEMA = "plugbench.events/1"
RULE = "plugbench.event-hash/1"
MAX_LINE = 4 << 20


class EventError(PeerError):
    """A line that is no event."""


class Event(Struct, frozen=True, forbid_unknown_fields=True):
    """One line of the event file; see `ports.trace.TraceEvent`. at: boot-time seconds; raw: octets in hex."""

    at: float
    layer: str
    kind: str
    source: str
    data: dict[str, Any] = {}
    raw: str = ""


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Fields of these names, at any depth of the data of events whose kind begins so. part: only that of their text."""

    kind: str
    fields: frozenset[str]
    why: str
    part: re.Pattern[str] | None = None


LEFT_OUT = (
    LeftOut("worker.", frozenset({"pid"}), "a number of the operating system"),
    LeftOut("token.", frozenset({"fingerprint", "library"}), "a key made for the run, a library of the machine"),
    LeftOut(
        "tls.",
        frozenset({"trusted_ca_keys", "ocsp"}),
        "hashes of the keys of the run's roots, the length of a stapled response with its signature",
    ),
    LeftOut(
        "v2g.",
        frozenset(  # element names of ISO 15118-2, -20 and XML signature
            {
                "Certificate",
                "OEMProvisioningCert",
                "X509SerialNumber",
                "SignatureValue",
                "DigestValue",
                "SigMeterReading",
                "MeterSignature",
                "DHPublicKey",
                "SECP521_EncryptedPrivateKey",
                "X448_EncryptedPrivateKey",
                "TPM_EncryptedPrivateKey",
                "sha256",
            }
        ),
        "certificates, keys, signatures, and hashes of messages that hold them",
    ),
    LeftOut("secc.", frozenset({"request_sha256", "answer_sha256"}), "hashes of messages that hold signatures"),
    LeftOut("opcp.", frozenset({"octets", "sha256"}), "length and hash of EXI messages that hold certificates"),
    LeftOut("csms.contract", frozenset({"request_sha256", "response_sha256"}), "as those of secc.*"),
    LeftOut(
        "csms.transaction",
        frozenset({"flags"}),
        "a message that was contradicted is named by a hash of its content, which holds signatures",
        re.compile(r"(?<=with content )[0-9a-f]+"),
    ),
    *(
        LeftOut(
            kind,
            frozenset(  # OCPP 1.6 and 2.0.1: signed values, certificates, EXI messages that carry them
                {
                    "signedMeterData",
                    "publicKey",
                    "certificate",
                    "issuerKeyHash",
                    "serialNumber",
                    "ocspResult",
                    "exiRequest",
                    "exiResponse",
                }
            ),
            f"keys and signatures in {kind} messages",
        )
        for kind in ("ocpp.", "csms.")
    ),
)


RANDOM_OCTETS = "tls."  # a handshake holds octets that OpenSSL draws


def decode_event(line: bytes, number: int = 0) -> Event:
    """One line of the event file. Raises EventError naming the line."""
    if len(line) > MAX_LINE:
        raise EventError(f"{EVENTS}, line {number}: {len(line)} octets, more than {MAX_LINE}")
    try:
        return msgspec.json.decode(line, type=Event)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise EventError(f"{EVENTS}, line {number}: {error}", received=line[:200]) from None


def canonical(event: Event) -> bytes:
    """The event as it is hashed: JSON without white space, keys in order, without what is left out."""
    rules = _rules(event.kind)
    data = _without(event.data, rules) if rules else event.data
    content: dict[str, object] = {"at": event.at, "layer": event.layer, "kind": event.kind, "source": event.source}
    content["data"] = data
    content["raw"] = event.raw if data == event.data and not event.kind.startswith(RANDOM_OCTETS) else ""
    return msgspec.json.encode(content, order="sorted")


class EventHash:
    """SHA-256 over canonical events, one after the other, each followed by a line feed."""

    def __init__(self) -> None:
        self._hasher = hashlib.sha256()
        self.count = 0

    def add(self, event: Event) -> None:
        """The next event."""
        self._hasher.update(canonical(event) + b"\n")
        self.count += 1

    def hex(self) -> str:
        """The hash so far."""
        return self._hasher.hexdigest()


def hash_events(lines: Iterable[bytes]) -> EventHash:
    """The hash of an event file. Raises EventError."""
    hasher = EventHash()
    for number, line in enumerate(lines, start=1):
        hasher.add(decode_event(line, number))
    return hasher


@lru_cache(maxsize=1024)
def _rules(kind: str) -> dict[str, LeftOut]:
    """What is left out of events of this kind, by the name of the field."""
    return {name: row for row in LEFT_OUT if kind.startswith(row.kind) for name in row.fields}


def _without(value: Any, rules: dict[str, LeftOut]) -> Any:
    if isinstance(value, dict):
        kept = {}
        for key, inner in value.items():
            rule = rules.get(key)
            if rule is None:
                kept[key] = _without(inner, rules)
            elif rule.part is not None:
                kept[key] = _cut(inner, rule.part)
        return kept
    if isinstance(value, list):
        return [_without(inner, rules) for inner in value]
    return value


def _cut(value: Any, part: re.Pattern[str]) -> Any:
    if isinstance(value, list):
        return [_cut(inner, part) for inner in value]
    return part.sub("", value) if isinstance(value, str) else value
