"""Signed contract data: built, written as XML, read back; what is changed or too large is refused."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest
from asn1crypto.x509 import Certificate  # type: ignore[import-untyped]
from hypothesis import given
from hypothesis import strategies as st

from backends.pools.certificates import read_certificate
from backends.pools.contract_data import (
    ContractData,
    SignedContractData,
    check_size,
    envelope_of,
    read_signed_contract_data,
    sign_contract_data,
    verify_signed,
)
from backends.pools.editions import ISO2, ISO20
from backends.refusals import Refusal, Refused
from tests.backends.chains import issue, key, tree
from v2g.certificates import load
from v2g.contract_key import ISO2 as ENVELOPE
from v2g.contract_key import SealedKey, seal_key
from v2g.signature_suites import signer
from v2g.xmldsig import SignatureError

EMAID = "DEPLBC00000042"


def certificates(emaid: str = EMAID) -> tuple[list[Certificate], list[Certificate]]:
    """Chains of a contract (key 9) and of a CPS (key 8), leaf first."""
    mo, cps = tree("MO"), tree("CPS")
    chains = (
        (issue(emaid, 9, mo.sub_2, ca=False, component="MO"), mo.sub_2, mo.sub_1),
        (issue("CPS", 8, cps.sub_2, ca=False, component="CPS"), cps.sub_2, cps.sub_1),
    )
    contract, signers = ([load(one.der) for one in chain] for chain in chains)
    return contract, signers


def data_of(contract: list[Certificate], sealed: SealedKey | None = None) -> ContractData:
    sealed = sealed or seal_key(ENVELOPE, key(9), key(7).public_key())
    return ContractData(ISO2, contract[0], tuple(contract[1:]), sealed)


async def signed(emaid: str = EMAID) -> SignedContractData:
    contract, cps = certificates(emaid)
    sign = signer(key(8))

    async def later(octets: bytes) -> bytes:
        return sign(octets)

    return await sign_contract_data(data_of(contract), cps, later)


async def test_what_is_signed_can_be_read_and_verified() -> None:
    made = await signed()
    assert made.emaid == EMAID
    assert b"SessionID" not in made.xml
    read = read_signed_contract_data(made.xml, ISO2, read_certificate)
    assert (read.message, read.emaid) == (made.message, EMAID)
    verify_signed(read)


async def test_hyphens_of_the_common_name_are_no_part_of_the_emaid() -> None:
    made = await signed("DE-PLB-C00000042")
    assert read_signed_contract_data(made.xml, ISO2, read_certificate).emaid == EMAID


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda xml: xml.replace(EMAID.encode(), b"DEPLBC00000043"), Refusal.EMAID_MISMATCH),
        (lambda xml: xml.replace(EMAID.encode(), b"DE-PLB-C00000042"), Refusal.CONTRACT_DATA_FORMAT),
        (lambda xml: xml.replace(b">OK<", b">FAILED<"), Refusal.CONTRACT_DATA_FORMAT),
        (lambda xml: xml[:-20], Refusal.CONTRACT_DATA_FORMAT),
        (lambda xml: b'<!DOCTYPE a [<!ENTITY b "c">]>' + xml, Refusal.CONTRACT_DATA_FORMAT),
        (lambda xml: b"", Refusal.CONTRACT_DATA_FORMAT),
    ],
)
async def test_changed_xml_is_refused(change: Callable[[bytes], bytes], reason: Refusal) -> None:
    xml = change((await signed()).xml)
    with pytest.raises(Refused) as refused:
        read_signed_contract_data(xml, ISO2, read_certificate)
    assert refused.value.reason is reason


async def test_every_signed_element_is_covered() -> None:
    made = await signed()
    for field in (b"ContractSignatureEncryptedPrivateKey", b"DHpublickey"):
        before, tag, after = made.xml.rpartition(b"</")
        del before, tag, after
        start = made.xml.index(b">", made.xml.index(field)) + 1
        spoilt = made.xml[:start] + bytes([made.xml[start] ^ 1]) + made.xml[start + 1 :]
        try:
            read = read_signed_contract_data(spoilt, ISO2, read_certificate)
        except Refused:
            continue  # no base64 or no point of the curve anymore
        with pytest.raises(Refused) as refused:
            verify_signed(read)
        assert refused.value.reason is Refusal.CONTRACT_DATA_SIGNATURE
        assert isinstance(refused.value.__cause__, SignatureError)


@given(st.binary(max_size=300))
def test_random_octets_are_refused(octets: bytes) -> None:
    for namespace in (ISO2, ISO20):
        with pytest.raises(Refused):
            read_signed_contract_data(octets, namespace, read_certificate)


@pytest.mark.parametrize(
    ("namespace", "private", "public"),
    [
        (ISO2, 47, 65),
        (ISO2, 48, 64),
        (ISO2, 94, 133),
        (ISO20, 48, 65),
        (ISO20, 94, 132),
        (ISO20, 84, 57),
        (ISO20, 0, 0),
    ],
)
def test_envelopes_of_another_form_are_refused(namespace: str, private: int, public: int) -> None:
    with pytest.raises(Refused) as refused:
        envelope_of(namespace, SealedKey(os.urandom(private), b"\4" + os.urandom(max(0, public - 1))))
    assert refused.value.reason is Refusal.KEY_ENVELOPE


def test_a_point_that_is_not_on_the_curve_is_refused() -> None:
    with pytest.raises(Refused) as refused:
        envelope_of(ISO2, SealedKey(bytes(48), b"\4" + bytes(64)))
    assert refused.value.reason is Refusal.KEY_ENVELOPE


def test_answers_must_fit_into_ocpp() -> None:
    check_size(bytes(5625), ISO2)  # 7500 characters
    with pytest.raises(Refused) as refused:
        check_size(bytes(5626), ISO2)
    assert refused.value.reason is Refusal.ANSWER_TOO_LARGE
    check_size(bytes(5626), ISO20)
    check_size(bytes(5626), ISO2, 8000)
