"""The layout for Josev has every file that the PyPI package iso15118 (0.31.2) names in iso15118/shared/security.py.

The names are read out of the wheel (fetched beside the other peers), not copied from it.
"""

from __future__ import annotations

import re
import zipfile
from pathlib import Path

import pytest

from plugbench.__main__ import main
from ports.errors import RigError
from tests.compliance.exificient import PEERS
from v2g.exi.generator import wheel


def test_every_file_that_josev_names_is_there(tmp_path: Path) -> None:
    try:
        package = wheel.wheel(PEERS / "wheels")
    except (OSError, RigError) as error:
        pytest.skip(f"the wheel of iso15118 is not here and cannot be fetched: {error}")
    with zipfile.ZipFile(package) as archive:
        source = archive.read("iso15118/shared/security.py").decode()
    assert main(["pki", "init", str(tmp_path / "pki")]) == 0
    assert main(["pki", "export", str(tmp_path / "pki"), str(tmp_path / "out"), "--layout", "josev"]) == 0
    folder = tmp_path / "out" / "iso15118_2"
    for name, place in (("CertPath", "certs"), ("KeyPath", "private_keys"), ("KeyPasswordPath", "private_keys")):
        body = source.partition(f"class {name}(")[2].partition("\nclass ")[0]
        files = re.findall(r'^    [A-Z0-9_]+ = "([A-Za-z0-9.]+)"', body, re.MULTILINE)
        assert len(files) >= 5
        assert [file for file in files if not (folder / place / file).is_file()] == []
