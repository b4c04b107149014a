"""A SoftHSM token of its own for every test (a copy of one that is made once), and one behind p11-kit."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import shutil
import signal
import socket
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from hil_rigs.real_clock import RealClock
from hsm.pin import PinSource
from hsm.provision import Module
from hsm.softhsm import find_module, token_folder
from hsm.token_signer import TokenKey, TokenSigner
from ocmf.curves import CURVES
from ocmf.keys import PublicKey
from ports.trace import TraceEvent

PIN = "648219"
LABEL = "plugbench"


@dataclasses.dataclass(frozen=True)
class Tokens:
    """A folder of SoftHSM tokens and how to use it."""

    folder: Path
    module: Module
    pin: PinSource
    keys: dict[str, PublicKey]

    def key(self, name: str = "billing", **changes: Any) -> TokenKey:
        """Configuration of a signer."""
        key = TokenKey(
            module=self.module.path, token=LABEL, key=name, pin=self.pin, environment=self.module.environment
        )
        return dataclasses.replace(key, **changes)


def pin_file(folder: Path, pin: str = PIN) -> PinSource:
    path = folder / f"pin-{pin}"
    path.write_text(pin + "\n", encoding="utf-8")
    path.chmod(0o600)
    return PinSource(path)


@pytest.fixture(scope="session")
def softhsm() -> Path:
    module = find_module()
    if module is None:
        pytest.skip("SoftHSM (Debian package softhsm2) is not installed")
    return module


@pytest.fixture(scope="session")
def prepared(softhsm: Path, tmp_path_factory: pytest.TempPathFactory) -> Tokens:
    """A token with the key "billing" on secp256r1 and one key per curve of table 22, named as the curve."""
    folder = tmp_path_factory.mktemp("tokens")
    module = Module(softhsm, token_folder(folder))
    pin = pin_file(folder)
    module.init_token(LABEL, pin)
    keys = {"billing": module.generate_key(LABEL, "billing", CURVES["secp256r1"], pin)}
    for number, curve in enumerate((curve for curve in CURVES.values() if curve.in_table), start=2):
        keys[curve.name] = module.generate_key(LABEL, curve.name, curve, pin, bytes([number]))
    return Tokens(folder, module, pin, keys)


@pytest.fixture
def tokens(prepared: Tokens, tmp_path: Path) -> Tokens:
    """A copy for one test."""
    folder = tmp_path / "softhsm"
    environment = token_folder(folder)
    shutil.copytree(prepared.folder / "tokens", folder / "tokens", dirs_exist_ok=True)
    return Tokens(folder, Module(prepared.module.path, environment), pin_file(tmp_path), prepared.keys)


@pytest.fixture
def trace() -> list[TraceEvent]:
    return []


@pytest.fixture
async def new_signer(trace: list[TraceEvent]) -> AsyncIterator[Callable[[TokenKey], TokenSigner]]:
    """Signers that are closed at the end of the test."""
    signers: list[TokenSigner] = []

    def make(key: TokenKey) -> TokenSigner:
        signers.append(TokenSigner(key, RealClock(), trace.append, self_check=True))
        return signers[-1]

    yield make
    for signer in signers:
        await signer.close()


class RemoteToken:
    """SoftHSM behind `p11-kit server`: it can be stopped, killed and brought back."""

    def __init__(self, tokens: Tokens, client: Path, folder: Path) -> None:
        self._tokens = tokens
        self._socket = folder / "p11"
        self._server: subprocess.Popen[bytes] | None = None
        self.key = dataclasses.replace(
            tokens.key(),
            module=client,
            environment={"P11_KIT_SERVER_ADDRESS": f"unix:path={self._socket}", "XDG_RUNTIME_DIR": str(folder)},
        )

    def plug_in(self) -> None:
        self._socket.unlink(missing_ok=True)
        self._server = subprocess.Popen(
            ["p11-kit", "server", "-f", "-n", self._socket, "-p", self._tokens.module.path, "pkcs11:"],
            env={**os.environ, **self._tokens.module.environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        assert self._server.stdout is not None
        self._server.stdout.readline()  # it has its socket when it says so
        with socket.socket(socket.AF_UNIX) as probe:
            probe.connect(str(self._socket))

    def remotes(self) -> list[int]:
        assert self._server is not None
        children = Path(f"/proc/{self._server.pid}/task/{self._server.pid}/children")
        return [int(pid) for pid in children.read_text(encoding="ascii").split()]

    def freeze(self) -> None:
        for pid in self.remotes():
            os.kill(pid, signal.SIGSTOP)

    def thaw(self) -> None:
        for pid in self.remotes():
            os.kill(pid, signal.SIGCONT)

    def unplug(self) -> None:
        if self._server is not None:
            for pid in self.remotes():
                with contextlib.suppress(ProcessLookupError):  # it ended by itself meanwhile
                    os.kill(pid, signal.SIGKILL)
            self._server.kill()
            self._server.wait()
            assert self._server.stdout is not None
            self._server.stdout.close()
            self._server = None


@pytest.fixture
def remote(tokens: Tokens, tmp_path: Path) -> Iterator[RemoteToken]:
    clients = sorted(Path("/usr/lib").glob("*/pkcs11/p11-kit-client.so"))
    server = sorted(Path("/usr/lib").glob("*/p11-kit/p11-kit-server")) + sorted(
        Path("/usr/libexec").glob("p11-kit/p11-kit-server")
    )
    if not (shutil.which("p11-kit") and clients and server):
        pytest.skip("p11-kit server (Debian packages p11-kit, p11-kit-modules) is not installed")
    token = RemoteToken(tokens, clients[0], tmp_path)
    token.plug_in()
    yield token
    token.unplug()
