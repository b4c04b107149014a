"""The key in a file."""

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from hsm.errors import TokenError
from hsm.file_signer import FILE_CURVES, FileSigner, make_key_file
from ocmf.curves import CURVES
from ocmf.der import decode_signature
from ocmf.keys import decode_public_key
from ocmf.verify import verify_signature


@pytest.mark.parametrize("curve", FILE_CURVES)
async def test_every_curve(tmp_path, curve):
    path = tmp_path / "keys" / "gateway.pem"
    make_key_file(path, CURVES[curve])
    assert path.stat().st_mode & 0o777 == 0o600
    signer = FileSigner(path)
    identity = await signer.identity()
    assert (identity.curve, identity.label, identity.is_hsm) == (curve, "gateway", False)
    assert "not an HSM" in identity.description
    for _ in range(8):
        signature = await signer.sign(b"message")
        verify_signature(b"message", signature, decode_public_key(identity.public_key))
        assert decode_signature(signature)[1] <= CURVES[curve].order // 2
    await signer.close()


def test_nothing_is_overwritten(tmp_path):
    make_key_file(tmp_path / "key", CURVES["secp256r1"])
    with pytest.raises(TokenError, match="File exists"):
        make_key_file(tmp_path / "key", CURVES["secp256r1"])


def test_curve_that_files_lack(tmp_path):
    with pytest.raises(TokenError, match="no file key on secp192k1"):
        make_key_file(tmp_path / "key", CURVES["secp192k1"])


def test_broken_files(tmp_path):
    path = tmp_path / "key"
    with pytest.raises(TokenError, match="No such file"):
        FileSigner(path)
    path.write_text("no key", encoding="utf-8")
    path.chmod(0o600)
    with pytest.raises(TokenError, match="no unencrypted private key"):
        FileSigner(path)
    other = rsa.generate_private_key(65537, 2048)
    path.write_bytes(other.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    with pytest.raises(TokenError, match="holds no key on"):
        FileSigner(path)
    path.chmod(0o644)
    with pytest.raises(TokenError, match="chmod 600"):
        FileSigner(path)
