"""`make bench`: run every benchmark, or those named with --only."""

from __future__ import annotations

import argparse
import importlib
import sys
from pathlib import Path

from benchmarks.report import Report

NOT_BENCHMARKS = {"__init__", "__main__", "report"}


def main() -> int:
    """Run the benchmarks; 1 when a promise is missed."""
    names = sorted(path.stem for path in Path(__file__).parent.glob("*.py") if path.stem not in NOT_BENCHMARKS)
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--only", default=",".join(names), help=f"comma separated, of: {', '.join(names)}")
    parser.add_argument("--json", action="store_true", help="one JSON object per line")
    args = parser.parse_args()
    wanted = [name for name in str(args.only).split(",") if name]
    unknown = sorted(set(wanted) - set(names))
    if unknown:
        parser.error(f"no benchmark named {', '.join(unknown)}; there are: {', '.join(names)}")
    report = Report(as_json=args.json)
    for name in wanted:
        module = importlib.import_module(f"benchmarks.{name}")
        if not args.json:
            print(f"{name}: {module.TITLE}")
        module.run(report)
    missed = [line.name for line in report.lines if line.kept is False]
    if missed:
        print(f"missed: {'; '.join(missed)}", file=sys.stderr)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
