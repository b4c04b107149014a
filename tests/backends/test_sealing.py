from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest

from backends import sealing
from backends.sealing import Sealer, hash_secret, secret_matches
from ports.errors import RigError


def test_a_sealed_secret_opens_with_the_same_file(tmp_path: Path) -> None:
    path = tmp_path / "master.key"
    sealed = Sealer.from_file(path).seal(b"secret", "webhook")
    assert b"secret" not in sealed
    assert Sealer.from_file(path).open(sealed, "webhook") == b"secret"
    assert path.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("purpose", ["other", ""])
def test_another_purpose_does_not_open_it(purpose: str) -> None:
    sealer = Sealer(bytes(32))
    with pytest.raises(RigError, match="does not open"):
        sealer.open(sealer.seal(b"secret", "webhook"), purpose)


def test_every_flipped_octet_is_noticed() -> None:
    sealer = Sealer(bytes(32))
    sealed = bytearray(sealer.seal(b"secret", "p"))
    for index in range(len(sealed)):
        sealed[index] ^= 1
        with pytest.raises(RigError):
            sealer.open(bytes(sealed), "p")
        sealed[index] ^= 1


def test_a_short_key_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "master.key"
    path.write_bytes(b"short")
    with pytest.raises(RigError, match=r"master\.key: .* has 5"):
        Sealer.from_file(path)


def test_hashes_are_salted_and_match_only_their_secret() -> None:
    hashed = hash_secret("s3cret")
    assert hashed != hash_secret("s3cret")
    assert secret_matches("s3cret", hashed)
    assert not secret_matches("s3cre", hashed)


def test_hashes_as_shipped_are_dear() -> None:
    spec = spec_from_file_location("sealing_as_shipped", sealing.__file__)
    assert spec is not None
    assert spec.loader is not None
    shipped = module_from_spec(spec)
    spec.loader.exec_module(shipped)
    assert 128 * shipped.SCRYPT_N * shipped.SCRYPT_R >= 2**24  # octets of memory, RFC 7914 section 2
    hashed = shipped.hash_secret("s3cret")
    assert shipped.secret_matches("s3cret", hashed)
    assert not shipped.secret_matches("s3cre", hashed)
    assert not secret_matches("s3cret", hashed), "the other tests have cheaper ones"
