"""The vehicle's certificates: what is chosen, what survives, and that a kill leaves no half contract."""

from __future__ import annotations

import itertools
import os
import signal
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from types import FrameType

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from firmware_sim.vehicle import private_files
from firmware_sim.vehicle.certificate_store import CertificateStore, read_identity, root_ids
from ports.errors import RigError
from tests.v2g.session.pki import EMAID, OTHER_EMAID, make_pki
from tests.v2g.test_certificates import NOW, Issued
from v2g.certificates import CertificateError, load

YEAR = timedelta(days=365)


def chain(leaf: Issued) -> tuple[bytes, ...]:
    return (leaf.der, make_pki().mo_sub_2.der, make_pki().mo_sub_1.der)


def contract(emaid: str = EMAID, **how: object) -> Issued:
    return Issued(emaid, "MO", "contract", make_pki().mo_sub_2, **how)


def filled(folder: Path | None) -> CertificateStore:
    pki = make_pki()
    store = CertificateStore(folder)
    store.add_root(load(pki.v2g_root.der))
    store.set_provisioning((pki.provisioning.der, pki.oem_root.der), pki.provisioning.key)
    store.add_contract(chain(pki.contract), pki.contract.key)
    store.add_contract(chain(pki.new_contract), pki.new_contract.key, OTHER_EMAID)
    return store


@pytest.mark.parametrize("durable", [True, False])
def test_it_holds_roots_provisioning_and_contracts_that_sign_and_agree(tmp_path: Path, durable: bool) -> None:
    pki, store = make_pki(), filled(tmp_path / "store" if durable else None)
    if durable:
        store = CertificateStore(tmp_path / "store")
    assert [one.dump() for one in store.roots] == [pki.v2g_root.der]
    assert [one.emaid for one in store.contracts] == [EMAID, OTHER_EMAID]
    first = store.contracts[0].credentials
    assert first.certificates == chain(pki.contract)
    pki.contract.key.public_key().verify(first.sign(b"x"), b"x", ec.ECDSA(pki.contract.built.signature_hash_algorithm))
    other = ec.generate_private_key(ec.SECP256R1())
    point = pki.contract.key.public_key().public_numbers()
    assert first.agree is not None
    theirs = b"\4" + point.x.to_bytes(32, "big") + point.y.to_bytes(32, "big")
    ours = other.public_key().public_numbers()
    mine = b"\4" + ours.x.to_bytes(32, "big") + ours.y.to_bytes(32, "big")
    assert first.agree(mine) == other.exchange(
        ec.ECDH(), ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), theirs)
    )
    assert store.provisioning is not None
    assert store.provisioning.certificate == pki.provisioning.der
    assert len(store.root_files) == (1 if durable else 0)


def test_root_ids_are_issuer_and_serial_number() -> None:
    root = make_pki().v2g_root
    expected = ("DC=V2G,O=Test,CN=V2G Root", root.built.serial_number)
    assert root_ids([load(root.der)]) == (expected,)
    assert root_ids([load(root.der)] * 21) == (expected,) * 20


def test_files_are_for_the_owner_only(tmp_path: Path) -> None:
    filled(tmp_path / "store")
    files = [path for path in (tmp_path / "store").rglob("*") if path.is_file()]
    assert len(files) == 4
    assert {path.stat().st_mode & 0o777 for path in files} == {0o600}
    assert (tmp_path / "store").stat().st_mode & 0o777 == 0o700


def test_no_key_in_what_is_shown() -> None:
    store = filled(None)
    number = str(make_pki().contract.key.private_numbers().private_value)
    assert "PRIVATE" not in repr(store.contracts)
    assert number not in repr(store.contracts)
    assert "Key object" not in repr(store.contracts)


# which contract

CHOICES = {
    "only one": ({"A": (-YEAR, YEAR)}, "", "A"),
    "the longest": ({"A": (-YEAR, YEAR), "B": (-YEAR, 2 * YEAR)}, "", "B"),
    "preferred before longest": ({"A": (-YEAR, YEAR), "B": (-YEAR, 2 * YEAR)}, "de-aaa-caaaaaaa1", "A"),
    "preferred has expired": ({"A": (-2 * YEAR, -YEAR), "B": (-YEAR, YEAR)}, "DEAAACAAAAAAA1", "B"),
    "not valid yet": ({"A": (YEAR, 2 * YEAR)}, "", None),
    "none": ({}, "", None),
}


@pytest.mark.parametrize("case", CHOICES)
def test_the_contract_to_pay_with(case: str) -> None:
    have, preferred, expected = CHOICES[case]
    store = CertificateStore()
    for letter, (begins, ends) in have.items():
        # `Issued` begins a year before `start` and ends `years` after it
        start = NOW + begins + YEAR
        leaf = contract(f"DEAAACAAAAAA{letter}1", start=start, years=round((ends - begins - YEAR) / YEAR))
        store.add_contract((leaf.der,), leaf.key)
    found = store.choose(NOW, preferred)
    assert (found and found.emaid) == (expected and f"DEAAACAAAAAA{expected}1")


def test_valid_to_the_last_second_and_not_longer_than_its_sub_cas() -> None:
    store = CertificateStore()
    leaf = contract()
    kept = store.add_contract((leaf.der,), leaf.key)
    assert kept.not_after == leaf.built.not_valid_after_utc
    assert store.choose(kept.not_after) is kept
    assert store.choose(kept.not_after + timedelta(seconds=1)) is None
    sub = Issued("MO Sub", "MO", "ca", make_pki().mo_sub_1, years=1)
    late = Issued(EMAID, "MO", "contract", sub, years=3)
    assert store.add_contract((late.der, sub.der), late.key).not_after == sub.built.not_valid_after_utc


def test_a_new_contract_takes_the_place_of_the_old_one(tmp_path: Path) -> None:
    store = filled(tmp_path)
    new = contract()
    store.add_contract((new.der,), new.key, "DE-ABC-C123ABC56")
    for one in (store, CertificateStore(tmp_path)):
        assert [found.credentials.certificates[0] for found in one.contracts] == [new.der, make_pki().new_contract.der]
    store.remove_contract("de-abc-c123abc56")
    store.remove_contract("DEXXXC00000000")
    assert [one.emaid for one in CertificateStore(tmp_path).contracts] == [OTHER_EMAID]


# what is refused


def test_what_is_no_contract_is_refused_and_the_old_one_stays(tmp_path: Path) -> None:
    pki, store = make_pki(), filled(tmp_path)
    evil = Issued("../../evil", "MO", "contract", pki.mo_sub_2)
    cases: list[tuple[Callable[[], object], type[Exception], str]] = [
        (lambda: store.add_contract(chain(pki.contract), pki.cps.key), RigError, "private key does not belong"),
        (lambda: store.add_contract(chain(pki.contract), pki.contract.key, OTHER_EMAID), RigError, "is of 'DEABCC123"),
        (lambda: store.add_contract((evil.der,), evil.key), RigError, "is no EMAID"),
        (lambda: store.add_contract((b"\x30\x00",), pki.contract.key), CertificateError, "cannot be read"),
        (lambda: store.set_provisioning((pki.provisioning.der,), pki.cps.key), RigError, "is not its own"),
    ]
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.pem")}
    for refused, kind, text in cases:
        with pytest.raises(kind, match=text):
            refused()
    assert {path: path.read_bytes() for path in tmp_path.rglob("*.pem")} == before


@pytest.mark.parametrize(
    ("name", "text"),
    [(f"contracts/{EMAID}.pem", "holds no certificate|cannot be read"), ("provisioning.pem", "cannot be read|no cert")],
)
def test_a_damaged_file_is_named(tmp_path: Path, name: str, text: str) -> None:
    filled(tmp_path)
    (tmp_path / name).write_bytes((tmp_path / name).read_bytes()[:150])
    with pytest.raises(RigError, match=text) as caught:
        CertificateStore(tmp_path)
    assert str(tmp_path / name) in str(caught.value)


def test_a_full_disk_leaves_the_old_contract(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = filled(tmp_path)

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(private_files.os, "fsync", full)
    new = contract()
    with pytest.raises(RigError, match="No space left"):
        store.add_contract((new.der,), new.key)
    monkeypatch.undo()
    for one in (store, CertificateStore(tmp_path)):
        assert one.contracts[0].credentials.certificates[0] == make_pki().contract.der
    assert not list(tmp_path.rglob("*unfinished"))


# files of others


def test_the_files_of_pki_export(tmp_path: Path) -> None:
    source = filled(tmp_path / "store")
    files = tmp_path / "files"
    files.mkdir()
    (files / "v2g-root.pem").write_bytes(source.root_files[0].read_bytes())
    for kind, path in (("provisioning", "provisioning.pem"), ("contract", f"contracts/{EMAID}.pem")):
        key, *certificates = (tmp_path / "store" / path).read_text().partition("-----BEGIN CERTIFICATE")
        (files / f"{kind}.key").write_text(key)
        (files / f"{kind}.chain.pem").write_text("".join(certificates))
    taken = CertificateStore()
    taken.import_pki(files)
    assert [one.emaid for one in taken.contracts] == [EMAID]
    assert taken.provisioning is not None
    assert taken.root_ids == source.root_ids
    without = CertificateStore()
    without.import_pki(files, contract=False)
    assert without.contracts == ()
    assert read_identity(tmp_path, "contract") is None


# a kill


def add_until(step: int, folder: Path, new: Issued) -> bool:
    """Add a contract in a process that is killed at its so manieth call of the operating system; whether it was."""
    child = os.fork()
    if child == 0:
        calls = 0

        def watch(frame: FrameType, event: str, _argument: object) -> None:
            nonlocal calls
            calls += event == "c_call" and frame.f_code.co_filename == private_files.__file__
            if calls == step:
                os.kill(os.getpid(), signal.SIGKILL)

        store = CertificateStore(folder)
        sys.setprofile(watch)
        store.add_contract(chain(new), new.key)
        os._exit(0)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])


@pytest.mark.parametrize("old", [True, False])
def test_a_kill_at_any_step_leaves_the_old_contract_or_the_new_one(tmp_path: Path, old: bool) -> None:
    new = contract()
    before = make_pki().contract.der if old else None
    found = []
    for step in itertools.count(1):
        folder = tmp_path / f"store{step}"
        if old:
            filled(folder)
        killed = add_until(step, folder, new)
        after = {one.emaid: one.credentials.certificates[0] for one in CertificateStore(folder).contracts}
        found.append(after.get(EMAID))
        assert not list(folder.rglob("*unfinished"))
        if not killed:
            break
    assert len(found) > 6
    assert set(found) == {before, new.der}
    assert found == sorted(found, key=lambda one: one == new.der)  # once the new one is there, it stays
