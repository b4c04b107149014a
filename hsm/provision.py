"""Tokens and keys: made, listed and exported. Blocking, for commands; every call has a process of its own."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from hsm.errors import Remedy, TokenError
from hsm.pin import PinSource
from hsm.token_keys import ec_params, public_key_of
from hsm.worker_process import ask_once
from ocmf.curves import CURVES, Curve
from ocmf.keys import PublicKey

_INIT = Path(__file__).with_name("init_token.py")


@dataclass(frozen=True, slots=True)
class ListedKey:
    """An EC key seen on a token; public is None for private halves and for curves that OCMF does not know."""

    kind: str
    label: str
    key_id: bytes
    public: PublicKey | None


@dataclass(frozen=True, slots=True)
class ListedToken:
    """A token of a module and its keys."""

    label: str
    serial: str
    model: str
    manufacturer: str
    keys: tuple[ListedKey, ...]


@dataclass(frozen=True, slots=True)
class Module:
    """A PKCS#11 library and the variables that it wants."""

    path: Path
    environment: Mapping[str, str]

    def list_tokens(self, *, login: str = "", pin: PinSource | None = None) -> tuple[str, tuple[ListedToken, ...]]:
        """The library's own name, and its tokens; private keys only of the token `login`. Raises TokenError."""
        secret, withheld = (pin.read(), pin.variable) if pin and login else ("", pin.variable if pin else "")
        found = ask_once(
            "inventory",
            {"module": self._checked(), "login_token": login if secret else ""},
            pin=secret,
            environment=self.environment,
            withheld=withheld,
        )
        tokens = tuple(
            ListedToken(
                token["label"],
                token["serial"],
                token["model"],
                token["manufacturer"],
                tuple(
                    ListedKey(key["kind"], key["label"], bytes.fromhex(key["id"]), _public(key))
                    for key in token["keys"]
                ),
            )
            for token in found["tokens"]
        )
        return found["library"], tokens

    def init_token(self, label: str, pin: PinSource, so_pin: PinSource | None = None) -> None:
        """Initialise a blank token. Without an SO PIN a random one is used and forgotten: the token is then final.

        Raises TokenError: no blank token, a token of that label exists, PIN too short.
        """
        request = {
            "module": self._checked(),
            "label": label,
            "pin": pin.read(),
            "so_pin": so_pin.read() if so_pin else secrets.token_hex(8),
        }
        if not label or len(label.encode()) > 32:
            raise TokenError(Remedy.FATAL, f"a token label has 1 to 32 octets: {label!r}")
        run = subprocess.run(  # noqa: S603 - our own file
            [sys.executable, "-I", str(_INIT)],
            input=json.dumps(request),
            env=_without(self.environment, pin, so_pin),
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        if run.returncode or not run.stdout:
            raise TokenError(Remedy.OPERATOR, f"initialising token {label!r} failed: {run.stderr.strip()[-300:]}")
        reply = json.loads(run.stdout)
        if "call" in reply:
            raise TokenError(
                Remedy.OPERATOR, f"token {label!r}: {reply['call']} gave CKR 0x{reply['ckr']:X}", reply["ckr"]
            )
        if "error" in reply:
            raise TokenError(Remedy.OPERATOR, f"token {label!r}: {reply['error']}")

    def generate_key(self, token: str, key: str, curve: Curve, pin: PinSource, key_id: bytes = b"\x01") -> PublicKey:
        """Make a key pair on the token: sensitive, not extractable. Raises TokenError, also when it exists."""
        found = ask_once(
            "generate",
            {
                "module": self._checked(),
                "token": token,
                "key": key,
                "key_id": key_id.hex(),
                "params": ec_params(curve).hex(),
            },
            pin=pin.read(),
            environment=self.environment,
            withheld=pin.variable,
        )
        return public_key_of(bytes.fromhex(found["params"]), bytes.fromhex(found["point"]))

    def curves(self, token: str, pin: PinSource) -> tuple[tuple[Curve, ...], Mapping[str, str]]:
        """The curves of OCMF's table 22 that the token can make keys on, and why not the others. Raises TokenError."""
        asked = {curve.name: ec_params(curve).hex() for curve in CURVES.values() if curve.in_table}
        found = ask_once(
            "curves",
            {"module": self._checked(), "token": token, "params": asked},
            pin=pin.read(),
            environment=self.environment,
            withheld=pin.variable,
        )
        return tuple(CURVES[name] for name in found["curves"]), found["refused"]

    def _checked(self) -> str:
        if not self.path.is_file():
            raise TokenError(
                Remedy.FATAL, f"PKCS#11 module {self.path} is not there (SoftHSM: Debian package softhsm2)"
            )
        return str(self.path)


def _public(key: Mapping[str, str]) -> PublicKey | None:
    if "point" not in key:
        return None
    try:
        return public_key_of(bytes.fromhex(key["params"]), bytes.fromhex(key["point"]))
    except TokenError:
        return None


def _without(environment: Mapping[str, str], *pins: PinSource | None) -> dict[str, str]:
    withheld = {pin.variable for pin in pins if pin}
    return {name: value for name, value in {**os.environ, **environment}.items() if name not in withheld}
