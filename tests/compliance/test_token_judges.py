"""Our token keys and signatures before foreign judges.

pkcs11-tool (Debian package opensc) looks at the token, OpenSSL (Debian package openssl) verifies what the worker
signed. The token is SoftHSM (Debian package softhsm2).
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_public_key

from hil_rigs.real_clock import RealClock
from hsm.pin import PinSource
from hsm.provision import Module
from hsm.softhsm import find_module, token_folder
from hsm.token_signer import TokenKey, TokenSigner
from ocmf.curves import CURVES
from ocmf.keys import decode_public_key

MESSAGE = b'{"FV":"1.0","PG":"T1"}'
TABLE_22 = [curve.name for curve in CURVES.values() if curve.in_table]


@pytest.fixture(scope="module")
def token(tmp_path_factory: pytest.TempPathFactory) -> tuple[Module, PinSource]:
    """A token with one key per curve of OCMF's table 22."""
    path = find_module()
    if path is None:
        pytest.skip("SoftHSM (Debian package softhsm2) is not installed")
    folder = tmp_path_factory.mktemp("token")
    module = Module(path, token_folder(folder))
    secret = folder / "pin"
    secret.write_text("648219", encoding="utf-8")
    secret.chmod(0o600)
    pin = PinSource(secret)
    module.init_token("judged", pin)
    for number, name in enumerate(TABLE_22, start=1):
        module.generate_key("judged", name, CURVES[name], pin, bytes([number]))
    return module, pin


def run(*command: str | Path, environment: Mapping[str, str] | None = None, code: int = 0) -> str:
    done = subprocess.run(
        command, env={**os.environ, **(environment or {})}, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("curve", TABLE_22)
async def test_pkcs11_tool_lists_the_key_that_the_worker_signs_with(
    token: tuple[Module, PinSource], curve: str
) -> None:
    if not shutil.which("pkcs11-tool"):
        pytest.skip("pkcs11-tool (Debian package opensc) is not installed")
    module, pin = token
    signer = TokenSigner(
        TokenKey(module=module.path, token="judged", key=curve, pin=pin, environment=module.environment), RealClock()
    )
    identity = await signer.identity()
    await signer.close()
    tool = ("pkcs11-tool", "--module", module.path, "--token-label", "judged", "--login", "--pin", "648219")
    listed = run(*tool, "--list-objects", environment=module.environment)
    objects = [
        part for part in re.split(r"(?=P(?:ublic|rivate) Key Object)", listed) if f"label:      {curve}\n" in part
    ]
    (public,) = (part for part in objects if part.startswith("Public"))
    (private,) = (part for part in objects if part.startswith("Private"))
    point = re.search(r"EC_POINT:\s*([0-9a-f]+)", public)
    assert point is not None
    assert decode_public_key(identity.public_key).point.hex() in point[1]
    assert "never extractable" in private
    assert "always sensitive" in private
    assert "sign" in private


@pytest.mark.parametrize("curve", TABLE_22)
async def test_openssl_verifies_what_the_worker_signed(
    token: tuple[Module, PinSource], tmp_path: Path, curve: str
) -> None:
    if not shutil.which("openssl"):
        pytest.skip("openssl (Debian package openssl) is not installed")
    module, pin = token
    signer = TokenSigner(
        TokenKey(module=module.path, token="judged", key=curve, pin=pin, environment=module.environment), RealClock()
    )
    identity = await signer.identity()
    files = {name: tmp_path / name for name in ("key.pem", "signature", "message", "changed")}
    files["key.pem"].write_text(decode_public_key(identity.public_key).pem(), encoding="ascii")
    files["signature"].write_bytes(await signer.sign(MESSAGE))
    files["message"].write_bytes(MESSAGE)
    files["changed"].write_bytes(MESSAGE + b" ")
    await signer.close()
    verify = ("openssl", "dgst", "-sha256", "-verify", files["key.pem"], "-signature", files["signature"])
    assert "Verified OK" in run(*verify, files["message"])
    assert "Verification failure" in run(*verify, files["changed"], code=1).replace("Failure", "failure")


@pytest.mark.parametrize("curve", [name for name in TABLE_22 if name != "secp192k1"])
def test_cryptography_reads_our_public_keys(token: tuple[Module, PinSource], curve: str) -> None:
    _, (found,) = token[0].list_tokens()
    key = next(key.public for key in found.keys if key.label == curve)
    assert key is not None
    theirs = load_der_public_key(key.spki).public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    assert theirs == key.spki
