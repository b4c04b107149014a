"""The `plugbench` command: finds the subcommand, runs it, turns errors into exit codes."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Sequence

from ports.errors import PeerError, PlugbenchError

EXIT_CODES = "exit codes: 0 pass, 1 fail, 2 usage or rig error, 3 inconclusive"

# Each module is imported only when its command is asked for.
COMMANDS: dict[str, str] = {
    "run": "run the sessions of a rig file, or scenarios, and check every record",
    "rig": "check a rig file, say what is real and what is simulated",
    "faults": "list what a scenario can break on purpose",
    "channels": "list what a scenario can look for: channels, events, fields",
    "checks": "list what a scenario can have judged at its end, with parameters",
    "meter": "read a meter, simulate one, find its settings",
    "reader": "show the cards that come to a reader, list readers",
    "hsm": "make and list token keys, sign, show the public key",
    "verify": "check signed records: .ocmf, SAFE XML, a run's folder",
    "evidence": "check again what a run left: hashes, signatures, pages, verdict",
    "replay": "run again what evidence says was run, and compare",
    "story": "tell a run as a sequence: every message decoded, every signature checked again",
    "pki": "build a test PKI; issue, revoke, show, export certificates",
    "v2g": "decode, encode and compare ISO 15118 and DIN 70121 messages and captures",
    "secc": "play the charging station (SECC) for a real or foreign vehicle",
    "evcc": "play the vehicle (EVCC) for a real or foreign charging station",
    "backends": "run the pools, the PKI and everything around them: RCP, PCP, CPS, CCP, token, webhooks, EST, OCSP",
    "operators": "run charge point operator, mobility operator, manufacturer and roaming hub, alone or together",
    "fleet": "run many stations in virtual time against one CPO, count what is lost or doubled",
    "doctor": "say what is missing on this machine and how to get it",
}


def _parser(command: str | None) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="plugbench",
        description="Charge point simulator and gateway: from a meter's register to a bill that anyone can check.",
        epilog=EXIT_CODES,
    )
    subparsers = parser.add_subparsers(dest="command", metavar="command", required=True)
    if command in COMMANDS:
        importlib.import_module(f"plugbench.{command}").add_commands(subparsers)
    else:
        for name, text in COMMANDS.items():
            subparsers.add_parser(name, help=text)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code (0 pass, 1 fail, 2 usage or rig error, 3 inconclusive)."""
    words = list(sys.argv[1:] if argv is None else argv)
    args = _parser(words[0] if words else None).parse_args(words)
    try:
        return int(args.run(args))
    except PlugbenchError as error:
        print(f"plugbench: {error}", file=sys.stderr)
        for note in getattr(error, "__notes__", ()):
            print(f"plugbench: {note}", file=sys.stderr)
        return 1 if isinstance(error, PeerError) else 2
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # so that the interpreter's own flush is quiet
        return 1
    except KeyboardInterrupt:
        print("plugbench: interrupted", file=sys.stderr)
        return 3


if __name__ == "__main__":
    sys.exit(main())
