"""What a UART makes of the levels on a line: bit-exact, so that mismatched settings give what they give in the field.

The sender's settings build a wave (times at which the level changes, falling edge first, idle high), the receiver's
settings sample it in the middle of each bit. A start bit is believed when the line is still low in its middle; only
the first stop bit is checked; after a framing error the receiver waits for the line to go high.
"""

from __future__ import annotations

from functools import lru_cache
from math import inf
from random import Random
from typing import NamedTuple

from ports.serial_line import SerialSettings

Wave = list[float]
"""Times of level changes in seconds: even index = goes low, odd index = goes high."""


class Character(NamedTuple):
    """One character as a UART hands it over: `at` = end of its stop bit; error "", "parity", "framing" or "break"."""

    at: float
    value: int
    error: str


def same_framing(sender: SerialSettings, receiver: SerialSettings) -> bool:
    """Whether every character arrives as sent; a second stop bit is never checked, so it does not matter."""
    return sender.baud == receiver.baud and sender.data_bits == receiver.data_bits and sender.parity == receiver.parity


@lru_cache(maxsize=64)
def _edges_in_bits(data_bits: int, parity: str, stop_bits: int) -> list[tuple[int, ...]]:
    """For each octet: where in its character the level changes, counted in bits from the falling edge."""
    table = []
    for octet in range(256):
        levels = [0] + [octet >> k & 1 for k in range(data_bits)]
        if parity != "N":
            levels.append((sum(levels) + (parity == "O")) & 1)
        levels += [1] * stop_bits
        table.append((0, *(k for k in range(1, len(levels)) if levels[k] != levels[k - 1])))
    return table


def wave(octets: bytes, settings: SerialSettings, start: float) -> Wave:
    """The levels of octets sent without gaps, the first start bit at time `start`."""
    table = _edges_in_bits(settings.data_bits, settings.parity, settings.stop_bits)
    bit, length = 1 / settings.baud, settings.character_bits
    return [
        start + (base + edge) * bit
        for base, octet in zip(range(0, len(octets) * length, length), octets, strict=True)
        for edge in table[octet]
    ]


def together(waves: list[Wave]) -> Wave:
    """Several senders at once: the line is low while any of them drives it low."""
    steps = sorted((at, index & 1) for one in waves for index, at in enumerate(one))
    result: Wave = []
    low = 0
    for at, rises in steps:
        before = low
        low += -1 if rises else 1
        if (before == 0) != (low == 0):
            result.append(at)
    return result


def characters(line: Wave, settings: SerialSettings) -> list[Character]:
    """What a receiver with these settings samples from the line."""
    bit = 1 / settings.baud
    places = [1 << k for k in range(settings.data_bits)]
    parity = {"N": None, "E": 0, "O": 1}[settings.parity]
    edges = [*line, inf]
    result = []
    i, n = 0, len(line)
    while i < n:
        at = edges[i] + bit / 2
        while edges[i] <= at:
            i += 1
        if not i & 1:  # high again in the middle of the start bit: a glitch
            continue
        value = 0
        for place in places:
            at += bit
            while edges[i] <= at:
                i += 1
            if not i & 1:
                value |= place
        error = ""
        any_high = value
        if parity is not None:
            at += bit
            while edges[i] <= at:
                i += 1
            high = 1 - (i & 1)
            any_high |= high
            if (value.bit_count() + high) & 1 != parity:
                error = "parity"
        at += bit
        while edges[i] <= at:
            i += 1
        if i & 1:
            error = "framing" if any_high else "break"
            i += 1
        result.append(Character(at + bit / 2, value, error))
    return result


def as_sent(octets: bytes, settings: SerialSettings, start: float) -> list[Character]:
    """What a receiver with the same settings gets from an undisturbed line: the short way round the wave."""
    length, mask = settings.character_s, (1 << settings.data_bits) - 1
    return [Character(start + k * length, octet & mask, "") for k, octet in enumerate(octets, 1)]


def as_linux_delivers(received: list[Character], check: bool, mark: bool = False, ignore: bool = False) -> bytes:
    """Octets that a program reads: errors pass as they are, or with INPCK (`check`) as 00 (termios(3)).

    mark: PARMRK, an error reads FF 00 x and a good FF reads FF FF. ignore: IGNPAR, an error is left out.
    """
    if not (check or mark):
        return bytes(0 if one.error == "break" else one.value for one in received)
    result = bytearray()
    for one in received:
        if one.error and check:
            if ignore and one.error != "break":
                continue
            value = 0 if one.error == "break" else one.value
            result += bytes((0xFF, 0, value)) if mark else b"\0"
        elif mark and one.value == 0xFF:
            result += b"\xff\xff"
        else:
            result.append(one.value)
    return bytes(result)


@lru_cache(maxsize=256)
def mismatch(sender: SerialSettings, receiver: SerialSettings) -> str:
    """What a difference of settings does to what the receiver gets: "" = nothing, else a class of damage.

    "parity errors" and "framing errors": the values are right, but flagged; "wrong bit 7"; "garbage".
    """
    if same_framing(sender, receiver):
        return ""
    mask = (1 << min(sender.data_bits, receiver.data_bits)) - 1
    sent = bytes(octet & mask for octet in Random(0).sample(range(256), 256))  # noqa: S311 - any mixed order
    received = characters(wave(sent, sender, 0.0), receiver)
    if len(received) != len(sent) or any((one.value ^ octet) & 0x7F for one, octet in zip(received, sent, strict=True)):
        return "garbage"
    errors = {one.error for one in received}
    if errors & {"framing", "break"}:
        return "framing errors"
    if "parity" in errors:
        return "parity errors"
    return "wrong bit 7" if any(one.value != octet for one, octet in zip(received, sent, strict=True)) else ""
