"""ISO 15118-20 contracts on Ed448 and X448: everybody signs with Ed448, the envelope is a published X448 vector.

Vector: kat/keywrap.json of ../shared/data/opcp (made by two implementations). The standard does not say how the 57
octets of an Ed448 key go into the 56 of the field, so nothing is generated for such vehicles.
"""

from __future__ import annotations

import base64
import json
from datetime import timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ed448, x448
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from backend_client.opcp import ContractData, OpcpError
from backends.pki.authorities import Order
from backends.pools.editions import ISO20
from ports.errors import RigError
from tests.backends.opcp.story import EMAID, PCID, SMALL, Story
from tests.compliance.opcp_schemas import FOLDER
from v2g.certificates import load, public_key
from v2g.contract_key import X448, ContractKeyError, SealedKey, agreement, open_key
from v2g.exi.codec import decode
from v2g.xmldsig import verify_message

if not FOLDER.is_dir():
    pytest.skip("../shared/data/opcp is not there", allow_module_level=True)

VECTORS = json.loads((FOLDER.parent / "kat" / "keywrap.json").read_text(encoding="utf-8"))["iso20"]
VECTOR = next(one for one in VECTORS if one["ECDHCurve"] == "X448")
SEALED = base64.b64decode(VECTOR["X448_EncryptedPrivateKey"])
POINT = base64.b64decode(VECTOR["DHPublicKey"])


async def test_a_contract_with_the_x448_envelope_reaches_its_vehicle(story: Story) -> None:
    world = story.world
    await world.add_pki("ed448", "iso20-strict", "ed448")
    vehicle = await world.vehicle("ed448", PCID, namespace=ISO20)
    assert isinstance(vehicle.key, ed448.Ed448PrivateKey)
    await world.publish(story.oem, vehicle)
    issued = await world.authorities.issue(Order(realm="ed448", kind="contract", common_name=EMAID), actor="mo")
    leaf, sub_2, sub_1 = (one.certificate for one in issued.chain[:3])
    await story.mo.sign_contract(ContractData(leaf, sub_1, sub_2, SEALED, POINT), pcid=PCID, namespace=ISO20)
    (answer,) = await story.cpo.request_contract(vehicle.request([world.root_id("ed448")]), namespace=ISO20)
    assert answer.available
    assert answer.note.startswith("unconfirmed")
    message: Any = decode("iso20_common", answer.message)
    provider = public_key(load(message.CPSCertificateChain.Certificate))
    assert isinstance(provider, ed448.Ed448PublicKey)
    assert verify_message(message, provider).suite.name == "Ed448"
    data = message.SignedInstallationData
    assert (data.ECDHCurve, data.ContractCertificateChain.Certificate) == ("X448", leaf)
    assert data.SECP521_EncryptedPrivateKey is None
    theirs: Any = load_pem_private_key(VECTOR["oem_private"].encode(), None)
    contract = x448.X448PrivateKey.from_private_bytes(bytes.fromhex(VECTOR["contract_scalar"]))
    sealed, aad = SealedKey(data.X448_EncryptedPrivateKey, data.DHPublicKey), bytes.fromhex(VECTOR["aad"])
    key = open_key(X448, sealed, agreement(theirs), contract.public_key(), aad)
    assert isinstance(key, x448.X448PrivateKey)
    assert key.private_bytes_raw() == contract.private_bytes_raw()
    with pytest.raises(ContractKeyError, match="authentication failed"):
        open_key(X448, sealed, agreement(theirs), contract.public_key(), aad[:-1] + b"X")


async def test_nothing_is_generated_for_an_ed448_vehicle(story: Story) -> None:
    world = story.world
    await world.add_pki("ed448", "iso20-strict", "ed448")
    vehicle = await world.vehicle("ed448", PCID, namespace=ISO20)
    await world.publish(story.oem, vehicle)
    now = world.clock.now()
    with pytest.raises(OpcpError) as refused:
        await story.small_mo.generate_contract(SMALL, PCID, now, now + timedelta(days=30), namespace=ISO20)
    assert refused.value.status == 400
    assert refused.value.messages == (
        "No contract can be generated for the key of this provisioning certificate.",
        "it is ed448, generated contracts are sealed for secp521r1",
    )
    with pytest.raises(RigError, match="no certificate"):
        await world.authorities.find(SMALL)
