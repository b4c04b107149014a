"""Secrets that a run makes for itself: each in a file of its own, in the private folder that ends with the run."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from backend_client.credential import Credential


def make_secret(path: Path) -> Credential:
    """A random secret in a file."""
    write_secret(path, secrets.token_urlsafe(24))  # 32 characters: OCPP takes 16 to 40
    return Credential(path)


def write_secret(path: Path, secret: str) -> None:
    """A file that only its owner reads; one that is there stays."""
    if not path.exists():
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            file.write(secret)
