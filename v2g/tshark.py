"""TLS in captures: decrypted by tshark (Wireshark) with a key log, when it is installed."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from ipaddress import ip_address
from pathlib import Path

from ports.errors import RigError
from v2g.capture import Capture, ClearText, read_capture

_FIELDS = (
    "frame.number",
    "frame.time_epoch",
    "ip.src",
    "ipv6.src",
    "tcp.srcport",
    "ip.dst",
    "ipv6.dst",
    "tcp.dstport",
    "data.data",
)
_TIMEOUT_SECONDS = 600


def read_capture_file(path: Path, key_log: Path | None = None) -> Capture:
    """Read a capture file; TLS connections are opened when there are keys, in a key log or in the file.

    Raises RigError when there are keys but no tshark, or tshark fails. Without keys a note says what stays closed.
    """
    try:
        capture = read_capture(path.read_bytes())
    except OSError as error:
        raise RigError(f"{path}: {error.strerror}") from error
    if capture.tls and (key_log is not None or capture.secrets):
        capture.open_tls(decrypt(path, key_log))
    for connection in capture.tls:
        why = "no keys (give a TLS key log)" if key_log is None and not capture.secrets else "the keys do not fit"
        capture.notes.append(f"stream {connection.number} is TLS and stays closed: {why}")
    return capture


def decrypt(path: Path, key_log: Path | None = None) -> list[ClearText]:
    """Clear text of all TLS connections of a capture file, in file order. Raises RigError, see above."""
    program = shutil.which("tshark")
    if program is None:
        raise RigError("reading TLS needs tshark: install the package tshark (Debian) or leave the key log out")
    if key_log is not None and not key_log.is_file():
        raise RigError(f"{key_log}: no such TLS key log")
    command = [program, "-n", "-r", str(path), "-Y", "tls && data.data", "-T", "fields"]
    for name in _FIELDS:
        command += ["-e", name]
    if key_log is not None:
        command += ["-o", f"tls.keylog_file:{key_log.resolve()}"]
    with tempfile.TemporaryDirectory() as empty:
        # without the user's settings and plug-ins: a V2G dissector would eat the payload
        environment = os.environ | {"WIRESHARK_CONFIG_DIR": empty, "WIRESHARK_PLUGIN_DIR": empty, "LC_ALL": "C.UTF-8"}
        try:
            result = subprocess.run(  # noqa: S603 - fixed program, no shell
                command, capture_output=True, text=True, check=False, env=environment, timeout=_TIMEOUT_SECONDS
            )
        except subprocess.TimeoutExpired as error:
            raise RigError(f"tshark needed more than {_TIMEOUT_SECONDS} s for {path}") from error
    if result.returncode:
        raise RigError(f"tshark failed on {path}: {result.stderr.strip()}")
    return [_clear_text(line.split("\t")) for line in result.stdout.splitlines() if line]


def _clear_text(row: list[str]) -> ClearText:
    number, time, source4, source6, source_port, target4, target6, target_port, octets = row
    source = ip_address(source6 or source4), int(source_port)
    target = ip_address(target6 or target4), int(target_port)
    return ClearText(int(number), float(time), source, target, bytes.fromhex(octets.replace(",", "").replace(":", "")))
