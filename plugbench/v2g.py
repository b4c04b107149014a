"""`plugbench v2g`: decode, encode and compare ISO 15118 and DIN 70121 messages and captures."""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ports.errors import RigError
from v2g.compare import differences
from v2g.exi.codec import element_name, encode, encode_fragment
from v2g.exi.dialects import DIALECTS
from v2g.exi.element import Element
from v2g.exi.json_form import from_json, to_json
from v2g.exi.schemas import SchemaSet
from v2g.inputs import payload_type_of, read_file, read_octets, read_text
from v2g.mermaid import Arrow, sequence_diagram
from v2g.render import plain, tree_lines
from v2g.sdp import SdpRequest, SdpResponse
from v2g.session_decoder import DecodedFrame, SessionFrame, decode_frames
from v2g.session_schema import PROTOCOLS
from v2g.signed_elements import body_of
from v2g.v2gtp import Frame, payload_type_name

_INPUT = "hex or base64, a file of either (one message per line), V2GTP, EXI, XML, pcap or pcapng, - for stdin"
_NAMES = [*PROTOCOLS, *(name for name in SchemaSet if name not in PROTOCOLS)]


def add_commands(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `v2g` with decode, encode and diff."""
    parser = subparsers.add_parser(
        "v2g", help="decode, encode and compare ISO 15118 and DIN 70121 messages and captures"
    )
    commands = parser.add_subparsers(dest="v2g_command", metavar="command", required=True)

    decode = commands.add_parser("decode", help="show messages and sessions as text, JSON lines or a Mermaid diagram")
    decode.add_argument("input", help=_INPUT)
    _add_reading(decode)
    form = decode.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="one JSON object per message")
    form.add_argument("--mermaid", action="store_true", help="a sequence diagram of the session")
    form.add_argument("--summary", action="store_true", help="one line per message")
    decode.set_defaults(run=run_decode)

    encoder = commands.add_parser("encode", help="make frames of JSON as `decode --json` writes it")
    encoder.add_argument("input", help="a JSON file, JSON itself, - for stdin; one message per line or a single one")
    encoder.add_argument("--protocol", choices=list(SchemaSet), help="schema of messages that stand without one")
    encoder.add_argument("--bare", action="store_true", help="EXI only, without the V2GTP header")
    encoder.add_argument("--fragment", action="store_true", help="an EXI fragment, as signatures cover it")
    encoder.add_argument("--any-value", action="store_true", help="write values outside the limits of the schema too")
    encoder.add_argument("--dialect", choices=list(DIALECTS), default="standard", help="write as this one does")
    encoder.add_argument("--json", action="store_true", help="one JSON object per message")
    encoder.set_defaults(run=run_encode)

    diff = commands.add_parser("diff", help="compare two messages or sessions; exit code 1 when they differ")
    diff.add_argument("one", help=_INPUT)
    diff.add_argument("other", help=_INPUT)
    _add_reading(diff)
    diff.add_argument("--json", action="store_true", help="one JSON object per difference")
    diff.set_defaults(run=run_diff)


def run_decode(args: argparse.Namespace) -> int:
    """Exit code 0, or 1 when a message could not be read or its signature does not verify."""
    frames, notes = _read(args.input, args)
    failed = False
    arrows = []
    for frame in frames:
        failed |= frame.failed
        if args.json:
            print(json.dumps(_as_json(frame), ensure_ascii=False))
        elif args.mermaid:
            if frame.sender is not None:
                arrows.append(Arrow(frame.sender, frame.name, _remark(frame)))
        else:
            _print_text(frame, summary=args.summary)
    if args.mermaid:
        print(sequence_diagram(arrows), end="")
    for note in notes:
        print(f"note: {note}", file=sys.stderr)
    return int(failed)


def run_encode(args: argparse.Namespace) -> int:
    """Exit code 0; a message that cannot be written raises LocalError, a JSON that is none RigError."""
    for entry in _json_entries(args.input):
        protocol = args.protocol or entry.get("protocol")
        tree = entry.get("message", entry)
        if not protocol:
            raise RigError('the JSON names no protocol: give --protocol, or {"protocol": "iso2", "message": {...}}')
        message = from_json(protocol, tree, fragment=args.fragment)
        check, dialect = not args.any_value, DIALECTS[args.dialect]
        if args.fragment:
            payload = encode_fragment(protocol, next(iter(tree)), message, check=check, dialect=dialect)
        else:
            payload = encode(message, check=check, dialect=dialect)
        bare = args.bare or args.fragment
        octets = payload if bare else bytes(Frame(_payload_type(entry, protocol), payload))
        print(json.dumps({"protocol": protocol, "octets": octets.hex()}) if args.json else octets.hex())
    return 0


def run_diff(args: argparse.Namespace) -> int:
    """Exit code 0 when both say the same in the same bits, 1 when they differ."""
    (one, notes), (other, more_notes) = _read(args.one, args), _read(args.other, args)
    count = 0
    for difference in differences(list(one), list(other)):
        count += 1
        if args.json:
            fields = {
                "frame": difference.frame,
                "path": difference.path,
                "one": difference.one,
                "other": difference.other,
            }
            print(json.dumps(fields, ensure_ascii=False))
        else:
            print(difference)
    for note in [*notes, *more_notes]:
        print(f"note: {note}", file=sys.stderr)
    if not args.json and not count:
        print("no difference")
    return int(count > 0)


def _add_reading(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--protocol", choices=_NAMES, help="what is spoken, when the handshake is not in the input")
    parser.add_argument("--keys", type=Path, metavar="FILE", help="TLS key log, opens TLS in captures (needs tshark)")
    parser.add_argument("--dialect", choices=list(DIALECTS), default="standard", help="whose octets these are")
    parser.add_argument("--fragment", action="store_true", help="the input is EXI fragments, as signatures cover them")
    parser.add_argument("--strict", action="store_true", help="refuse messages with any deviation")


def _read(source: str, args: argparse.Namespace) -> tuple[Iterator[DecodedFrame], list[str]]:
    schema = args.protocol if args.protocol in set(SchemaSet) else None
    notes: list[str] = []
    frames: list[SessionFrame]
    if source == "-":
        frames = read_octets(sys.stdin.buffer.read(), schema, "stdin")
    elif _is_file(source):
        frames, notes = read_file(Path(source), schema, args.keys)
    elif re.fullmatch(r"[\w+/=:\s]{8,}", source):
        frames = read_text(source, schema, "argument")
    else:
        raise RigError(f"{source}: no such file, and neither hex nor base64")
    if args.fragment:
        if schema is None:
            raise RigError("a fragment does not say its schema: name the protocol")
        frames = [replace(frame, fragment=True) for frame in frames]
    protocol = args.protocol if args.protocol in PROTOCOLS else "iso20" if args.protocol else None
    return decode_frames(frames, protocol, DIALECTS[args.dialect], strict=args.strict), notes


def _is_file(source: str) -> bool:
    try:
        return Path(source).is_file()
    except OSError:  # a long message in hex is no file name
        return False


def _print_text(frame: DecodedFrame, *, summary: bool) -> None:
    source = frame.source
    place = [f"#{source.number}"] if source.number is not None else []
    if source.time is not None:
        place.append(f"{datetime.fromtimestamp(source.time, UTC):%H:%M:%S.%f}"[:-3])
    if source.stream:
        place.append(f"stream {source.stream}")
    if frame.sender is not None:
        place.append(f"{frame.sender:<7}")
    print("  ".join([*place, f"{frame.protocol or '?':<5}", frame.name]), end="")
    print(f"  {_remark(frame)}" if summary and _remark(frame) else "")
    if not summary:
        for line in tree_lines(_tree(frame)):
            print(line)
        for deviation in frame.deviations:
            print(f"  ! {deviation.kind} at {deviation.path}, bit {deviation.bit}: {deviation.detail}")
        if frame.signature is not None:
            print(f"  signature {frame.signature}")
        if frame.error:
            print(f"  ERROR {frame.error}")
            print(f"  octets {source.frame.payload.hex()}")


def _tree(frame: DecodedFrame) -> dict[str, Any]:
    match frame.message:
        case None:
            return {}
        case SdpRequest() as request:
            return {"security": _security(request.security), "transport": f"{request.transport:#04x}"}
        case SdpResponse() as response:
            address = {"address": str(response.address), "port": response.port}
            return address | {"security": _security(response.security), "transport": f"{response.transport:#04x}"}
        case Element() as message:
            return plain(message)
        case _:
            return {"payload": frame.source.frame.payload}


def _security(value: int) -> str:
    return {0x00: "TLS", 0x10: "none"}.get(value, f"reserved {value:#04x}")


def _remark(frame: DecodedFrame) -> str:
    """What a reader should see without opening the message: errors, refusals, deviations, bad signatures."""
    remarks = [frame.error] if frame.error else []
    body = body_of(frame.message) if isinstance(frame.message, Element) else None
    code = getattr(body.element, "ResponseCode", "OK") if body else "OK"
    if not str(code).startswith("OK"):
        remarks.append(str(code))
    if frame.deviations:
        first, more = frame.deviations[0], len(frame.deviations) - 1
        remarks.append(f"deviation: {first.kind} at {first.path}{f' and {more} more' if more else ''}")
    if frame.signature is not None and frame.signature.failed:
        remarks.append(f"signature {frame.signature}")
    return "; ".join(remarks)


def _as_json(frame: DecodedFrame) -> dict[str, Any]:
    source, message = frame.source, frame.message
    if isinstance(message, Element):
        root = frame.name if source.fragment else element_name(message, SchemaSet(frame.protocol))
        tree = to_json(message, root)
    else:
        tree = {name: value.hex() if isinstance(value, bytes) else value for name, value in _tree(frame).items()}
    return {
        "number": source.number,
        "time": source.time,
        "stream": source.stream,
        "sender": frame.sender,
        "payload_type": f"{source.frame.payload_type:#06x}",
        "payload_type_name": payload_type_name(source.frame.payload_type),
        "protocol": frame.protocol or None,
        "name": frame.name,
        "message": tree if message is not None else None,
        "deviations": [deviation._asdict() for deviation in frame.deviations],
        "signature": None
        if frame.signature is None
        else {
            "verified": frame.signature.verified is not None,
            "failed": frame.signature.failed,
            "signer": frame.signature.signer,
            "text": str(frame.signature),
        },
        "error": frame.error or None,
        "octets": source.frame.payload.hex(),
    }


def _json_entries(source: str) -> list[dict[str, Any]]:
    if source == "-":
        text = sys.stdin.read()
    elif source.lstrip().startswith(("{", "[")):
        text = source
    else:
        try:
            text = Path(source).read_text(encoding="utf-8")
        except OSError as error:
            raise RigError(f"{source}: {error.strerror}") from error
    try:
        found = json.loads(text)
    except json.JSONDecodeError as whole:
        try:
            found = [json.loads(line) for line in text.splitlines() if line.strip()]
        except json.JSONDecodeError:
            raise RigError(f"{source[:60]}: no JSON: {whole}") from whole
    entries = found if isinstance(found, list) else [found]
    for entry in entries:
        if not isinstance(entry, dict):
            raise RigError(f"{source[:60]}: expected JSON objects, found {type(entry).__name__}")
    return entries


def _payload_type(entry: dict[str, Any], protocol: str) -> int:
    given = entry.get("payload_type")
    if isinstance(given, str):
        return int(given, 16)
    return payload_type_of(protocol)
