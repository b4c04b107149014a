"""`python -m v2g.exi.generator [--schemas FOLDER] [--output FOLDER]`: write `v2g/exi/generated/` anew."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from ports.errors import PlugbenchError
from v2g.exi.generator.generate import MARK, generate
from v2g.exi.generator.report import report
from v2g.exi.generator.wheel import schemas

REPOSITORY = Path(__file__).parents[3]


def main() -> int:
    parser = argparse.ArgumentParser(prog="v2g.exi.generator", description=__doc__)
    parser.add_argument("--schemas", type=Path, help="folder of the XSDs (default: out of the PyPI wheel iso15118)")
    parser.add_argument("--output", type=Path, default=REPOSITORY / "v2g/exi/generated")
    arguments = parser.parse_args()
    try:
        folder = arguments.schemas or schemas(REPOSITORY / ".peers/wheels")
        flatteners, library, files = generate(folder)
    except PlugbenchError as error:
        sys.stderr.write(f"generate: {error}\n")
        return 2
    write(files, arguments.output)
    sys.stdout.write(report(flatteners, library, folder) + f"\n{len(files)} files written to {arguments.output}\n")
    return 0


def write(files: dict[str, str], output: Path) -> None:
    """Write the files and drop generated ones that are no longer made."""
    for path in output.rglob("*.py"):
        if path.relative_to(output).as_posix() not in files and MARK in path.read_text():
            path.unlink()
    for name, text in files.items():
        path = output / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


if __name__ == "__main__":
    sys.exit(main())
