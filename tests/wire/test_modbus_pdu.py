"""PDUs: round trips, the example of the standard, and whatever a line may bring."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ports.errors import LocalError, PeerError
from wire.modbus_pdu import (
    EXCEPTIONS,
    DeviceRefusedError,
    ReadRegisters,
    Request,
    WriteRegisters,
    decode_answer,
    decode_request,
    describe,
    encode_answer,
    encode_exception,
    encode_request,
)

words = st.integers(0, 0xFFFF)
reads = st.builds(
    lambda function, address, count: ReadRegisters(function, min(address, 0x10000 - count), count),
    st.sampled_from([3, 4]),
    words,
    st.integers(1, 125),
)
writes = st.one_of(
    st.builds(WriteRegisters, words, st.lists(words, min_size=1, max_size=123).map(tuple)),
    st.builds(lambda address, word: WriteRegisters(address, (word,), 6), words, words),
)


def test_the_standards_example() -> None:
    """Modbus Application Protocol V1.1b3, 6.3: read holding registers 108-110."""
    request = ReadRegisters(3, 0x6B, 3)
    assert encode_request(request) == bytes.fromhex("03 006b 0003")
    assert decode_answer(request, bytes.fromhex("03 06 022b 0000 0064")) == (0x022B, 0, 0x64)


@given(st.one_of(reads, writes))
def test_requests_survive(request: Request) -> None:
    assert decode_request(encode_request(request)) == request


@given(reads, st.data())
def test_answers_survive(request: ReadRegisters, data: st.DataObject) -> None:
    registers = tuple(data.draw(st.lists(words, min_size=request.count, max_size=request.count)))
    pdu = encode_answer(request, registers)
    assert len(pdu) == request.answer_length
    assert pdu.startswith(request.answer_header)
    assert decode_answer(request, pdu) == registers


@given(writes)
def test_write_answers_survive(request: WriteRegisters) -> None:
    assert decode_answer(request, encode_answer(request)) == ()


@given(st.one_of(reads, writes), st.sampled_from(sorted(EXCEPTIONS)))
def test_exceptions_carry_their_code(request: Request, code: int) -> None:
    with pytest.raises(DeviceRefusedError) as caught:
        decode_answer(request, encode_exception(request.function, code))
    assert caught.value.code == code
    assert EXCEPTIONS[code] in str(caught.value)


@given(st.one_of(reads, writes), st.binary(max_size=260))
def test_any_octets_are_an_answer_or_a_peer_error(request: Request, pdu: bytes) -> None:
    try:
        registers = decode_answer(request, pdu)
    except PeerError:
        return
    assert len(registers) == (request.count if isinstance(request, ReadRegisters) else 0)


@given(st.binary(max_size=260))
def test_any_octets_are_a_request_or_a_refusal(pdu: bytes) -> None:
    try:
        request = decode_request(pdu)
    except DeviceRefusedError:
        return
    assert encode_request(request)[:5] == pdu[:5]


@pytest.mark.parametrize(
    "make",
    [
        lambda: ReadRegisters(3, 0, 126),
        lambda: ReadRegisters(3, 0, 0),
        lambda: ReadRegisters(5, 0, 1),
        lambda: ReadRegisters(4, 0xFFFF, 2),
        lambda: WriteRegisters(0, ()),
        lambda: WriteRegisters(0, (0x10000,)),
        lambda: WriteRegisters(0, (1, 2), 6),
        lambda: WriteRegisters(0, (1,), 5),
    ],
)
def test_impossible_requests_are_our_own_fault(make: object) -> None:
    with pytest.raises(LocalError):
        make()  # type: ignore[operator]


def test_describe_names_kind_and_addresses() -> None:
    assert describe(ReadRegisters(4, 0x48, 2)) == "input registers 0x0048-0x0049"
    assert describe(ReadRegisters(3, 0x302, 1)) == "holding register 0x0302"
    assert describe(WriteRegisters(0x7100, (1, 2))) == "write of holding registers 0x7100-0x7101"
