"""What a connector needs to talk to vehicles."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from ports.contracts import ContractSource
from ports.dc_supply import DcSupply
from ports.faults import FaultHook, no_fault
from v2g import sdp
from v2g.link.interfaces import Interface
from v2g.link.recording import Recorder, no_recording
from v2g.link.sdp_server import TlsPolicy
from v2g.link.tls_settings import StationTls
from v2g.session.secc import SESSION_ID_OCTETS


@dataclass(frozen=True, slots=True, kw_only=True)
class SeccSetup:
    """V2G of one connector. Seconds are boot-time seconds.

    link: the interface that leads to the cable. sdp_port: 0 takes a free one.
    protocols: "iso2", "din". payments: "ExternalPayment" (a card at the reader), "Contract" (Plug & Charge, over TLS).
    phases, nominal_v: of an AC connector. dc: the power stage of a DC connector; None: AC.
    contract_source: where requests for contracts go; None: none are taken.
    contract_roots: roots of contract certificates (asn1crypto); None: only their own validity is looked at.
    communication_s: a vehicle that has not begun a session so long after 5 % duty is charged without (AC only).
    leave_s: what a vehicle has to end its session when the station ends the transaction; fault_s: after a fault.
    session_id_octets: 8, or less to see whether vehicles cope.
    hook: where a rig may break messages; asked for each session.
    """

    link: Interface
    sdp_port: int = sdp.UDP_PORT
    protocols: tuple[str, ...] = ("iso2", "din")
    payments: tuple[str, ...] = ("ExternalPayment",)
    tls_policy: TlsPolicy = TlsPolicy.OFF
    tls: StationTls | None = None
    contract_roots: Iterable[Any] | None = None
    contract_source: ContractSource | None = None
    phases: int = 3
    nominal_v: float = 230.0
    dc: DcSupply | None = None
    communication_s: float = 20.0  # ISO 15118-3 TT_EVSE_SLAC_init: 20 to 50 s
    leave_s: float = 5.0
    fault_s: float = 2.0
    session_id_octets: int = SESSION_ID_OCTETS
    random: Callable[[int], bytes] = os.urandom
    record: Recorder = no_recording
    hook: Callable[[], FaultHook] = lambda: no_fault

    @property
    def modes(self) -> tuple[str, ...]:
        """EnergyTransferModes on offer."""
        if self.dc is not None:
            return "DC_extended", "DC_core"
        single = "AC_single_phase_core"
        return ("AC_three_phase_core", single) if self.phases == 3 else (single,)
