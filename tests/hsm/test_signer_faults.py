"""The signer that fails on purpose."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_der_public_key

from hsm.file_signer import FileSigner, make_key_file
from hsm.signer_faults import FAULTS, BreakableSigner
from ocmf.curves import CURVES
from ports.errors import LocalError, RigError
from tests.doubles import ManualClock


@pytest.fixture
def signer(tmp_path: Path) -> BreakableSigner:
    make_key_file(tmp_path / "key.pem", CURVES["secp256r1"])
    return BreakableSigner(FileSigner(tmp_path / "key.pem", "key"), ManualClock())


async def verify(signer: BreakableSigner, message: bytes) -> None:
    key = load_der_public_key((await signer.identity()).public_key)
    assert isinstance(key, ec.EllipticCurvePublicKey)
    key.verify(await signer.sign(message), message, ec.ECDSA(hashes.SHA256()))


@pytest.mark.parametrize("name", [kind.name for kind in FAULTS.values() if kind.message])
async def test_a_fault_lasts_until_it_is_undone(signer: BreakableSigner, name: str) -> None:
    undo = signer.inject(name)
    for _ in range(2):
        with pytest.raises(RigError, match="CKR_"):
            await signer.sign(b"octets")
    undo()
    undo()
    await verify(signer, b"octets")


async def test_a_counted_fault_ends_by_itself(signer: BreakableSigner) -> None:
    signer.inject("session_invalid", times=2)
    for _ in range(2):
        with pytest.raises(RigError):
            await signer.sign(b"octets")
    await verify(signer, b"octets")


async def test_a_garbled_signature_does_not_verify(signer: BreakableSigner) -> None:
    signer.inject("garbled", times=1)
    with pytest.raises(InvalidSignature):
        await verify(signer, b"octets")
    await verify(signer, b"octets")


async def test_what_is_not_known_is_refused(signer: BreakableSigner) -> None:
    with pytest.raises(LocalError, match="no token fault"):
        signer.inject("tired")
