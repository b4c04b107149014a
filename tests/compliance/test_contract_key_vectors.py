"""Contract key envelopes against published vectors.

Vectors: shared/data/opcp/kat/keywrap.json, made with OpenSSL and the Java Cryptography Extension and cross-checked
with pyca/cryptography; ISO 15118-2 (5, one scalar with a leading zero octet), ISO 15118-20 (2 x SECP521, 1 x X448).
Bodies of real pools: the examples of the OPCP specification (hubject/opcp, CC BY-SA 4.0): lengths and points only,
because the vehicles' private keys were never published.
"""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, x448
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from v2g.contract_key import ISO2, SECP521, X448, ContractKeyError, SealedKey, agreement, open_key, seal_key

OPCP = Path(__file__).parents[3] / "shared" / "data" / "opcp"
KAT = OPCP / "kat" / "keywrap.json"
if not KAT.is_file():
    pytest.skip(f"public test data {KAT} is absent", allow_module_level=True)
VECTORS = json.loads(KAT.read_text())


@pytest.mark.parametrize("vector", VECTORS["iso2"], ids=lambda v: v["id"])
def test_iso2_opens_and_is_reproduced_octet_by_octet(vector):
    oem = load_pem_private_key(vector["oem_private"].encode(), None)
    public = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), bytes.fromhex(vector["contract_pub"]))
    sealed = SealedKey(
        base64.b64decode(vector["ContractSignatureEncryptedPrivateKey"]), base64.b64decode(vector["DHpublickey"])
    )
    contract = open_key(ISO2, sealed, agreement(oem), public)
    assert f"{contract.private_numbers().private_value:064x}" == vector["contract_scalar"]
    ephemeral = ec.derive_private_key(int(vector["ephemeral_scalar"], 16), ec.SECP256R1())
    again = seal_key(ISO2, contract, oem.public_key(), ephemeral=ephemeral, iv=bytes.fromhex(vector["iv"]))
    assert again == sealed


@pytest.mark.parametrize("vector", VECTORS["iso20"], ids=lambda v: v["id"])
def test_iso20_opens(vector):
    oem = load_pem_private_key(vector["oem_private"].encode(), None)
    envelope = {"SECP521": SECP521, "X448": X448}[vector["ECDHCurve"]]
    scalar = bytes.fromhex(vector["contract_scalar"])
    if envelope is X448:
        public = x448.X448PrivateKey.from_private_bytes(scalar).public_key()
    else:
        public = ec.derive_private_key(int.from_bytes(scalar), ec.SECP521R1()).public_key()
    field = vector[f"{vector['ECDHCurve']}_EncryptedPrivateKey"]
    sealed = SealedKey(base64.b64decode(field), base64.b64decode(vector["DHPublicKey"]))
    contract = open_key(envelope, sealed, agreement(oem), public, bytes.fromhex(vector["aad"]))
    if envelope is X448:
        assert contract.private_bytes_raw() == scalar
    else:
        assert contract.private_numbers().private_value == int.from_bytes(scalar)
    wrong_pcid = bytes.fromhex(vector["aad"]).replace(b"HUB", b"HUX")
    with pytest.raises(ContractKeyError, match="authentication failed"):
        open_key(envelope, sealed, agreement(oem), public, wrong_pcid)


@pytest.mark.parametrize(
    "item", ["opcp-cps-contract-data", "opcp-cps-ContractData", "opcp-cps-signedData-EMP99CQATEST001"]
)
def test_envelopes_of_real_pools_have_the_form_and_open_for_nobody_else(item):
    """All gates before the decryption pass; the last check, scalar times G, refuses the wrong vehicle."""
    found = _find(json.loads(next((OPCP / "items" / item).glob("*.json")).read_text()))
    sealed = SealedKey(
        base64.b64decode(found["contractsignatureencryptedprivatekey"]), base64.b64decode(found["dhpublickey"])
    )
    stranger = ec.generate_private_key(ec.SECP256R1())
    with pytest.raises(ContractKeyError, match=r"no private key of the curve|does not belong"):
        open_key(ISO2, sealed, agreement(stranger), ec.generate_private_key(ec.SECP256R1()).public_key())


def _find(tree, found=None):
    """The two fields wherever they are and however they are spelled."""
    found = {} if found is None else found
    for key, value in tree.items() if isinstance(tree, dict) else enumerate(tree):
        if (
            isinstance(value, dict)
            and "value" in value
            and str(key).lower().startswith(("contractsignatureencr", "dhpub"))
        ):
            value = value["value"]
        if isinstance(value, str) and str(key).lower() in ("contractsignatureencryptedprivatekey", "dhpublickey"):
            found[str(key).lower()] = value
        elif isinstance(value, dict | list):
            _find(value, found)
    return found
