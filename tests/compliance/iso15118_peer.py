"""EcoG-io/iso15118 (PyPI `iso15118`, with EXIficient on a JVM) as the other end of a cable.

The cable is a pair of network namespaces joined by a veth pair; the peer lives in an environment of its own under
`.peers/`. Needs root (namespaces) and Java.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import venv
from collections.abc import Callable
from pathlib import Path
from typing import Self

from ports.errors import RigError

REPOSITORY = Path(__file__).parents[2]
HOME = REPOSITORY / ".peers" / "iso15118"
PACKAGES = ("iso15118==0.31.2", "aiofile")  # aiofile is imported by its EVCC, and not declared
PLUGBENCH = (sys.executable, "-m", "plugbench")
READY_S, SESSION_S = 60.0, 120.0


def why_not() -> str:
    """ "" when this machine can run the peer, else what it lacks."""
    return why_no_namespaces() or ("" if shutil.which("java") else "java is not installed")


def why_no_namespaces() -> str:
    """ "" when cables of namespaces can be made, else what is missing."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    if not shutil.which("ip"):
        return "ip is not installed"
    name = f"plugbench-probe-{os.getpid()}"
    probe = subprocess.run(["ip", "netns", "add", name], capture_output=True, check=False)
    subprocess.run(["ip", "netns", "delete", name], capture_output=True, check=False)
    return "network namespaces cannot be made here" if probe.returncode else ""


def python() -> Path:
    """Its interpreter; the environment is made on first use. Raises RigError."""
    HOME.mkdir(parents=True, exist_ok=True)
    found = HOME / "venv/bin/python"
    with (HOME / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (HOME / "ready").exists():
            venv.create(HOME / "venv", with_pip=True)
            if subprocess.run([str(found), "-m", "pip", "install", "-q", *PACKAGES], check=False).returncode:
                raise RigError(f"could not install {' '.join(PACKAGES)} into {HOME}")
            (HOME / "ready").touch()
    return found


class Cable:
    """Two namespaces, `ev` and `se`, each with one end of a link; a context manager."""

    def __init__(self) -> None:
        self.ev, self.se = (f"plugbench-{end}-{os.getpid()}" for end in ("ev", "se"))
        self.interface = "v2g0"

    def __enter__(self) -> Self:
        try:
            for name in (self.ev, self.se):
                _run("ip", "netns", "add", name)
                # without duplicate address detection an address is there at once
                quiet = ["net.ipv6.conf.default.accept_dad=0", "net.ipv6.conf.all.accept_dad=0"]
                _run("ip", "netns", "exec", name, "sysctl", "-qw", *quiet)
            _run("ip", "link", "add", self.interface, "netns", self.ev, "type", "veth", "peer", "name", self.interface,
                 "netns", self.se)  # fmt: skip
            for name in (self.ev, self.se):
                _run("ip", "-n", name, "link", "set", "lo", "up")
                _run("ip", "-n", name, "link", "set", self.interface, "up")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for name in (self.ev, self.se):
            subprocess.run(["ip", "netns", "delete", name], capture_output=True, check=False)


class Process:
    """A program in a namespace; `lines` grow while it runs. Ended with everything it started."""

    def __init__(self, namespace: str, *command: str, folder: Path, **environment: str) -> None:
        self.lines: list[str] = []
        self._changed = threading.Condition()
        self._over = False
        self.process = subprocess.Popen(
            ["ip", "netns", "exec", namespace, *command],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=folder,
            env=os.environ | environment,
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with self._changed:
                self.lines.append(line.rstrip())
                self._changed.notify_all()
        with self._changed:
            self._over = True
            self._changed.notify_all()

    def wait_for(self, found: Callable[[list[str]], bool], what: str, seconds: float = SESSION_S) -> None:
        """Until the lines say so. Raises AssertionError with the last of them."""
        with self._changed:
            self._changed.wait_for(lambda: self._over or found(self.lines), seconds)
            assert found(self.lines), f"no {what}:\n{self.tail()}"

    def wait(self, seconds: float = SESSION_S) -> int:
        """Its exit status."""
        try:
            return self.process.wait(seconds)
        finally:
            self.stop()

    def tail(self, count: int = 40) -> str:
        """The last lines, for messages."""
        return "\n".join(self.lines[-count:])

    def stop(self, number: int = signal.SIGKILL) -> None:
        """End it and what it started; harmless when ended."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, number)
        self.process.wait(30)
        self._reader.join(30)
        assert self.process.stdout is not None
        self.process.stdout.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def peer_secc(cable: Cable, folder: Path, pki: Path | None = None, **settings: str) -> Process:
    """Its station, ready. settings: environment, e.g. PROTOCOLS."""
    (folder / ".env").touch()
    environment = {
        "NETWORK_INTERFACE": cable.interface,
        "PKI_PATH": f"{pki or folder}/",
        "JAVA_TOOL_OPTIONS": "-Xmx128m",
    }
    process = Process(cable.se, str(python()), "-m", "iso15118.secc.main", folder=folder, **environment, **settings)
    try:
        process.wait_for(said("Communication session handler started"), "start of the peer's SECC", READY_S)
    except BaseException:
        process.stop()
        raise
    return process


def peer_evcc(cable: Cable, folder: Path, pki: Path | None = None, **settings: object) -> Process:
    """Its vehicle. settings: of its JSON file."""
    (folder / ".env").touch()
    path = folder / "evcc.json"
    path.write_text(json.dumps(settings))
    environment = {
        "NETWORK_INTERFACE": cable.interface,
        "PKI_PATH": f"{pki or folder}/",
        "JAVA_TOOL_OPTIONS": "-Xmx128m",
    }
    return Process(cable.ev, str(python()), "-m", "iso15118.evcc.main", str(path), folder=folder, **environment)


def _environment(cable: Cable, pki: Path) -> dict[str, str]:
    return {"NETWORK_INTERFACE": cable.interface, "PKI_PATH": f"{pki}/", "JAVA_TOOL_OPTIONS": "-Xmx128m"}


def our_secc(cable: Cable, folder: Path, *words: object) -> Process:
    """Our station, ready."""
    command = [*PLUGBENCH, "secc", "--interface", cable.interface, "--json", *map(str, words)]
    process = Process(cable.se, *command, folder=folder, PYTHONPATH=str(REPOSITORY))
    try:
        process.wait_for(said("stop it with"), "start of our SECC", READY_S)
    except BaseException:
        process.stop()
        raise
    return process


def our_evcc(cable: Cable, folder: Path, *words: object) -> Process:
    """Our vehicle."""
    command = [*PLUGBENCH, "evcc", "--interface", cable.interface, "--json", *map(str, words)]
    return Process(cable.ev, *command, folder=folder, PYTHONPATH=str(REPOSITORY))


def said(text: str) -> Callable[[list[str]], bool]:
    """Whether a line holds a text."""
    return lambda lines: any(text in line for line in lines)


def messages(process: Process) -> list[str]:
    """Names of the messages that one of ours sent and received, in order."""
    events = [json.loads(line) for line in process.lines if line.startswith("{")]
    return [event["message"] for event in events if event["event"] in ("v2g.rx", "v2g.tx")]


def _run(*command: str) -> None:
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    if found.returncode:
        raise RigError(f"{' '.join(command)}: {found.stderr.strip()}")
