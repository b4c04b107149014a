"""What a user hands over for decoding: hex, base64, a stream of V2GTP frames, EXI, XML, or a capture file."""

from __future__ import annotations

import base64
import binascii
import re
from collections import Counter
from pathlib import Path

from ports.errors import RigError
from v2g.capture_file import is_capture
from v2g.exi.codec import encode
from v2g.exi.schemas import PAYLOAD_TYPES, SchemaSet
from v2g.message_xml import from_xml
from v2g.session_decoder import SessionFrame
from v2g.tshark import read_capture_file
from v2g.v2gtp import Frame, FrameStream, PayloadType

_HEX = re.compile(r"(0x)?[0-9a-fA-F\s:]+")
_BASE64 = re.compile(r"[A-Za-z0-9+/\s]+={0,2}\s*")
_V2GTP, _EXI = b"\x01\xfe", b"\x80"


class InputError(RigError):
    """Something that is neither hex nor base64 nor octets of a known kind."""


def read_file(
    path: Path, schema: str | None = None, key_log: Path | None = None
) -> tuple[list[SessionFrame], list[str]]:
    """The frames of a file, and notes about what could not be used. Raises RigError.

    schema: of bare EXI (octets without a V2GTP header), which does not say what it is. key_log: for TLS in captures.
    """
    try:
        octets = path.read_bytes()
    except OSError as error:
        raise RigError(f"{path}: {error.strerror}") from error
    if is_capture(octets):
        capture = read_capture_file(path, key_log)
        names = Counter(message.header.name for message in capture.homeplug)
        notes = [f"{count} x HomePlug {name}" for name, count in names.items()]
        return [SessionFrame.of(frame) for frame in capture.frames], notes + capture.notes
    return read_octets(octets, schema, str(path)), []


def read_octets(octets: bytes, schema: str | None = None, where: str = "input") -> list[SessionFrame]:
    """The frames in octets: V2GTP, bare EXI, XML, or text with one message per line. Raises InputError, PeerError."""
    if octets[:2] == _V2GTP or octets[:1] == _EXI:
        return _frames(octets, schema, where)
    if octets.lstrip().startswith(b"<"):
        return [_xml_frame(octets, schema, where)]
    try:
        text = octets.decode("ascii")
    except UnicodeDecodeError:
        raise InputError(f"{where}: neither a capture nor V2GTP nor EXI: starts with {octets[:8].hex()}") from None
    return read_text(text, schema, where)


def read_text(text: str, schema: str | None = None, where: str = "input") -> list[SessionFrame]:
    """The frames in text: one per line, hex or base64; empty lines and lines with # are left out."""
    frames = []
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip() and not line.lstrip().startswith("#"):
            frames += _frames(_octets(line, f"{where}, line {number}"), schema, f"{where}, line {number}")
    if not frames:
        raise InputError(f"{where}: nothing to decode")
    return frames


def _xml_frame(octets: bytes, schema: str | None, where: str) -> SessionFrame:
    """A message in XML, as backends hand over contract data; without a SessionID it gets an empty one."""
    if schema is None:
        raise InputError(f"{where}: XML needs its schema: name the protocol ({', '.join(SchemaSet)})")
    message = from_xml(octets, schema)
    header = getattr(message, "Header", None)
    if header is not None and header.SessionID is None:
        header.SessionID = b""  # contract data of a backend belong to no session yet
    return SessionFrame(Frame(payload_type_of(schema), encode(message, check=False)), schema=schema)


def _octets(line: str, where: str) -> bytes:
    if _HEX.fullmatch(line.strip()):
        digits = re.sub(r"[\s:]", "", line.strip().removeprefix("0x"))
        if len(digits) % 2:
            raise InputError(f"{where}: {len(digits)} hex digits, an odd number")
        return bytes.fromhex(digits)
    if _BASE64.fullmatch(line):
        try:
            return base64.b64decode("".join(line.split()), validate=True)
        except binascii.Error:
            pass
    raise InputError(f"{where}: neither hex nor base64: {line[:40]!r}")


def _frames(octets: bytes, schema: str | None, where: str) -> list[SessionFrame]:
    if octets[:2] == _V2GTP:
        stream = FrameStream()
        frames = stream.receive(octets)
        stream.end()
        return [SessionFrame(frame) for frame in frames]
    if octets[:1] != _EXI:
        raise InputError(f"{where}: neither V2GTP (01fe...) nor EXI (80...): starts with {octets[:8].hex()}")
    if schema is None:
        known = ", ".join(SchemaSet)
        raise InputError(f"{where}: EXI without a V2GTP header does not say its schema: name the protocol ({known})")
    return [SessionFrame(Frame(payload_type_of(schema), octets), schema=schema)]


def payload_type_of(schema: str) -> int:
    """The V2GTP payload type that usually carries a schema set."""
    return next((number for number, name in PAYLOAD_TYPES.items() if name == schema), PayloadType.EXI)
