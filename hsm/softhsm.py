"""SoftHSM: where Debian keeps it, and a token folder that belongs to one run only."""

from __future__ import annotations

from pathlib import Path

_PLACES = (
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib/*/softhsm/libsofthsm2.so",
    "/usr/lib64/softhsm/libsofthsm2.so",
    "/usr/lib64/pkcs11/libsofthsm2.so",
    "/usr/local/lib/softhsm/libsofthsm2.so",
)


def find_module() -> Path | None:
    """The PKCS#11 module of SoftHSM 2; None when it is not installed (Debian package softhsm2)."""
    for place in _PLACES:
        found = sorted(Path("/").glob(place.lstrip("/")))
        if found:
            return found[0]
    return None


def token_folder(folder: Path) -> dict[str, str]:
    """Make a folder for tokens (mode 0700) and return the environment that a module needs to use only that."""
    tokens = folder / "tokens"
    tokens.mkdir(mode=0o700, parents=True, exist_ok=True)
    config = folder / "softhsm2.conf"
    config.write_text(
        f"directories.tokendir = {tokens}\nobjectstore.backend = file\nlog.level = ERROR\nslots.removable = false\n",
        encoding="utf-8",
    )
    return {"SOFTHSM2_CONF": str(config)}
