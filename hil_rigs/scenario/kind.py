"""Tells scenario files from rig files, without reading them as either."""

from __future__ import annotations

import re
from pathlib import Path


def is_scenario(path: Path) -> bool:
    """Whether a YAML file says `scenario:` at its top level."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError):
        return False
    return re.search(r"^scenario:", text, re.MULTILINE) is not None
