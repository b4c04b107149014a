"""How a charge point is connected to its CSMS: where, as whom, how securely, and what it signs."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from urllib.parse import urlsplit

from backend_client.credential import Credential
from ports.errors import LocalError

_IDENTITY = re.compile(r"[A-Za-z0-9*\-_=+|@.]{1,48}")  # OCPP 2.0.1 part 2, identifierString; part 4, 3.1.1


class Version(StrEnum):
    """Versions of OCPP, as the schemas' folders count them."""

    V16 = "1.6"
    V201 = "2.0.1"

    @property
    def subprotocol(self) -> str:
        """Its name in the handshake (IANA WebSocket subprotocol names)."""
        return f"ocpp{self.value}"


class PublicKeyPolicy(StrEnum):
    """PublicKeyWithSignedMeterValue (OCPP 2.0.1 part 2, OCPPCommCtrlr)."""

    NEVER = "Never"
    ONCE = "OncePerTransaction"
    EVERY = "EveryMeterValue"


class TooLong(StrEnum):
    """What happens with a signed value that does not fit into signedMeterData."""

    REFUSE = "refuse"
    VENDOR = "vendor"


@dataclass(frozen=True, slots=True, kw_only=True)
class SignPolicy:
    """Which readings go out signed; the names are the variables of OCPP (OCA note on signed values, table 20).

    sampled: SampledDataSignReadings. started: SampledDataSignStartedReadings. updated: SampledDataSignUpdatedReadings.
    aligned: AlignedDataSignReadings. aligned_updated: AlignedDataSignUpdatedReadings.
    """

    sampled: bool = True
    started: bool = True
    updated: bool = True
    aligned: bool = True
    aligned_updated: bool = True

    def signs(self, context: str) -> bool:
        """Whether a value of this context goes out signed while the transaction runs."""
        return {
            "Transaction.Begin": self.sampled and self.started,
            "Sample.Periodic": self.sampled and self.updated,
            "Sample.Clock": self.aligned and self.aligned_updated,
        }.get(context, self.signs_end)

    @property
    def signs_end(self) -> bool:
        """Whether the end of a transaction carries its signed values."""
        return self.sampled or self.aligned


@dataclass(frozen=True, slots=True, kw_only=True)
class OcppSettings:
    """One link. Seconds are protocol time.

    url: without the identity, which is appended. organisation: of the CPO. security_profile: 1 Basic, 2 TLS and Basic,
    3 mutual TLS; 0 = nothing (1.6 without the security whitepaper). ca_file: the only roots trusted.
    client_certificate, client_key: profile 3. certificate_folder: where installed certificates are kept; None = none
    can be installed. state_file: what a restart must remember. wait_s: how long a delivery waits for the link.
    resume_delay_s: pause after a reconnect before queued values go out. vendor_id: of chunks (`too_long`).
    separate_begin: 1.6 sends the signed begin in MeterValues as well, right after StartTransaction.
    stop_format: 1.6 StopTransactionSignatureFormat, "SR" (begin and end) or "MR" (end).
    """

    url: str
    identity: str
    state_file: Path
    organisation: str = ""
    version: Version = Version.V201
    name: str = "ocpp"
    security_profile: int = 1
    password: Credential | None = None
    ca_file: Path | None = None
    client_certificate: Path | None = None
    client_key: Path | None = None
    certificate_folder: Path | None = None
    signing: SignPolicy = field(default_factory=SignPolicy)
    public_key: PublicKeyPolicy = PublicKeyPolicy.EVERY
    too_long: TooLong = TooLong.REFUSE
    vendor_id: str = "io.plugbench.signedvalue"
    stop_format: str = "SR"
    separate_begin: bool = True
    heartbeat_s: float = 300.0
    open_timeout_s: float = 20.0
    message_timeout_s: float = 30.0
    wait_s: float = 5.0
    resume_delay_s: float = 2.0
    reconnect_first_s: float = 1.0
    reconnect_most_s: float = 120.0
    ping_s: float = 54.0
    max_message: int = 1 << 20

    def __post_init__(self) -> None:
        """Raises LocalError: a combination that is less secure than it says, or cannot work."""
        parts = urlsplit(self.url)
        wanted = "wss" if self.security_profile >= 2 else "ws"
        if parts.scheme not in {"ws", "wss"} or not parts.hostname:
            raise LocalError(f"OCPP url {self.url}: expected ws://host/path or wss://host/path")
        if parts.username or parts.password:
            raise LocalError("OCPP url: a password does not belong into the url; name a file or a variable")
        if self.security_profile not in range(4):
            raise LocalError(f"OCPP security profile {self.security_profile}: there are 1, 2 and 3 (0 = no security)")
        if parts.scheme != wanted:
            raise LocalError(f"OCPP security profile {self.security_profile} needs a {wanted}:// url, not {self.url}")
        if not _IDENTITY.fullmatch(self.identity):
            raise LocalError(f"OCPP identity {self.identity!r}: up to 48 of A-Z a-z 0-9 * - _ = + | @ .")
        if (self.password is not None) != (self.security_profile in {1, 2}):
            raise LocalError(f"OCPP security profile {self.security_profile}: a password goes with profiles 1 and 2")
        if (self.client_certificate is not None and self.client_key is not None) != (self.security_profile == 3):
            raise LocalError("OCPP security profile 3 needs client_certificate and client_key, and only that one")
        if self.version is Version.V201 and self.security_profile == 0:
            raise LocalError("OCPP 2.0.1 needs security profile 1, 2 or 3")
        if self.stop_format not in {"SR", "MR"}:
            raise LocalError(f"stop_format {self.stop_format!r}: SR or MR")

    @property
    def endpoint(self) -> str:
        """What is connected to."""
        return f"{self.url.rstrip('/')}/{self.identity.replace('|', '%7C')}"
