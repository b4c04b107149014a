"""Takes the schemas out of the PyPI wheel that carries them; ISO's XSDs may not be redistributed."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

from ports.errors import RigError

WHEEL = "iso15118==0.31.2"
INSIDE = "iso15118/shared/schemas/"


def wheel(cache: Path) -> Path:
    """The wheel, downloaded into `cache` unless it lies there already."""
    found = sorted(cache.glob("iso15118-0.31.2-*.whl"))
    if not found:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(cache), WHEEL]
        if subprocess.run(command, check=False).returncode:  # noqa: S603 - no outside input
            raise RigError(f"could not download {WHEEL}; give the folder of the XSDs with --schemas FOLDER")
        found = sorted(cache.glob("iso15118-0.31.2-*.whl"))
    return found[0]


def schemas(cache: Path) -> Path:
    """The folder of the schemas, unpacked beside the wheel."""
    folder = cache / "schemas"
    with zipfile.ZipFile(wheel(cache)) as archive:
        for name in archive.namelist():
            if name.startswith(INSIDE) and name.endswith(".xsd"):
                path = folder / name.removeprefix(INSIDE)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(archive.read(name))
    return folder
