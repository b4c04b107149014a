"""Keys of contracts are made in a child process that ends with them."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_public_key

from backends.pki.template import key_identifier
from backends.pools.contract_key_worker import ContractKeyWorker
from ports.errors import LocalError
from tests.doubles import ManualClock
from v2g.contract_key import ISO2, SECP521, Envelope, additional_data, agreement, open_key

PCID = "PLBPROVCERT000001"


@pytest.fixture
async def worker() -> AsyncIterator[ContractKeyWorker]:
    made = ContractKeyWorker(ManualClock())
    yield made
    await made.close()


def spki(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


@pytest.mark.parametrize(("envelope", "curve"), [(ISO2, ec.SECP256R1()), (SECP521, ec.SECP521R1())])
async def test_only_the_vehicle_can_open_what_was_made(
    worker: ContractKeyWorker, envelope: Envelope, curve: ec.EllipticCurve
) -> None:
    vehicle = ec.generate_private_key(curve)
    made = [await worker.make(envelope, [spki(vehicle)], PCID, 8) for _ in range(2)]
    assert made[0].public_key != made[1].public_key
    for one in made:
        public = load_der_public_key(one.public_key)
        aad = additional_data(PCID, key_identifier(one.public_key, 8)) if envelope.tag_length else b""
        key = open_key(envelope, one.sealed[0], agreement(vehicle), public, aad)  # type: ignore[arg-type]
        assert key.public_key() == public


async def test_a_vehicle_with_another_curve_is_refused_and_the_worker_lives_on(worker: ContractKeyWorker) -> None:
    wrong, right = (ec.generate_private_key(curve) for curve in (ec.SECP384R1(), ec.SECP256R1()))
    with pytest.raises(LocalError, match="the vehicle's key is secp384r1"):
        await worker.make(ISO2, [spki(wrong)], PCID, 8)
    with pytest.raises(LocalError):
        await worker.make(ISO2, [b"no key"], PCID, 8)
    assert (await worker.make(ISO2, [spki(right)], PCID, 8)).public_key


async def test_a_worker_that_died_is_started_again(worker: ContractKeyWorker) -> None:
    vehicle = ec.generate_private_key(ec.SECP256R1())
    await worker.make(ISO2, [spki(vehicle)], PCID, 8)
    assert worker._process is not None
    worker._process.kill()
    await worker._process.wait()
    assert (await worker.make(ISO2, [spki(vehicle)], PCID, 8)).public_key
