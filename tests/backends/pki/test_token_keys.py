"""CA keys in a token (SoftHSM): P-256 and P-521 sign there; Ed448 is refused by name; the folder finds them again."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest

from backends.pki.authorities import CertificateAuthorities, Order
from backends.pki.ca_keys import FileKeys, Passphrase
from backends.pki.crl import sign_crl
from backends.pki.ocsp_responder import OcspResponder
from backends.pki.revocation import Status, ocsp_request, read_ocsp_response
from backends.pki.token_keys import TokenKeys
from backends.store.database import Database
from hil_rigs.real_clock import RealClock
from hsm.errors import TokenError
from hsm.pin import PinSource
from hsm.provision import Module
from hsm.softhsm import find_module, token_folder
from plugbench.__main__ import main
from v2g.certificate_profiles import ISO2_STRICT, Role
from v2g.certificates import check_chain, load, load_all

MODULE = find_module()
if MODULE is None:
    pytest.skip("SoftHSM (Debian package softhsm2) is not installed", allow_module_level=True)


@pytest.fixture
def token(tmp_path: Path) -> TokenKeys:
    pin = tmp_path / "pin"
    pin.write_text("648219\n")
    pin.chmod(0o600)
    assert MODULE is not None
    module = Module(MODULE, token_folder(tmp_path / "softhsm"))
    module.init_token("pki", PinSource(pin))
    return TokenKeys(module, "pki", PinSource(pin), RealClock())


async def test_ca_keys_sign_in_the_token(tmp_path: Path, token: TokenKeys) -> None:
    clock = RealClock()
    database = Database(f"sqlite:///{tmp_path / 'pki.db'}", clock)
    (tmp_path / "passphrase").write_text("open sesame")
    (tmp_path / "passphrase").chmod(0o600)
    files = FileKeys(tmp_path / "keys", Passphrase(tmp_path / "passphrase"))
    authorities = CertificateAuthorities(database, clock, files, token=token, ocsp_url="http://x.test/ocsp")
    try:
        await authorities.add_realm("p256", "iso2-strict", actor="t")
        for kind in ("v2g-root", "cpo-sub1", "cpo-sub2", "secc"):
            leaf = await authorities.issue(Order(realm="p256", kind=kind), actor="t")
        assert [one.key_reference.partition(":")[0] for one in leaf.chain] == ["file", "token", "token", "token"]
        at = clock.now()
        check_chain(leaf.certificate, leaf.sub_cas, [leaf.root], role=Role.SECC, profile=ISO2_STRICT, at=at)
        answer = await OcspResponder(authorities).answer(ocsp_request(leaf.certificate, leaf.sub_cas[0]))
        verdict = await read_ocsp_response(answer.der, leaf.certificate, leaf.sub_cas[0], clock.now())
        assert verdict.status is Status.GOOD
        assert await sign_crl(authorities, leaf.chain[1])

        await authorities.add_realm("p521", "iso20-strict", actor="t")
        root = await authorities.issue(Order(realm="p521", kind="mo-root"), actor="t")
        assert root.stored.key_reference.startswith("token:")
        await authorities.close()
        below = await authorities.issue(Order(realm="p521", kind="mo-sub1"), actor="t")  # found again in the token
        assert below.certificate["signature_algorithm"]["algorithm"].native == "sha512_ecdsa"

        await authorities.add_realm("ed448", "iso20-strict", "ed448", actor="t")
        with pytest.raises(TokenError, match="ed448 keys cannot be made in a token"):
            await authorities.issue(Order(realm="ed448", kind="mo-root"), actor="t")
    finally:
        await authorities.close()
        await database.close()


def test_a_whole_pki_from_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    hsm, folder = tmp_path / "hsm", tmp_path / "pki"
    assert main(["hsm", "init", "--softhsm", str(hsm), "--token", "cas", "--key", "unused"]) == 0
    assert main(["pki", "init", str(folder), "--token", "cas", "--softhsm", str(hsm)]) == 0
    shutil.rmtree(folder / "certs")
    capsys.readouterr()
    assert main(["pki", "issue", str(folder), "secc"]) == 0
    chain = next((folder / "certs" / "iso2-strict").glob("secc-*.chain.pem"))
    assert main(["pki", "export", str(folder), str(tmp_path / "out")]) == 0
    leaf, *subs = load_all(chain.read_bytes())
    root = load((tmp_path / "out" / "v2g-root.pem").read_bytes())
    check_chain(leaf, subs, [root], role=Role.SECC, profile=ISO2_STRICT, at=datetime.now(UTC))
    assert not (tmp_path / "out" / "v2g-root.key").exists()
