"""How a charge point operator is set up."""

from __future__ import annotations

import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum

from backends.guarded_http import Network
from backends.pki.revocation import RevocationRules
from backends.sealing import hash_secret


class SecurityProfile(IntEnum):
    """How a station proves who it is (OCPP 2.0.1 part 2, A00; OCPP 1.6 security whitepaper, 2.2)."""

    OPEN = 0  # nothing at all: a rig on one machine
    BASIC = 1
    TLS_BASIC = 2
    TLS_CLIENT_CERTIFICATE = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class StationAccount:
    """A station that may connect.

    identity: last part of its URL. profile: the lowest that it may use. secret_hash: see `with_password`.
    evse_ids: EVSEIDs of EVSE 1, 2, ... (OCPP 1.6: of connector 1, 2, ...).
    """

    identity: str
    profile: SecurityProfile = SecurityProfile.BASIC
    secret_hash: str = field(default="", repr=False)
    evse_ids: Sequence[str] = ()

    def evse_id(self, evse: int) -> str:
        """Of EVSE 1, 2, ...; "" when nobody has told."""
        return self.evse_ids[evse - 1] if 0 < evse <= len(self.evse_ids) else ""


def with_password(
    identity: str,
    password: str,
    *,
    profile: SecurityProfile = SecurityProfile.BASIC,
    evse_ids: Sequence[str] = (),
) -> StationAccount:
    """An account that keeps the hash of a password."""
    return StationAccount(identity=identity, profile=profile, secret_hash=hash_secret(password), evse_ids=evse_ids)


@dataclass(frozen=True, slots=True)
class Listener:
    """Where stations connect. port: 0 takes a free one. ssl: of the server; None = without TLS.

    For security profile 3 the context asks for client certificates (`ssl.CERT_OPTIONAL` lets profile 2 in, too).
    """

    host: str = "127.0.0.1"
    port: int = 0
    ssl: ssl.SSLContext | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CpoSettings:
    """name: in traces and ids of charge details. stations: by account; with `strangers` everybody else is let in, too.

    heartbeat_s, call_timeout_s: of stations, and how long their answers may take. ping_s: between WebSocket pings,
    which find stations that are gone. contract_deadline_s: for the pools; a vehicle waits 5 s (ISO 15118-2 V2G2-443).
    ocsp_deadline_s: for all responders of a contract's chain, and again for its hashes; what has not been said by then
    is unknown. A station has 4.5 s for its answer, the mobility operator is asked in what is left of them.
    contract_roots: DER of the roots below which contracts are trusted, in addition to those of the pools. revocation:
    what to make of certificates' status; answers are kept for a minute. networks: that OCSP responders may be in
    although they are not public. api_token: bearer token of the operator's API; "" = it is not served.
    """

    name: str = "cpo"
    stations: Sequence[StationAccount] = ()
    strangers: bool = False
    listeners: Sequence[Listener] = (Listener(),)
    heartbeat_s: int = 300
    call_timeout_s: float = 30.0
    ping_s: float = 60.0
    contract_deadline_s: float = 4.0
    ocsp_deadline_s: float = 1.5
    contract_roots: Sequence[bytes] = field(default=(), repr=False)
    revocation: RevocationRules = field(default_factory=lambda: RevocationRules(max_age_s=60.0))
    networks: Sequence[Network] = ()
    api_host: str = "127.0.0.1"
    api_port: int = 0
    api_token: str = field(default="", repr=False)

    def accounts(self) -> Mapping[str, StationAccount]:
        """By identity."""
        return {account.identity: account for account in self.stations}
