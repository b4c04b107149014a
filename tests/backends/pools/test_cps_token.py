"""Contract data signed with a CPS key that lives in a PKCS#11 token (SoftHSM)."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from backends.pki.authorities import CertificateAuthorities, Order
from backends.pki.ca_keys import FileKeys, Passphrase
from backends.pki.key_algorithms import ALGORITHMS
from backends.pki.token_keys import TokenKeys
from backends.pools.certificates import read_certificate
from backends.pools.contract_data import ContractData, read_signed_contract_data, sign_contract_data, verify_signed
from backends.pools.editions import ISO2, ISO20
from backends.store.database import Database
from hil_rigs.real_clock import RealClock
from hsm.pin import PinSource
from hsm.provision import Module
from hsm.softhsm import find_module, token_folder
from tests.postgres import as_it_is
from v2g.certificates import public_key
from v2g.contract_key import ISO2 as ISO2_ENVELOPE
from v2g.contract_key import SECP521, Envelope, additional_data, seal_key

MODULE = find_module()
if MODULE is None:
    pytest.skip("SoftHSM (Debian package softhsm2) is not installed", allow_module_level=True)
EDITIONS = ((ISO2, "iso2-strict", ISO2_ENVELOPE), (ISO20, "iso20-strict", SECP521))


@pytest.mark.parametrize(("namespace", "preset", "envelope"), EDITIONS, ids=["iso2", "iso20"])
async def test_a_token_signs_contract_data(
    tmp_path: Path, sqlite_url: str, namespace: str, preset: str, envelope: Envelope
) -> None:
    assert MODULE is not None
    clock, pin = RealClock(), tmp_path / "pin"
    pin.write_text("648219\n")
    pin.chmod(0o600)
    module = Module(MODULE, token_folder(tmp_path / "softhsm"))
    module.init_token("cps", PinSource(pin))
    database = Database(sqlite_url, clock, prepare=as_it_is)
    authorities = CertificateAuthorities(
        database, clock, FileKeys(tmp_path / "keys", Passphrase(pin)), ocsp_url="http://x.test/ocsp"
    )
    await authorities.add_realm("realm", preset, actor="test")
    algorithm = ALGORITHMS["secp256r1" if namespace == ISO2 else "secp521r1"]
    _, key = await TokenKeys(module, "cps", PinSource(pin), clock).make("cps", algorithm)
    try:
        for kind in ("v2g-root", "cps-sub1", "cps-sub2", "mo-root", "mo-sub1", "mo-sub2"):
            await authorities.issue(Order(realm="realm", kind=kind), actor="test")
        cps = await authorities.issue(Order(realm="realm", kind="cps", public_key=key.spki), actor="test")
        contract = await authorities.issue(Order(realm="realm", kind="contract"), actor="test")
        own = await authorities.key_of(contract.stored)
        vehicle = ec.generate_private_key(envelope.curve or ec.SECP256R1())
        aad = additional_data("PLBPROVCERT000001", contract.certificate.key_identifier) if envelope.tag_length else b""
        sealed = seal_key(envelope, own.key, vehicle.public_key(), aad)  # type: ignore[attr-defined]
        data = ContractData(namespace, contract.certificate, tuple(contract.sub_cas), sealed)
        chain = (cps.certificate, *cps.sub_cas)
        made = await sign_contract_data(data, chain, lambda octets: key.sign(octets, algorithm.signature))
        read = read_signed_contract_data(made.xml, namespace, read_certificate)
        verify_signed(read)
        assert public_key(read.cps[0]) == public_key(cps.certificate)
        assert cps.stored.key_reference == ""
    finally:
        await key.close()
        await authorities.close()
        await database.close()
