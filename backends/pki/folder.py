"""A PKI in a folder: settings (pki.toml), store (pki.db), private keys, certificates."""

from __future__ import annotations

import os
import secrets
import tomllib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec

from backends.pki.authorities import CertificateAuthorities
from backends.pki.ca_keys import FileKeys, Passphrase
from backends.pki.token_keys import TokenKeys
from backends.store.database import Database
from hsm.pin import PinSource
from hsm.provision import Module
from ports.clock import Clock
from ports.errors import RigError

SETTINGS = "pki.toml"
PASSPHRASE = "passphrase"  # noqa: S105 - name of the file
OCSP_URL = "http://localhost:8080/ocsp"


class TokenSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Where CA keys are, if in a token. environment: variables that the module wants. The PIN by reference."""

    module: str
    token: str
    pin_file: str = ""
    pin_env: str = ""
    environment: dict[str, str] = {}


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Content of pki.toml. database: SQLAlchemy URL, "" = pki.db in the folder. Relative paths start in the folder."""

    ocsp_url: str = OCSP_URL
    database: str = ""
    passphrase_file: str = ""
    passphrase_env: str = ""
    token: TokenSettings | None = None


def create_folder(folder: Path, settings: Settings) -> None:
    """Write pki.toml, and a random passphrase if the settings name none. Raises RigError; never overwrites."""
    if (folder / SETTINGS).exists():
        raise RigError(f"{folder / SETTINGS} exists: this folder holds a PKI; name another realm to add to it")
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not settings.passphrase_file and not settings.passphrase_env:
            settings = msgspec.structs.replace(settings, passphrase_file=PASSPHRASE)
            _write_private(folder / PASSPHRASE, secrets.token_urlsafe(24) + "\n")
        _write_private(folder / SETTINGS, _toml(settings))
    except OSError as error:
        raise RigError(f"{folder}: {error.strerror}") from None


@asynccontextmanager
async def open_folder(
    folder: Path, clock: Clock, database: Database | None = None
) -> AsyncIterator[CertificateAuthorities]:
    """The certificate authorities of a folder. database: instead of the folder's own; it stays open then.

    Raises RigError: no PKI there, mistakes in its settings, database or token not usable.
    """
    settings = read_settings(folder)
    own = database is None
    store = database or Database(settings.database or f"sqlite:///{folder / 'pki.db'}", clock)
    try:
        authorities = CertificateAuthorities(
            store, clock, _keys(folder, settings), token=_token(folder, settings, clock), ocsp_url=settings.ocsp_url
        )
        try:
            yield authorities
        finally:
            await authorities.close()
    finally:
        if own:
            await store.close()


def read_settings(folder: Path) -> Settings:
    """Raises RigError."""
    path = folder / SETTINGS
    try:
        return msgspec.convert(tomllib.loads(path.read_text(encoding="utf-8")), Settings, strict=True)
    except FileNotFoundError:
        raise RigError(f"{folder} holds no PKI ({SETTINGS} is missing): make one with `plugbench pki init`") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise RigError(f"{path}: {error}") from None


def _keys(folder: Path, settings: Settings) -> FileKeys:
    file = folder / settings.passphrase_file if settings.passphrase_file else None
    return FileKeys(folder / "private_keys", Passphrase(file, settings.passphrase_env))


def _token(folder: Path, settings: Settings, clock: Clock) -> TokenKeys | None:
    if settings.token is None:
        return None
    pin = PinSource(folder / settings.token.pin_file if settings.token.pin_file else None, settings.token.pin_env)
    return TokenKeys(Module(Path(settings.token.module), settings.token.environment), settings.token.token, pin, clock)


def _toml(settings: Settings) -> str:
    """TOML of flat tables of strings, which is all that the settings are."""
    tables = msgspec.to_builtins(settings)
    token = tables.pop("token", None) or {}
    environment = token.pop("environment", {})
    lines = [f"{key} = {msgspec.json.encode(value).decode()}" for key, value in tables.items()]
    for name, table in (("token", token), ("token.environment", environment)):
        if table:
            lines += ["", f"[{name}]"]
            lines += [f"{key} = {msgspec.json.encode(value).decode()}" for key, value in table.items()]
    return "\n".join(lines) + "\n"


def _write_private(path: Path, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
