"""Whether a good rig file can run on this machine: ports, libraries, programs, files, environment."""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

from serial.tools import list_ports

from hil_rigs.plug_and_charge_checks import AUTO
from hil_rigs.resources import (
    CpoMqttResource,
    CpoRestResource,
    CsmsResource,
    FileKeyResource,
    HubResource,
    MeterResource,
    MoResource,
    OemResource,
    Pkcs11Resource,
    PoolsResource,
    SerialReaderResource,
    SerialResource,
    VehicleResource,
)
from hil_rigs.resources.secc import SeccSettings
from hil_rigs.rig_checks import Finding
from hil_rigs.rig_file import RigFile
from hil_rigs.typed_yaml import Place, Problem

SOFTHSM_LIBRARIES = (  # Debian, Fedora, Homebrew
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib64/softhsm/libsofthsm2.so",
    "/usr/lib64/pkcs11/libsofthsm2.so",
    "/usr/local/lib/softhsm/libsofthsm2.so",
)


def softhsm_is_installed() -> bool:
    """Whether its library is where distributions put it."""
    return any(Path(library).exists() for library in SOFTHSM_LIBRARIES)


def ports_found() -> list[str]:
    """Serial ports of this machine, by their stable names where they have one."""
    by_id = Path("/dev/serial/by-id")
    stable = {os.path.realpath(link): str(link) for link in by_id.iterdir()} if by_id.is_dir() else {}
    return sorted(stable.get(port.device, port.device) for port in list_ports.comports())


def port_holder(path: Path) -> str | None:
    """The process that has a port open, as far as we may see; the port itself is not touched."""
    wanted = os.path.realpath(path)
    for link in Path("/proc").glob("[0-9]*/fd/*"):
        try:
            if str(link.readlink()) == wanted:
                process = link.parent.parent
                return f"process {process.name} ({(process / 'comm').read_text(encoding='utf-8').strip()})"
        except OSError:  # not ours, or gone meanwhile
            continue
    return None


def _group(path: Path) -> str:
    try:
        return path.group()
    except KeyError:
        return str(path.stat().st_gid)


def _port(name: str, bus: SerialResource | SerialReaderResource) -> Iterator[Finding]:
    if bus.port == "virtual":
        return
    place = ("resources", name, "port")
    path = Path(bus.port)
    if not path.exists():
        yield place, f"{bus.port} is not there; ports of this machine: {', '.join(ports_found()) or 'none'}"
    elif not path.is_char_device():
        yield place, f"{bus.port} is not a serial port"
    elif not os.access(path, os.R_OK | os.W_OK):
        yield place, f"no permission for {bus.port}: add yourself to the group {_group(path)} and log in again"
    elif (holder := port_holder(path)) is not None:
        yield place, f"{bus.port} is in use by {holder}"


def _secret(name: str, key: str, file: Path | None, variable: str | None) -> Iterator[Finding]:
    if file is not None and not os.access(file, os.R_OK):
        # what stands here may be the secret itself: it is not shown
        yield ("resources", name, f"{key}_file"), "the file that it names cannot be read (relative to the rig file)"
    elif file is not None and file.stat().st_mode & 0o077:
        yield ("resources", name, f"{key}_file"), "the file that it names can be read by others: chmod 600"
    if variable is not None and variable not in os.environ:
        yield ("resources", name, f"{key}_env"), f"the environment has no variable {variable}"


def _token(name: str, token: Pkcs11Resource) -> Iterator[Finding]:
    place = ("resources", name, "module")
    if token.module == "softhsm":
        if not token.is_private and not softhsm_is_installed():
            yield place, "SoftHSM is not installed: apt-get install softhsm2, or use kind: file_key (not an HSM)"
    elif not Path(token.module).exists():
        yield place, f"no PKCS#11 library at {token.module}"
    yield from _secret(name, "pin", token.pin_file, token.pin_env)


def _key_file(name: str, key: FileKeyResource) -> Iterator[Finding]:
    if key.file != "auto" and not Path(key.file).parent.is_dir():
        yield ("resources", name, "file"), f"no folder {Path(key.file).parent}"


def _model_file(name: str, meter: MeterResource) -> Iterator[Finding]:
    if meter.model_file is not None and not meter.model_file.is_file():
        yield ("resources", name, "model_file"), f"no file {meter.model_file}"


def _broker(name: str, cpo: CpoMqttResource) -> Iterator[Finding]:
    if cpo.broker == "spawn" and not (shutil.which("mosquitto") or Path("/usr/sbin/mosquitto").exists()):
        yield ("resources", name, "broker"), "mosquitto is not installed: apt-get install mosquitto"
    yield from _secret(name, "password", cpo.password_file, cpo.password_env)


def lesser(rig_file: RigFile) -> list[Problem]:
    """What this machine can do only less well than the rig asks, without stopping it."""
    return [
        rig_file.problem(
            ("resources", name, "module"),
            "SoftHSM is not installed (apt-get install softhsm2): a key in a file signs instead, shown as not an HSM",
        )
        for name, found in rig_file.rig.resources.items()
        if isinstance(found, Pkcs11Resource) and found.is_private and not softhsm_is_installed()
    ]


def _trust(
    name: str, one: CpoMqttResource | CpoRestResource | CsmsResource | PoolsResource | MoResource | HubResource
) -> Iterator[Finding]:
    if one.ca_file is not None and not one.ca_file.is_file():
        yield ("resources", name, "ca_file"), f"no file {one.ca_file}"


def _csms(name: str, csms: CsmsResource) -> Iterator[Finding]:
    yield from _trust(name, csms)
    yield from _secret(name, "password", csms.password_file, csms.password_env)
    yield from _secret(name, "key", csms.key_file, None)
    if csms.certificate_file is not None and not csms.certificate_file.is_file():
        yield ("resources", name, "certificate_file"), f"no file {csms.certificate_file}"


def _pools(name: str, one: PoolsResource | MoResource | OemResource) -> Iterator[Finding]:
    if not isinstance(one, OemResource):
        yield from _trust(name, one)
    if isinstance(one, MoResource):
        yield from _secret(name, "token", one.token_file, None)
    yield from _secret(name, "secret", one.secret_file, None)


def _interface(place: Place, name: str | None) -> Iterator[Finding]:
    known = {each for _, each in socket.if_nameindex()}
    if name is not None and name not in known:
        yield place, f"there is no network interface {name}; there are: {', '.join(sorted(known))}"


def _vehicle(name: str, vehicle: VehicleResource) -> Iterator[Finding]:
    if vehicle.netns is None:  # what is in another namespace is seen when the run begins
        yield from _interface(("resources", name, "interface"), vehicle.interface)
    if vehicle.pki not in (None, AUTO) and not Path(vehicle.pki or "").is_dir():
        yield ("resources", name, "pki"), f"no folder {vehicle.pki}"


def _secc(number: int, secc: SeccSettings) -> Iterator[Finding]:
    place = ("gateway", "connectors", number, "secc")
    yield from _interface((*place, "interface"), secc.interface)
    if secc.pki not in (None, AUTO) and not Path(secc.pki or "").is_dir():
        yield (*place, "pki"), f"no folder {secc.pki}"


def surroundings(rig_file: RigFile) -> list[Problem]:
    """What this machine lacks for the rig, each with the line that asks for it; it cannot run until they are met."""
    findings: list[Finding] = []
    for name, found in rig_file.rig.resources.items():
        match found:
            case SerialResource() | SerialReaderResource():
                findings += _port(name, found)
            case Pkcs11Resource():
                findings += _token(name, found)
            case FileKeyResource():
                findings += _key_file(name, found)
            case MeterResource():
                findings += _model_file(name, found)
            case CpoMqttResource():
                findings += [*_broker(name, found), *_trust(name, found)]
            case CpoRestResource():
                findings += [*_secret(name, "bearer", found.bearer_file, found.bearer_env), *_trust(name, found)]
            case VehicleResource():
                findings += _vehicle(name, found)
            case CsmsResource():
                findings += _csms(name, found)
            case PoolsResource() | MoResource() | OemResource():
                findings += _pools(name, found)
            case HubResource():
                findings += _trust(name, found)
            case _:
                pass
    for number, connector in enumerate(rig_file.rig.gateway.connectors):
        if connector.secc is not None:
            findings += _secc(number, connector.secc)
    journal = rig_file.rig.gateway.journal
    if journal != "auto" and not Path(journal).parent.is_dir():
        findings.append((("gateway", "journal"), f"no folder {Path(journal).parent}"))
    return [rig_file.problem(place, message) for place, message in findings]
