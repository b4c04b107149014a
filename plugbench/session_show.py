"""Progress and result of V2G sessions, for people and for machines; what `secc` and `evcc` share."""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ports.errors import RigError
from ports.trace import TraceEvent

if TYPE_CHECKING:  # imported where they are used: the command has to start fast
    from ports.clock import Clock
    from v2g.link.connection import Connection
    from v2g.link.recording import Recorder
    from v2g.session.events import Ended

PASSED = ("terminated", "paused")
_ARROWS = {("SECC", "v2g.rx"): "EV   ", ("SECC", "v2g.tx"): "  SECC", ("EVCC", "v2g.rx"): "  SECC"}
_QUIET = frozenset({"v2g.Close", "v2g.StateChanged", "v2g.AuthorizationWanted", "tcp.close"})


def add_output(parser: argparse.ArgumentParser) -> None:
    """Options that both sides have."""
    parser.add_argument("--interface", required=True, metavar="NAME", help="e.g. eth1; lo plays without multicast")
    parser.add_argument("--pcap", type=Path, metavar="FILE", help="write a pcapng for Wireshark, TLS keys included")
    parser.add_argument("--key-log", type=Path, metavar="FILE", help="write TLS keys (SSLKEYLOG); lab only")
    parser.add_argument("--trace", type=Path, metavar="FILE", help="write every frame, decoded, as JSON lines")
    parser.add_argument("--json", action="store_true", help="one JSON object a line: progress, then the result")
    parser.add_argument("--protocols", default="iso2,din", help="iso2,din: best first")
    parser.add_argument("--energy", choices=("ac", "dc"), default="ac")
    parser.add_argument("--sdp-port", type=int, default=15118, metavar="PORT", help="UDP port of SDP, for tests")
    parser.add_argument(
        "--pki", type=Path, metavar="FOLDER", help="certificates and keys as `plugbench pki export` writes them"
    )


class Show(AbstractContextManager["Show"]):
    """Shows what happens, keeps what is asked for. outcomes, ends: of each session, in order of their ends."""

    def __init__(self, args: argparse.Namespace, clock: Clock) -> None:
        self.outcomes: list[dict[str, Any]] = []
        self.ends: list[Ended | None] = []
        self._args = args
        self._clock = clock
        self._began = clock.monotonic()
        self._files = ExitStack()
        self._sinks: list[Callable[[TraceEvent], None]] = [self._json if args.json else self._text]
        self.key_log: Path | None = args.key_log
        self.recording: Any = None
        if args.trace is not None:
            from hil_rigs.trace_file import TraceFile

            self._sinks.append(self._files.enter_context(_opened(args.trace, TraceFile)))

    def __exit__(self, *_error: object) -> None:
        self._files.close()

    def recorder(self) -> Recorder:
        """What keeps the octets; TLS keys go into a file of their own that lives as long as the command."""
        from v2g.link.recording import Recording, no_recording

        if self._args.pcap is None:
            return no_recording
        if self.recording is not None:
            return self.recording  # type: ignore[no-any-return]
        _writable(self._args.pcap)
        if self.key_log is None:
            folder = self._files.enter_context(tempfile.TemporaryDirectory())
            self.key_log = Path(folder) / "keys.log"
        since = self._clock.now().timestamp() - self._clock.monotonic()
        self.recording = Recording(since, self.key_log)
        self._sinks.append(self.recording.trace)
        return self.recording  # type: ignore[no-any-return]

    def event(self, event: TraceEvent) -> None:
        """A tracer."""
        for sink in self._sinks:
            sink(event)

    def closed(self, connection: Connection, ended: Ended | None) -> None:
        """A connection is gone. ended: how its session ended; None when it came to none."""
        outcome, reason = (ended.outcome, ended.reason) if ended is not None else ("failed", str(connection.tls_error))
        if connection.crash is not None:
            outcome, reason = "crashed", f"{type(connection.crash).__name__}: {connection.crash}"
        self.ends.append(ended)
        self.outcomes.append(
            {"outcome": outcome, "reason": reason, "peer": connection.peer_name, "tls": connection.is_tls}
        )

    def say(self, text: str) -> None:
        """A line about the rig."""
        if self._args.json:
            self._line(event="note", text=text)
        else:
            print(text, flush=True)

    def finish(self) -> int:
        """Write the capture, print the result; the exit code: 0 all passed, 1 one failed, 3 there was none."""
        if self.recording is not None:
            self._args.pcap.chmod(0o600)  # before there are keys in it
            self._args.pcap.write_bytes(self.recording.octets())
            keys = self.key_log is not None and self.key_log.is_file() and self.key_log.stat().st_size > 0
            self.say(
                f"{self._args.pcap}: open it with wireshark{'; it holds the TLS keys of its sessions' if keys else ''}"
            )
            if self.recording.left_out:
                self.say(f"{self._args.pcap}: {self.recording.left_out} octets at the end did not fit and are missing")
        failed = [one for one in self.outcomes if one["outcome"] not in PASSED]
        code = 1 if failed else 0 if self.outcomes else 3
        if self._args.json:
            self._line(event="result", sessions=self.outcomes, exit_code=code)
        else:
            for one in self.outcomes:
                print(" ".join(filter(None, (one["outcome"], one["peer"], one["reason"] and f"({one['reason']})"))))
            if not self.outcomes:
                print("no session")
        return code

    def _json(self, event: TraceEvent) -> None:
        content = {"event": event.kind, "at": round(event.at - self._began, 6), **event.data}
        self._line(**content, **({"raw": event.raw.hex()} if event.raw else {}))

    def _text(self, event: TraceEvent) -> None:
        if event.kind in _QUIET:
            return
        at = f"{event.at - self._began:9.3f} s"
        if event.kind in ("v2g.rx", "v2g.tx"):
            sender = _ARROWS.get((str(event.data["role"]), event.kind), "EV   ")
            print(f"{at}  {sender:<6} {event.data['message']}{_remark(event.data)}", flush=True)
        else:
            shown = ", ".join(f"{k}={v}" for k, v in event.data.items() if v not in ("", None, []) and k not in _SHORT)
            print(f"{at}  . {event.kind} {shown}"[:240].rstrip(), flush=True)

    @staticmethod
    def _line(**content: object) -> None:
        print(json.dumps(content, default=str), flush=True)


_SHORT = frozenset({"peer", "role", "traceback", "ciphers", "groups", "versions", "vehicle"})


def _remark(data: Any) -> str:
    """ResponseCode and deviations, where they say more than OK."""
    words = []
    decoded = data.get("decoded")
    code = _find_code(decoded) if isinstance(decoded, dict) else ""
    if code and code != "OK":
        words.append(code)
    if deviations := data.get("deviations"):
        first = deviations[0]
        words.append(f"deviation {first['kind']} at {first['path']}" + (" and more" if len(deviations) > 1 else ""))
    return f"  {'; '.join(words)}" if words else ""


def _find_code(tree: dict[str, Any]) -> str:
    for name, value in tree.items():
        if name == "ResponseCode":
            return str(value)
        if isinstance(value, dict) and (found := _find_code(value)):
            return found
    return ""


def _writable(path: Path) -> None:
    try:
        path.touch()
    except OSError as error:
        raise RigError(f"{path}: {error.strerror}") from error


def _opened(path: Path, make: Callable[[Path], Any]) -> Any:
    _writable(path)
    return make(path)


def pki_file(args: argparse.Namespace, given: Path | None, name: str) -> Path | None:
    """A file named on the command line, else the one of that name in --pki, if it is there."""
    if given is not None:
        return given
    found = args.pki / name if args.pki is not None else None
    return found if found is not None and found.is_file() else None


def words(text: str, allowed: tuple[str, ...], option: str) -> tuple[str, ...]:
    """A list with commas. Raises RigError."""
    found = tuple(word.strip() for word in text.split(",") if word.strip())
    if not found or any(word not in allowed for word in found):
        raise RigError(f"{option} {text}: expected a list of {', '.join(allowed)}")
    return found


def report_features(show: Show) -> None:
    """Say which parts of TLS this machine lacks."""
    from v2g.link.tls_platform import features

    for feature in features():
        if feature.missing:
            show.say(f"not available: {feature.name}: {feature.missing}")


def password(args: argparse.Namespace) -> str | None:
    """Of the key file, out of a file: never an argument."""
    if args.password_file is None:
        return None
    try:
        return str(args.password_file.read_text(encoding="utf-8").rstrip("\n"))
    except OSError as error:
        raise RigError(f"{args.password_file}: {error.strerror}") from error
