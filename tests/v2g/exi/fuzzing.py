"""Mutated streams for the codec: what it may raise, how long it may take, how much memory it may use."""

from __future__ import annotations

import resource
import statistics
import time
from collections import defaultdict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from random import Random
from typing import Any

from v2g.exi import codec
from v2g.exi.dialects import STANDARD, Dialect
from v2g.exi.errors import EncodeError, ExiError
from v2g.exi.random_messages import RandomMessages
from v2g.exi.schemas import SchemaSet

# no input may take longer than this many times the median of its size
SLOWEST = 50
# below this many inputs of a size there is no median to speak of
ENOUGH = 200
# how many of the slowest inputs of a size are timed again, and how often
SUSPECTS = 5
AGAIN = 5
GROWTH = 64 << 20
# the same grammars without the straight-line code
INTERPRETED = Dialect("interpreted")

Sample = tuple[SchemaSet, bool, bytes]


@dataclass
class Outcome:
    """What a campaign met."""

    inputs: int = 0
    decoded: int = 0
    deviating: int = 0
    refused: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    slow: list[tuple[float, str]] = field(default_factory=list)
    growth: int = 0


def corpus(seed: int, each: int = 60) -> list[Sample]:
    """Valid documents and fragments of all schema sets, most of them short."""
    samples: list[Sample] = []
    for schema in SchemaSet:
        source = RandomMessages(schema, seed)
        names = [root.name for root in source.schema.fragments]
        for number in range(each):
            source.budget = 30
            if number % 3:
                element, message = source.document()
                samples.append((schema, False, codec.encode(message, schema=schema, element=element)))
            else:
                root, value = source.fragment()
                element = root.name if names.count(root.name) == 1 else f"{{{root.uri}}}{root.name}"
                samples.append((schema, True, codec.encode_fragment(schema, element, value)))
    return sorted(samples, key=lambda sample: len(sample[2]))[: len(samples) * 3 // 4]


def mutate(octets: bytes, other: bytes, random: Random) -> bytes:
    """One to three changes: bits, octets, cuts, insertions, a splice, or octets made up."""
    data = bytearray(octets)
    for _ in range(random.choice((1, 1, 1, 2, 3))):
        at = random.randrange(len(data)) if data else 0
        kind = random.randrange(10)
        if kind < 4 and data:
            data[at] ^= 1 << random.randrange(8)
        elif kind == 4 and data:
            data[at] = random.choice((0, 0xFF, 0x7F, 0x80, random.randrange(256)))
        elif kind == 5:
            del data[at:]
        elif kind == 6:
            del data[at : at + random.randint(1, 8)]
        elif kind == 7:
            data[at:at] = random.randbytes(random.randint(1, 8))
        elif kind == 8:
            data[at:] = other[random.randrange(len(other)) :]
        else:
            data[1:] = random.randbytes(random.randint(0, 60))
    return bytes(data)


def decode(sample: Sample, *, check: bool, dialect: Dialect = STANDARD) -> Any:
    """Decode as document or fragment."""
    schema, fragment, octets = sample
    if fragment:
        return codec.decode_fragment(schema, octets, check=check, dialect=dialect)
    return None, codec.decode(schema, octets, check=check, dialect=dialect)


def encode(sample: Sample, element: str | None, message: Any) -> bytes:
    """The inverse of `decode`."""
    schema, fragment, _ = sample
    if fragment:
        return codec.encode_fragment(schema, str(element), message, check=False)
    return codec.encode(message, schema=schema, check=False)


def campaign(seed: int, count: int, progress: Callable[[int], None] = lambda done: None) -> Outcome:
    """Mutate and decode `count` times. Raises whatever the codec raises beyond its documented errors, and
    AssertionError where encoding what was decoded gives other octets."""
    random, outcome = Random(seed), Outcome()
    samples = corpus(seed)
    times: dict[int, list[float]] = defaultdict(list)
    suspects: dict[int, list[tuple[float, Sample]]] = defaultdict(list)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for number in range(count):
        schema, fragment, octets = random.choice(samples)
        sample = (schema, fragment, mutate(octets, random.choice(samples)[2], random))
        begin = time.perf_counter()
        try:
            element, message = decode(sample, check=bool(number & 1))
        except ExiError as error:
            taken = time.perf_counter() - begin
            outcome.refused[type(error).__name__] += 1
        else:
            taken = time.perf_counter() - begin
            check_loss(sample, element, message, outcome)
        size = len(sample[2]).bit_length()
        note_time(times[size], suspects[size], taken, sample, random)
        if number % 5000 == 0:
            progress(number)
    outcome.inputs = count
    outcome.slow = slow_inputs(times, suspects)
    outcome.growth = 1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory)
    return outcome


def check_loss(sample: Sample, element: str | None, message: Any, outcome: Outcome) -> None:
    """What can be read can be written again, bit by bit."""
    outcome.decoded += 1
    outcome.deviating += bool(getattr(message, "__dict__", None))
    if not hasattr(message, "__dict__"):
        return  # a simple value remembers nothing
    try:
        again = encode(sample, element, message)
    except EncodeError as error:
        raise AssertionError(f"{sample[0]} {sample[2].hex()} cannot be written again: {error}") from error
    assert again == sample[2], f"{sample[0]} {sample[2].hex()} was written as {again.hex()}"


def note_time(
    times: list[float], suspects: list[tuple[float, Sample]], taken: float, sample: Sample, random: Random
) -> None:
    """Keep some of the times and the slowest inputs."""
    if len(times) < 5000 or random.random() < 0.01:
        times.append(taken)
    if len(suspects) < SUSPECTS or taken > suspects[-1][0]:
        suspects.append((taken, sample))
        suspects.sort(key=lambda item: -item[0])
        del suspects[SUSPECTS:]


def slow_inputs(
    times: dict[int, list[float]], suspects: dict[int, list[tuple[float, Sample]]]
) -> list[tuple[float, str]]:
    """Inputs that take more than SLOWEST medians of their size, timed again five times each."""
    slow = []
    for size, found in times.items():
        if len(found) < ENOUGH:
            continue
        median = statistics.median(found)
        for taken, sample in suspects[size]:
            if taken > SLOWEST * median and (best := min(timed(sample) for _ in range(AGAIN))) > SLOWEST * median:
                slow.append((best / median, f"{sample[0]} {'fragment ' * sample[1]}{sample[2].hex()}"))
    return slow


def timed(sample: Sample) -> float:
    begin = time.perf_counter()
    with suppress(ExiError):
        decode(sample, check=True)
    return time.perf_counter() - begin
