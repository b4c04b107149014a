"""The signer of a rig: a token, real or private to the run, or a key in a file."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from pathlib import Path

from hil_rigs.resources import FileKeyResource, SignerResource
from hil_rigs.resources.signer import Pkcs11Resource
from hsm.file_signer import FileSigner, make_key_file
from hsm.pin import PinSource
from hsm.provision import Module
from hsm.softhsm import find_module, token_folder
from hsm.token_signer import TokenKey, TokenSigner
from ocmf.curves import CURVES, Curve
from ports.clock import Clock
from ports.errors import RigError
from ports.signer import Signer
from ports.trace import Tracer


def build_signer(
    name: str, resource: SignerResource, folder: Path, clock: Clock, tracer: Tracer, say: Callable[[str], None]
) -> Signer:
    """The signer of resource `name`; what it makes for itself stays in `folder`. `say` takes lines for people.

    Raises RigError: module, token, key or PIN missing.
    """
    curve = CURVES[resource.curve]
    if isinstance(resource, FileKeyResource):
        file = folder / f"{name}.key.pem" if resource.file == "auto" else Path(resource.file)
        if not file.exists():
            make_key_file(file, curve)
        say(f"{name}: signing with the key file {file.name}: NOT AN HSM")
        return FileSigner(file, name)
    module = find_module() if resource.module == "softhsm" else Path(resource.module)
    if module is None:
        if not resource.is_private:
            raise RigError(f"{name}: no SoftHSM library on this machine: apt-get install softhsm2")
        path = folder / f"{name}.key.pem"
        if not path.exists():
            make_key_file(path, curve)
        say(f"{name}: no SoftHSM on this machine, signing with the key file {path.name}: NOT AN HSM")
        return FileSigner(path, resource.key)
    environment: dict[str, str] = {}
    if resource.is_private:
        pin, environment = _private_token(resource, module, folder / f"{name}.token", curve)
    else:
        pin = PinSource(resource.pin_file, resource.pin_env or "")
    key = TokenKey(module=module, token=resource.token, key=resource.key, pin=pin, environment=environment)
    return TokenSigner(key, clock, tracer)


def _private_token(
    resource: Pkcs11Resource, module: Path, folder: Path, curve: Curve
) -> tuple[PinSource, dict[str, str]]:
    pin_file = folder / "pin"
    pin = PinSource(pin_file)
    environment = token_folder(folder)
    if not pin_file.exists():
        pin_file.touch(mode=0o600)
        pin_file.write_text(f"{secrets.randbelow(10**8):08}", encoding="ascii")
        library = Module(module, environment)
        library.init_token(resource.token, pin)
        library.generate_key(resource.token, resource.key, curve, pin)
    return pin, environment
