"""`plugbench doctor`: what this machine has, what is missing, and how to get it."""

from __future__ import annotations

import argparse
import importlib.util
import json
import shutil
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

# The rooms of the house are top-level import names; see docs/decisions/0001-import-names.md.
OWN_PACKAGES = (
    "backend_client", "backends", "firmware_sim", "gateway", "hil_rigs", "hsm", "meters", "ocmf", "plugbench", "ports",
    "transparency", "v2g", "wire",
)  # fmt: skip

# program: (Debian package, what it serves, whether a default run works without it)
PROGRAMS: dict[str, tuple[str, str]] = {
    "softhsm2-util": ("softhsm2", "the token that signs; without it a file key signs, shown as not an HSM"),
    "mosquitto": ("mosquitto", "the broker of rigs/mqtt.yaml"),
    "pkcs11-tool": ("opensc", "a second view of the token, in tests"),
    "openssl": ("openssl", "a foreign verifier, in tests"),
    "mbpoll": ("mbpoll", "a foreign Modbus master, in tests"),
    "tshark": ("tshark", "decoding captures with TLS keys"),
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report. level: "ok", "missing" (something works less well) or "broken"."""

    level: str
    what: str
    advice: str = ""


def check_packages(root: Path) -> list[Finding]:
    """Every package of ours must come from `root`; one of the same name elsewhere shadows ours."""
    findings = []
    for name in OWN_PACKAGES:
        spec = importlib.util.find_spec(name)
        origin = Path(spec.origin).resolve() if spec and spec.origin else None
        if origin is None:
            findings.append(Finding("broken", f"package {name} is not importable", "install plugbench again"))
        elif origin.parent != root / name:
            advice = f"uninstall the distribution that brought it, or take {origin.parent.parent} off the path"
            findings.append(Finding("broken", f"package {name} comes from {origin.parent}: it shadows ours", advice))
    return findings or [Finding("ok", f"{len(OWN_PACKAGES)} packages come from {root}")]


def check_programs() -> list[Finding]:
    """Which of the foreign programs are on PATH (or in /usr/sbin, where Debian keeps servers)."""
    findings = []
    for program, (package, use) in PROGRAMS.items():
        path = shutil.which(program) or shutil.which(program, path="/usr/sbin:/usr/local/sbin")
        if path:
            findings.append(Finding("ok", f"{program}: {path}"))
        else:
            findings.append(Finding("missing", f"{program}: {use}", f"apt-get install {package}"))
    return findings


def check_token_library() -> list[Finding]:
    """Whether a PKCS#11 module for the embedded default is there."""
    from hsm.softhsm import find_module

    module = find_module()
    if module is None:
        return [Finding("missing", "no SoftHSM module: runs sign with a file key", "apt-get install softhsm2")]
    return [Finding("ok", f"PKCS#11 module: {module}")]


def check_serial_ports() -> list[Finding]:
    """Which serial ports there are."""
    from serial.tools import list_ports

    ports = [f"{port.device} ({port.description})" for port in list_ports.comports()]
    return [Finding("ok", f"serial ports: {', '.join(ports) if ports else 'none, virtual lines only'}")]


def check_clock() -> list[Finding]:
    """How far the civil time of this machine may be trusted."""
    from hil_rigs.real_clock import RealClock

    status = RealClock().status()
    if status.value == "S":
        return [Finding("ok", "clock: synchronised, records carry time status S")]
    advice = "run an NTP client (systemd-timesyncd, chrony); without one records are honest and say so"
    return [Finding("missing", f"clock: not synchronised, records carry time status {status.value}", advice)]


def add_commands(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `doctor`."""
    parser = subparsers.add_parser("doctor", help="say what is missing on this machine and how to get it")
    parser.add_argument("--json", action="store_true", help="one JSON object")
    parser.set_defaults(run=doctor)


def doctor(args: argparse.Namespace) -> int:
    """Print every finding; 2 when something is broken, else 0."""
    version = ".".join(map(str, sys.version_info[:3]))
    findings = [
        Finding("ok", f"Python {version}, {sys.platform}"),
        *check_packages(Path(__file__).resolve().parent.parent),
        *check_programs(),
        *check_token_library(),
        *check_serial_ports(),
        *check_clock(),
    ]
    if args.json:
        print(json.dumps({"findings": [asdict(finding) for finding in findings]}))
    else:
        for finding in findings:
            print(f"{finding.level:<8} {finding.what}")
            if finding.advice:
                print(f"         -> {finding.advice}")
    return 2 if any(finding.level == "broken" for finding in findings) else 0
