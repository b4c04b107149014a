"""The QR code of a public key, read by zbar (Debian package zbar-tools), which is not ours."""

import shutil
import subprocess
from xml.etree import ElementTree

import pytest

from hsm.public_key_qr import qr_code, qr_png, qr_svg, qr_text


@pytest.mark.parametrize("curve", ["secp256r1", "brainpoolP384r1"])
def test_zbar_reads_the_key(prepared, tmp_path, curve):
    if not shutil.which("zbarimg"):
        pytest.skip("zbarimg (Debian package zbar-tools) is not installed")
    key = prepared.keys[curve]
    (tmp_path / "key.png").write_bytes(qr_png(key))
    run = subprocess.run(
        ["zbarimg", "--quiet", "--raw", tmp_path / "key.png"], capture_output=True, text=True, check=True
    )
    assert run.stdout.strip() == key.hex()


def test_forms(prepared):
    key = prepared.keys["billing"]
    assert qr_code(key).mode == "alphanumeric"
    assert ElementTree.fromstring(qr_svg(key)).tag.endswith("svg")
    assert len(qr_text(key).splitlines()) > 10
