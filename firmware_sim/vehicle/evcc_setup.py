"""What the V2G controller (EVCC) of a simulated vehicle is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from firmware_sim.vehicle.certificate_store import CertificateStore, read_private_key
from ports.faults import FaultHook, no_fault
from v2g import sdp
from v2g.certificates import common_name
from v2g.contract_key import agreement
from v2g.link.interfaces import Interface
from v2g.link.recording import Recorder, no_recording
from v2g.link.sdp_client import TlsWish
from v2g.link.tls_settings import VehicleTls, read_certificates
from v2g.session.evcc import EvccSettings
from v2g.session.vehicle_side import ContractCredentials, ProvisioningCredentials
from v2g.signature_suites import signer

PACE = EvccSettings(current=0.5)


@dataclass(frozen=True, slots=True)
class Plan:
    """What happens in a session.

    pause_after_s, renegotiate_after_s: seconds from the first current; None: never. pause_s: how long it sleeps.
    certificate_action: "install", "update" or "" (nothing) about the contract; None: as it needs.
    """

    pause_after_s: float | None = None
    pause_s: float = 60.0
    renegotiate_after_s: float | None = None
    certificate_action: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EvccSetup:
    """link: the interface that leads to the cable; sdp_port: asked for when a session begins.

    protocols: "iso2", "din", best first. payment: "ExternalPayment" or "Contract". dc: through the DC pins.
    fallback: it pays in the other way where it cannot pay so: not offered, no valid contract, installation failed.
    store: its roots, provisioning certificate and contracts. emaid: the contract that it prefers.
    update_before_s: a contract that ends so soon is updated, where the station can.
    contract: shown whatever its validity, as long as no other one was installed. provisioning: instead of the store's.
    departure_s: seconds until the driver leaves. machine: the pace of its requests.
    hook: where a rig may break messages; asked for each session.
    """

    link: Interface
    sdp_port: Callable[[], int] = lambda: sdp.UDP_PORT
    evcc_id: bytes = bytes.fromhex("020000000001")
    protocols: tuple[str, ...] = ("iso2",)
    payment: str = "ExternalPayment"
    fallback: bool = True
    dc: bool = False
    departure_s: int | None = None
    tls_wish: TlsWish = TlsWish.OFF
    tls: VehicleTls | None = None
    store: CertificateStore = field(default_factory=CertificateStore, repr=False)
    emaid: str = ""
    update_before_s: float = 14 * 86400.0
    contract: ContractCredentials | None = field(default=None, repr=False)
    provisioning: ProvisioningCredentials | None = field(default=None, repr=False)
    machine: EvccSettings = PACE
    record: Recorder = no_recording
    hook: Callable[[], FaultHook] = lambda: no_fault


def read_contract_files(chain: Path, key: Path, password: str | None = None) -> ContractCredentials:
    """A contract from PEM files: certificate, then its sub-CAs; and its private key. Raises RigError."""
    certificates = read_certificates(chain)
    private = read_private_key(key, password)
    return ContractCredentials(
        common_name(certificates[0]), tuple(one.dump() for one in certificates), signer(private), agreement(private)
    )


def read_provisioning_files(certificate: Path, key: Path, password: str | None = None) -> ProvisioningCredentials:
    """An OEM provisioning certificate and its private key from PEM files. Raises RigError."""
    private = read_private_key(key, password)
    return ProvisioningCredentials(read_certificates(certificate)[0].dump(), signer(private), agreement(private))
