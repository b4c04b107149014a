"""Docs stay true: every relative link in README, CHANGELOG and docs/ leads to a file that exists."""

from __future__ import annotations

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LINK = re.compile(r"\]\((?!https?:|mailto:|#)([^)#\s]+)")


def main() -> int:
    """Print each dead link with file and line; 1 when there is one."""
    dead = 0
    pages = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]
    for page in pages:
        for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), start=1):
            for target in LINK.findall(line):
                if not (page.parent / target).exists():
                    print(f"{page.relative_to(ROOT)}:{number}: no such file: {target}")
                    dead += 1
    print(f"docs: {len(pages)} pages, {dead} dead links")
    return 1 if dead else 0


if __name__ == "__main__":
    sys.exit(main())
