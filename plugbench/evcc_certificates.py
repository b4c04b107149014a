"""TLS and contracts of `plugbench evcc`: from files, or from the vehicle's certificate store."""

from __future__ import annotations

import argparse
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from plugbench.session_show import password, pki_file
from ports.errors import RigError

if TYPE_CHECKING:  # imported where they are used: the command has to start fast
    from firmware_sim.vehicle.certificate_store import CertificateStore
    from firmware_sim.vehicle.contract_choice import Choice
    from v2g.link.tls_settings import VehicleTls
    from v2g.session.events import ContractInstalled
    from v2g.session.vehicle_side import ContractCredentials, ProvisioningCredentials


def add_certificates(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    tls = parser.add_argument_group("TLS and contract")
    tls.add_argument("--tls", choices=("off", "preferred", "required"), help="default: preferred with roots, else off")
    tls.add_argument("--root", type=Path, action="append", default=[], metavar="FILE", help="V2G roots to trust")
    tls.add_argument("--trust-any", action="store_true", help="lab: do not verify the station")
    tls.add_argument("--require-staple", action="store_true", help="refuse a station that sends no OCSP response")
    tls.add_argument("--contract", type=Path, metavar="FILE", help="PEM: contract certificate, then sub-CAs")
    tls.add_argument("--contract-key", type=Path, metavar="FILE", help="its private key")
    tls.add_argument("--install", action="store_true", help="have a contract installed first")
    tls.add_argument("--update", action="store_true", help="have the contract updated first")
    tls.add_argument(
        "--store",
        type=Path,
        metavar="FOLDER",
        help="the vehicle's roots, provisioning certificate and contracts; new ones are kept there "
        "(made from --pki when it is not there yet)",
    )
    tls.add_argument("--emaid", default="", help="the contract of the store that is preferred (the longest valid)")
    tls.add_argument("--no-fallback", action="store_true", help="do not pay in another way than --auth")
    tls.add_argument("--provisioning", type=Path, metavar="FILE", help="OEM provisioning certificate")
    tls.add_argument("--provisioning-key", type=Path, metavar="FILE", help="its private key")
    tls.add_argument("--password-file", type=Path, metavar="FILE", help="holds the password of the key files")


class Certificates:
    """What the options say. store: None without --store. Raises RigError for unusable files."""

    def __init__(self, args: argparse.Namespace) -> None:
        self._args = args
        self.store: CertificateStore | None = None
        if args.store is not None:
            self.store = self._open_store(args.store)
        self.provisioning: ProvisioningCredentials | None = self._provisioning()

    def roots(self) -> list[Any]:
        """V2G roots that the vehicle trusts."""
        from v2g.link.tls_settings import read_certificates

        return [root for path in self._root_files() for root in read_certificates(path)]

    def tls(self, key_log: Path | None) -> VehicleTls | None:
        """TLS of a connection; None when it is off, or there is nothing to trust."""
        from v2g.link.tls_settings import VehicleTls

        args, roots = self._args, self._root_files()
        if args.tls == "off" or not (roots or args.trust_any):
            return None
        return VehicleTls(roots, trust_any=args.trust_any, require_staple=args.require_staple, key_log=key_log)

    def choice(self, at: datetime) -> Choice:
        """What it pays with, by the store or by the files named. Raises RigError."""
        from firmware_sim.vehicle.contract_choice import Choice, choose
        from firmware_sim.vehicle.evcc_setup import EvccSetup, Plan
        from v2g.link.interfaces import LOOPBACK

        args = self._args
        payment = "Contract" if args.auth == "pnc" or args.install or args.update else "ExternalPayment"
        action = "install" if args.install else "update" if args.update else ""
        if self.store is None:
            choice = Choice(payment, None if args.install or payment != "Contract" else self._contract(), action)
        else:
            setup = EvccSetup(
                link=LOOPBACK,
                payment=payment,
                fallback=not args.no_fallback,
                store=self.store,
                emaid=args.emaid,
                provisioning=self.provisioning,
            )
            choice = choose(setup, Plan(certificate_action=action or None), at)
        if choice.action and not self._root_files():
            raise RigError(f"to {choice.action} a contract needs --root: the request names the vehicle's V2G roots")
        return choice

    def keep(self, event: ContractInstalled) -> str:
        """Put a new contract into the store; what to say about it. Raises RigError."""
        if self.store is None:
            return ""
        contract = self.store.add_contract(event.certificates, event.key, event.emaid)
        return (
            f"kept in {self.store.folder}: contract {contract.emaid}, valid to {contract.not_after:%Y-%m-%d %H:%M:%S}"
        )

    def _open_store(self, folder: Path) -> CertificateStore:
        """A new store takes over what --pki has."""
        from firmware_sim.vehicle.certificate_store import CertificateStore
        from v2g.link.tls_settings import read_certificates

        args, store = self._args, CertificateStore(folder)
        if args.pki is not None and not store.roots:
            store.import_pki(args.pki, contract=not args.install, password=password(args))
        for path in args.root:
            for root in read_certificates(path):
                store.add_root(root)
        return store

    def _root_files(self) -> tuple[Path, ...]:
        if self.store is not None:
            return self.store.root_files
        root = pki_file(self._args, None, "v2g-root.pem")
        return tuple(self._args.root) or ((root,) if root is not None else ())

    def _contract(self) -> ContractCredentials:
        from firmware_sim.vehicle.evcc_setup import read_contract_files

        chain = pki_file(self._args, self._args.contract, "contract.chain.pem")
        key = pki_file(self._args, self._args.contract_key, "contract.key")
        if chain is None or key is None:
            raise RigError("pnc needs --contract and --contract-key, or --pki with them, or --store, or --install")
        return read_contract_files(chain, key, password(self._args))

    def _provisioning(self) -> ProvisioningCredentials | None:
        from firmware_sim.vehicle.evcc_setup import read_provisioning_files

        args = self._args
        if args.provisioning is None and self.store is not None:
            return self.store.provisioning
        if not (args.install or args.provisioning):
            return None
        certificate = pki_file(args, args.provisioning, "provisioning.pem")
        key = pki_file(args, args.provisioning_key, "provisioning.key")
        if certificate is None or key is None:
            raise RigError("--install needs --provisioning and --provisioning-key, or --pki or --store with them")
        return read_provisioning_files(certificate, key, password(args))
