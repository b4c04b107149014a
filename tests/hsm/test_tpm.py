"""A second kind of token: a TPM (swtpm) behind libtpm2-pkcs11, which locks after wrong PINs and has fewer curves.

Debian packages: swtpm, libtpm2-pkcs11-1.
"""

from __future__ import annotations

import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from hsm.errors import Remedy, TokenError
from hsm.pin import PinSource
from hsm.provision import Module
from hsm.token_signer import TokenKey
from ocmf.curves import CURVES
from ocmf.verify import verify_signature


def _two_ports() -> int:
    """A port whose next one is free too: swtpm's control port must follow its data port."""
    while True:
        with socket.socket() as first, socket.socket() as second:
            first.bind(("127.0.0.1", 0))
            port = int(first.getsockname()[1])
            try:
                second.bind(("127.0.0.1", port + 1))
            except (OSError, OverflowError):
                continue
            return port


@pytest.fixture
def tpm(tmp_path: Path) -> Iterator[tuple[Module, PinSource]]:
    modules = sorted(Path("/usr/lib").glob("*/pkcs11/libtpm2_pkcs11.so")) + sorted(
        Path("/usr/lib").glob("*/libtpm2_pkcs11.so.1")
    )
    if not (shutil.which("swtpm") and modules):
        pytest.skip("swtpm and libtpm2-pkcs11 (Debian packages swtpm, libtpm2-pkcs11-1) are not installed")
    state, store = tmp_path / "tpm", tmp_path / "store"
    state.mkdir()
    store.mkdir()
    port = _two_ports()
    server = subprocess.Popen(
        [
            "swtpm", "socket", "--tpm2", "--tpmstate", f"dir={state}",
            "--server", f"type=tcp,port={port},bindaddr=127.0.0.1", "--ctrl", f"type=tcp,port={port + 1}",
            "--flags", "not-need-init,startup-clear", "--pid", f"file={tmp_path / 'pid'}",
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    while True:  # until it listens
        assert server.poll() is None, "swtpm ended"
        try:
            socket.create_connection(("127.0.0.1", port + 1), timeout=1).close()
            break
        except OSError:
            continue
    environment = {"TPM2_PKCS11_STORE": str(store), "TPM2_PKCS11_TCTI": f"swtpm:host=127.0.0.1,port={port}"}
    secret = tmp_path / "pin"
    secret.write_text("648219", encoding="utf-8")
    secret.chmod(0o600)
    yield Module(modules[0], environment), PinSource(secret)
    server.kill()
    server.wait()


async def test_tpm_from_blank_to_signature_and_wrong_pin(tpm, new_signer, tmp_path):
    module, pin = tpm
    module.init_token("tpm", pin)
    public = module.generate_key("tpm", "billing", CURVES["secp256r1"], pin)
    with pytest.raises(TokenError) as unsupported:
        module.generate_key("tpm", "other", CURVES["brainpoolP256r1"], pin, b"\x02")
    assert (unsupported.value.remedy, unsupported.value.ckr) == (Remedy.FATAL, 0x140)
    key = TokenKey(module=module.path, token="tpm", key="billing", pin=pin, environment=module.environment)
    signer = new_signer(key)
    for number in range(3):
        message = bytes([number])
        verify_signature(message, await signer.sign(message), public)
    await signer.close()

    wrong = tmp_path / "wrong"
    wrong.write_text("111111", encoding="utf-8")
    wrong.chmod(0o600)
    refused_signer = new_signer(
        TokenKey(module=module.path, token="tpm", key="billing", pin=PinSource(wrong), environment=module.environment)
    )
    for _ in range(5):  # one attempt reaches the token, which would lock at the third
        with pytest.raises(TokenError) as error:
            await refused_signer.sign(b"x")
        assert (error.value.remedy, error.value.ckr) == (Remedy.OPERATOR, 0xA0)
    await refused_signer.close()
    verify_signature(b"x", await new_signer(key).sign(b"x"), public)
