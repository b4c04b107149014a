"""Whom our TLS clients trust."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest

from backend_client.tls_trust import tls_trust
from ports.errors import RigError
from tests.tls import tls_pem


def test_without_a_file_the_roots_of_this_machine_are_trusted():
    assert tls_trust() is tls_trust()
    assert tls_trust().verify_mode is ssl.CERT_REQUIRED
    assert tls_trust().check_hostname


def test_a_file_is_trusted_alone(tmp_path: Path):
    root = tmp_path / "root.pem"
    root.write_bytes(tls_pem()[1])
    (trusted,) = tls_trust(root).get_ca_certs()
    assert trusted["subject"] == trusted["issuer"]


@pytest.mark.parametrize("content", [None, b"", b"no certificate"])
def test_files_that_cannot_be_used_are_named(tmp_path: Path, content: bytes | None):
    root = tmp_path / "root.pem"
    if content is not None:
        root.write_bytes(content)
    with pytest.raises(RigError, match=r"cannot use .*root\.pem for TLS"):
        tls_trust(root)
    with pytest.raises(RigError, match=r"cannot use .*root\.pem, .*key\.pem for TLS"):
        tls_trust(None, (root, tmp_path / "key.pem"))
