"""`plugbench story`: a run as a sequence, every message decoded, every signature checked again."""

from __future__ import annotations

import argparse
import json
from pathlib import Path


def add_commands(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `story`."""
    parser = subparsers.add_parser(
        "story",
        help="tell a run as a sequence: every message decoded, every signature checked again",
        epilog="exit codes: 0 every signature holds, 1 one does not, 2 usage",
    )
    parser.add_argument("run_folder", type=Path, metavar="RUN", help="the folder of a run, or its evidence.zip")
    parser.add_argument("--mermaid", action="store_true", help="the diagram only, for viewers of Mermaid")
    parser.add_argument("--json", action="store_true", help="one JSON object")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print it; 0 when no signature is wrong."""
    from hil_rigs.story.diagram import sequence_diagram
    from hil_rigs.story.tell import tell
    from hil_rigs.story.write import as_json, markdown

    story = tell(args.run_folder)
    if args.json:
        print(json.dumps(as_json(story), default=str))
    elif args.mermaid:
        print(sequence_diagram(story.passages), end="")
    else:
        print(markdown(story))
    return 0 if story.is_sound else 1
