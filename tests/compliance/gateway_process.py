"""A whole gateway in real time on one interface, for a foreign vehicle in another network namespace.

    python -m tests.compliance.gateway_process <interface> <folder of certificates> <folder for the journal> [--pool]

Cable, meter and signer are doubles: the pilot follows what the session asks for, as a vehicle's would. Prints one line
of JSON for each trace event of the session and of V2G, and one at the end with what is in the journal.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.serialization import load_der_public_key, load_pem_private_key

from gateway.authorisation import LocalList
from gateway.controller import Controller
from gateway.forwarder import Forwarder
from gateway.journal import Journal
from gateway.policy import ConnectorSetup, GatewayIdentity, Policy
from gateway.receipt import verify_receipt
from gateway.secc.setup import SeccSetup
from gateway.transaction import State
from hil_rigs.real_clock import RealClock
from ports.charge_control import PilotState
from ports.contracts import ContractAction, ContractAnswer
from ports.trace import TraceEvent
from tests.gateway.backend_doubles import Words
from tests.gateway.doubles import KeySigner
from tests.gateway.point import Cable, CableMeter, ListBackend
from v2g.certificates import common_name
from v2g.contract_key import ISO2, seal_key
from v2g.exi.codec import decode, encode
from v2g.exi.generated.iso2 import types as t
from v2g.link.interfaces import ready_interface
from v2g.link.sdp_server import TlsPolicy
from v2g.link.tls_settings import Chain, StationTls, read_certificates
from v2g.signature_suites import P256, signer
from v2g.xmldsig import sign_message


class Plug(Cable):
    """A cable whose vehicle closes S2 when its session wants power."""

    async def offer_duty(self, per_cent: float) -> None:
        self.log.append(f"duty {per_cent:g}")


class Maker:
    """A pool that makes the contract when it is asked."""

    name = "pool"

    def __init__(self, pki: Path) -> None:
        self._pki = pki

    async def fetch(self, action: ContractAction, exi: bytes, namespace: str, deadline_s: float) -> ContractAnswer:
        request: Any = decode("iso2", exi)
        contract, provisioning = self._chain("contract"), read_certificates(self._pki / "provisioning.pem")[0]
        recipient: Any = load_der_public_key(provisioning.public_key.dump())
        sealed = seal_key(ISO2, self._key("contract"), recipient)
        body = t.CertificateInstallationResType(
            ResponseCode="OK",
            SAProvisioningCertificateChain=_message_chain(self._chain("cps")),
            ContractSignatureCertChain=_message_chain(contract, "id1"),
            ContractSignatureEncryptedPrivateKey=t.ContractSignatureEncryptedPrivateKeyType(
                Id="id2", value=sealed.encrypted_private_key
            ),
            DHpublickey=t.DiffieHellmanPublickeyType(Id="id3", value=sealed.dh_public_key),
            eMAID=t.EMAIDType(Id="id4", value=common_name(contract[0])),
        )
        header = t.MessageHeaderType(SessionID=request.Header.SessionID)
        message = t.V2G_Message(Header=header, Body=t.BodyType(BodyElement=body))
        sign_message(message, signer(self._key("cps")), P256)
        return ContractAnswer(encode(message))

    def _chain(self, name: str) -> list[Any]:
        return read_certificates(self._pki / f"{name}.chain.pem")

    def _key(self, name: str) -> Any:
        return load_pem_private_key((self._pki / f"{name}.key").read_bytes(), None)


def _message_chain(chain: list[Any], identifier: str | None = None) -> t.CertificateChainType:
    sub_cas = t.SubCertificatesType(Certificate=[one.dump() for one in chain[1:3]])
    return t.CertificateChainType(Id=identifier, Certificate=chain[0].dump(), SubCertificates=sub_cas)


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def show(event: TraceEvent) -> None:
    if event.kind in ("v2g.rx", "v2g.tx") or event.layer == "session":
        say(json.dumps({"event": event.kind, **event.data}, default=str))


async def main(interface: str, pki: Path, folder: Path, pool: bool) -> None:
    clock, words = RealClock(), Words(flag="OCPP_AUTH")
    cable = Plug(clock)
    meter = CableMeter(clock, cable)
    journal = await Journal.open(folder / "journal.db", KeySigner(), clock)
    backend = ListBackend()
    roots = [one for name in ("mo-root.pem", "v2g-root.pem") for one in read_certificates(pki / name)]
    secc = SeccSetup(
        link=await ready_interface(interface, clock),
        protocols=("iso2",),
        payments=("Contract", "ExternalPayment"),
        tls_policy=TlsPolicy.REQUIRED,
        tls=StationTls((Chain(pki / "secc.chain.pem", pki / "secc.key", None, pki / "v2g-root.pem"),)),
        contract_roots=roots,
        contract_source=Maker(pki) if pool else None,
    )
    setup = ConnectorSetup(control=cable, meter=meter, point_id="DE*PLB*E0001", secc=secc)
    controller = Controller(
        GatewayIdentity(identification="plugbench", serial="GW1", version="0.1", boot_id=clock.boot_id),
        [setup],
        journal,
        Forwarder(journal, {"cpo": backend}, clock),
        LocalList([]),
        clock,
        policy=Policy(receipt_messages=3),
        authorisers=[words],
        tracer=show,
    )
    await controller.start()
    machine = controller.by_name["c1"].machine

    def follow() -> None:
        if cable.pilot is not PilotState.A:
            cable.set_pilot(PilotState.C if machine.power_wanted else PilotState.B)

    controller.by_name["c1"].on_change.append(follow)
    cable.set_pilot(PilotState.B)
    say("ready")
    await controller.wait_for("c1", State.CHARGING)
    await controller.wait_for("c1", State.PLUGGED)
    receipts = await journal.receipts()
    for receipt in receipts:
        verify_receipt(receipt)
    await controller.close()
    asked = [(request.id, len(request.certificates)) for request in words.asked]
    users = [json.loads(record.ocmf.split("|")[1]) for record in backend.records]
    found: dict[str, Any] = {"asked": asked, "receipts": len(receipts), "records": len(users), "user": users[0]["IF"]}
    say(json.dumps({"event": "end", "emaid": users[0]["ID"], **found}))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), "--pool" in sys.argv))
