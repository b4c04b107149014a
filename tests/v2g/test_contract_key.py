"""Envelopes of contract keys: round trips and refusals. The published vectors are in tests/compliance."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed448, x448
from hypothesis import given, settings
from hypothesis import strategies as st

from ports.errors import LocalError
from v2g.contract_key import (
    ISO2,
    SECP521,
    X448,
    ContractKeyError,
    Envelope,
    SealedKey,
    additional_data,
    agreement,
    open_key,
    seal_key,
)

AAD = additional_data("WBAPCID0123456789A", bytes.fromhex("4be3524bcca6c957"))


def new_key(envelope: Envelope):
    return x448.X448PrivateKey.generate() if envelope.curve is None else ec.generate_private_key(envelope.curve)


def aad_of(envelope: Envelope) -> bytes:
    return AAD if envelope.tag_length else b""


def raw(key) -> bytes | int:
    return key.private_bytes_raw() if isinstance(key, x448.X448PrivateKey) else key.private_numbers().private_value


KEYS = {envelope.name: (new_key(envelope), new_key(envelope)) for envelope in (ISO2, SECP521, X448)}


@pytest.mark.parametrize("envelope", [ISO2, SECP521, X448], ids=lambda e: e.name)
class TestEveryEnvelope:
    def test_what_is_sealed_opens(self, envelope: Envelope):
        contract, vehicle = KEYS[envelope.name]
        sealed = seal_key(envelope, contract, vehicle.public_key(), aad_of(envelope))
        assert len(sealed.encrypted_private_key) == envelope.field_length
        assert len(sealed.dh_public_key) == envelope.dh_public_key_length
        opened = open_key(envelope, sealed, agreement(vehicle), contract.public_key(), aad_of(envelope))
        assert raw(opened) == raw(contract)

    def test_no_two_envelopes_are_alike(self, envelope: Envelope):
        contract, vehicle = KEYS[envelope.name]
        one, other = (seal_key(envelope, contract, vehicle.public_key(), aad_of(envelope)) for _ in range(2))
        assert one.dh_public_key != other.dh_public_key
        assert one.encrypted_private_key != other.encrypted_private_key

    @settings(max_examples=60, deadline=None)
    @given(st.data())
    def test_a_flipped_bit_never_opens(self, envelope: Envelope, data):
        contract, vehicle = KEYS[envelope.name]
        sealed = seal_key(envelope, contract, vehicle.public_key(), aad_of(envelope))
        octets = bytearray(sealed.encrypted_private_key + sealed.dh_public_key)
        bit = data.draw(st.integers(0, len(octets) * 8 - 1))
        octets[bit // 8] ^= 1 << bit % 8
        broken = SealedKey(bytes(octets[: envelope.field_length]), bytes(octets[envelope.field_length :]))
        with pytest.raises(ContractKeyError):
            open_key(envelope, broken, agreement(vehicle), contract.public_key(), aad_of(envelope))

    def test_another_vehicle_cannot_open_it(self, envelope: Envelope):
        contract, vehicle = KEYS[envelope.name]
        sealed = seal_key(envelope, contract, vehicle.public_key(), aad_of(envelope))
        with pytest.raises(ContractKeyError, match=envelope.name):
            open_key(envelope, sealed, agreement(new_key(envelope)), contract.public_key(), aad_of(envelope))

    def test_the_key_of_another_certificate_is_refused(self, envelope: Envelope):
        contract, vehicle = KEYS[envelope.name]
        sealed = seal_key(envelope, contract, vehicle.public_key(), aad_of(envelope))
        with pytest.raises(ContractKeyError, match="does not belong to the contract certificate"):
            open_key(envelope, sealed, agreement(vehicle), new_key(envelope).public_key(), aad_of(envelope))

    @pytest.mark.parametrize("change", [b"", b"x"])
    def test_lengths_are_checked(self, envelope: Envelope, change: bytes):
        contract, vehicle = KEYS[envelope.name]
        sealed = seal_key(envelope, contract, vehicle.public_key(), aad_of(envelope))
        field, point = sealed.encrypted_private_key, sealed.dh_public_key
        for broken, complaint in (
            (SealedKey(field[1:] + change * 2, point), f"expected {envelope.field_length}"),
            (SealedKey(field, point[1:] + change * 2), f"expected {envelope.dh_public_key_length}"),
        ):
            with pytest.raises(ContractKeyError, match=complaint):
                open_key(envelope, broken, agreement(vehicle), contract.public_key(), aad_of(envelope))

    def test_keys_of_another_curve_are_our_fault(self, envelope: Envelope):
        contract, vehicle = KEYS[envelope.name]
        other = ec.generate_private_key(ec.SECP256K1())
        for first, second in ((other, vehicle), (contract, other)):
            with pytest.raises(LocalError, match="secp256k1"):
                seal_key(envelope, first, second.public_key(), aad_of(envelope))

    def test_additional_data_is_neither_forgotten_nor_invented(self, envelope: Envelope):
        contract, vehicle = KEYS[envelope.name]
        with pytest.raises(LocalError, match="additional data"):
            seal_key(envelope, contract, vehicle.public_key(), b"" if envelope.tag_length else AAD)

    def test_an_iv_of_the_wrong_length_is_refused(self, envelope: Envelope):
        contract, vehicle = KEYS[envelope.name]
        with pytest.raises(LocalError, match="IV"):
            seal_key(envelope, contract, vehicle.public_key(), aad_of(envelope), iv=b"short")

    def test_nothing_secret_is_shown(self, envelope: Envelope):
        contract, vehicle = KEYS[envelope.name]
        sealed = seal_key(envelope, contract, vehicle.public_key(), aad_of(envelope))
        assert sealed.encrypted_private_key.hex() not in repr(sealed)


@pytest.mark.parametrize("envelope", [SECP521, X448], ids=lambda e: e.name)
def test_another_pcid_does_not_open_it(envelope: Envelope):
    contract, vehicle = KEYS[envelope.name]
    sealed = seal_key(envelope, contract, vehicle.public_key(), AAD)
    with pytest.raises(ContractKeyError, match="PCID"):
        open_key(envelope, sealed, agreement(vehicle), contract.public_key(), AAD[:-1] + b"8")


def test_a_point_off_the_curve_never_reaches_the_key():
    contract, vehicle = KEYS[ISO2.name]
    sealed = seal_key(ISO2, contract, vehicle.public_key())
    asked: list[bytes] = []
    broken = SealedKey(sealed.encrypted_private_key, b"\x04" + b"\x01" * 64)
    with pytest.raises(ContractKeyError, match="no point of the curve"):
        open_key(ISO2, broken, lambda peer: asked.append(peer) or b"", contract.public_key())
    assert asked == []


def test_a_low_order_point_of_x448_is_refused():
    contract, vehicle = KEYS[X448.name]
    sealed = seal_key(X448, contract, vehicle.public_key(), AAD)
    with pytest.raises(ContractKeyError, match="no point"):
        open_key(
            X448, SealedKey(sealed.encrypted_private_key, bytes(56)), agreement(vehicle), contract.public_key(), AAD
        )


def test_ed448_contract_keys_are_refused_because_the_standard_leaves_them_open():
    with pytest.raises(LocalError, match="Ed448"):
        seal_key(X448, ed448.Ed448PrivateKey.generate(), KEYS[X448.name][1].public_key(), AAD)  # type: ignore[arg-type]


def test_additional_data_is_pcid_and_ski_in_capitals():
    ski = bytes.fromhex("4a5b6c7d8e9f0010")
    assert additional_data("hub-poemqa20keyst17", ski) == b"HUBPOEMQA20KEYST17" + b"4A5B6C7D8E9F0010"
    for pcid, key_id in (("TOOSHORT", ski), ("HUBPOEMQA20KEYSTÄ7", ski), ("HUBPOEMQA20KEYST17", b"")):
        with pytest.raises(LocalError):
            additional_data(pcid, key_id)
