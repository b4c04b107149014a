"""Hostile octets: the codec answers with its documented errors, in bounded time and memory, and loses no bit."""

from __future__ import annotations

import os
import sys
from collections import Counter
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from random import Random

import pytest

from tests.v2g.exi.fuzzing import GROWTH, INTERPRETED, Outcome, campaign, corpus, decode, mutate
from v2g.exi import codec
from v2g.exi.bit_writer import BitWriter
from v2g.exi.errors import ExiError, SizeError, TruncatedError
from v2g.exi.schemas import SchemaSet, schema

INPUTS = int(os.environ.get("EXI_FUZZ_INPUTS", "10000000"))
PROCESSES = int(os.environ.get("EXI_FUZZ_PROCESSES", "2"))
SHARE = 100_000


def judge(outcome: Outcome) -> None:
    assert not outcome.slow, outcome.slow
    assert outcome.growth < GROWTH


def test_mutated_streams() -> None:
    outcome = campaign(seed=1, count=6000)
    judge(outcome)
    assert outcome.decoded > 100
    assert outcome.deviating > 100
    assert {"TruncatedError", "EventError", "ValueEncodingError"} <= set(outcome.refused)


def test_straight_line_code_and_interpreter_agree_on_mutated_streams() -> None:
    """Two readers of one grammar: same message or both refuse."""
    random, samples = Random(2), corpus(2, each=20)
    for _ in range(1500):
        schema, fragment, octets = random.choice(samples)
        sample = (schema, fragment, mutate(octets, random.choice(samples)[2], random))
        try:
            expected = decode(sample, check=False, dialect=INTERPRETED)
        except ExiError as error:
            with pytest.raises(type(error)):
                decode(sample, check=False)
        else:
            assert decode(sample, check=False) == expected


def test_endless_integers_and_lengths_are_refused() -> None:
    """An integer that never ends, and a string that is longer than the stream."""
    with pytest.raises(ExiError):
        codec.decode(SchemaSet.ISO2, bytes.fromhex("80980a") + b"\xff" * 60000)
    with pytest.raises(TruncatedError):
        # SAP request, length of the namespace in 40 bits
        codec.decode(SchemaSet.SAP, bytes.fromhex("8003fffffffc04") + bytes(100))


def test_nested_types_are_refused() -> None:
    """BodyElement xsi:type="BodyType" could nest without end."""
    table = schema(SchemaSet.ISO2)
    writer = BitWriter(table, empty_event=False)
    writer.put(8, 0x80)
    writer.put(7, next(number for number, root in enumerate(table.documents) if root.name == "BodyElement"))
    for _ in range(5000):
        writer.put(1, 1)  # the escape of BodyBaseType: one production, EE
        writer.put(3, 0)  # xsi:type
        writer.qname("urn:iso:15118:2:2013:MsgBody", "BodyType")
        writer.put(6, 2)  # BodyElement
    with pytest.raises(ExiError):
        codec.decode(SchemaSet.ISO2, writer.finish((0, 0)))


def test_size_is_bounded() -> None:
    with pytest.raises(SizeError):
        codec.decode(SchemaSet.ISO2, bytes([0x80]) + bytes(codec.MAX_OCTETS))


@pytest.mark.fuzz
@pytest.mark.timeout(7200)
def test_campaign() -> None:
    """10 million mutated inputs over all schema sets, on PROCESSES processes."""
    shares = [min(SHARE, INPUTS - start) for start in range(0, INPUTS, SHARE)]
    total: Counter[str] = Counter()
    # fresh processes: forks of pytest's would be measured with its heap
    with ProcessPoolExecutor(PROCESSES, mp_context=get_context("spawn")) as pool:
        running = [pool.submit(campaign, seed, count) for seed, count in enumerate(shares, 1000)]
        for done, future in enumerate(as_completed(running), 1):
            if future.exception():
                pool.shutdown(cancel_futures=True)
            outcome = future.result()
            judge(outcome)
            total += Counter({"inputs": outcome.inputs, "decoded": outcome.decoded, "deviating": outcome.deviating})
            total += Counter(outcome.refused)
            sys.stderr.write(f"\r{done} of {len(shares)} shares: {dict(total)}")
    sys.stderr.write("\n")
    assert total["inputs"] == INPUTS


@pytest.mark.parametrize(
    ("schema", "octets"),
    [
        # an attribute without a name, a root with another xsi:type
        ("iso20_dc", "80245004040008b6020510ffff0104987fff80811870f78040b0"),
        (
            "iso20_common",
            "80467003f4d4e25547c1fa03221ca66a469e2ec6fd36adc74d5652ab9e3dc5bce0b83f351deff7cee00a3393fabc",
        ),
        ("iso20_acdp", "807f010605a72c482c600c825ebee400539225f240"),
    ],
)
def test_found_by_fuzzing(schema: str, octets: str) -> None:
    """Streams that were once written back with other bits."""
    message = codec.decode(schema, bytes.fromhex(octets))
    assert codec.encode(message, schema=schema, check=False).hex() == octets
