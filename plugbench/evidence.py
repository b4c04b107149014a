"""`plugbench evidence`: check again what a run left, in an archive or a folder."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # imported where they are used: the command has to start fast
    from hil_rigs.evidence.verify import Checked
    from ocmf.keys import PublicKey

Subparsers = argparse._SubParsersAction  # noqa: SLF001 - argparse gives its type no public name


def add_commands(subparsers: Subparsers[argparse.ArgumentParser]) -> None:
    """Add `evidence` with its verbs."""
    evidence = subparsers.add_parser("evidence", help="check again what a run left")
    verbs = evidence.add_subparsers(dest="verb", metavar="verb", required=True)
    verify = verbs.add_parser(
        "verify",
        help="check structure, hashes, signatures, page order and verdict",
        epilog="exit codes: 0 everything holds (also of a run that failed), 1 something does not, 2 usage",
    )
    verify.add_argument("evidence", type=Path, metavar="PATH", help="evidence.zip, or the folder of a run")
    verify.add_argument("--digest", default="", metavar="HEX", help="what the run printed: nothing was rewritten since")
    group = verify.add_mutually_exclusive_group()
    group.add_argument("--key", default="", help="public key of the signer, in any encoding (that in the evidence)")
    group.add_argument("--key-file", type=Path, metavar="FILE", help="file with the public key")
    verify.add_argument("--json", action="store_true", help="one JSON object")
    verify.set_defaults(run=_verify)


def _verify(args: argparse.Namespace) -> int:
    """Check and print; 0 everything holds, 1 something does not."""
    from hil_rigs.evidence.verify import check_evidence

    checked = check_evidence(args.evidence, args.digest, _given_key(args))
    if args.json:
        print(json.dumps(_as_dict(checked)))
    else:
        _print(checked, noted=bool(args.digest))
    return 1 if checked.problems else 0


def _given_key(args: argparse.Namespace) -> PublicKey | None:
    from ocmf.keys import KeyFormatError, decode_public_key
    from ports.errors import RigError

    if not (args.key or args.key_file):
        return None
    try:
        return decode_public_key(args.key_file.read_bytes() if args.key_file else args.key)
    except OSError as error:
        raise RigError(f"key file {args.key_file}: {error.strerror}") from None
    except KeyFormatError as error:
        raise RigError(str(error)) from None


def _as_dict(checked: Checked) -> dict[str, object]:
    row = asdict(checked)
    manifest = checked.manifest
    row["holds"] = not checked.problems
    row["manifest"] = None if manifest is None else _about(checked)
    return row


def _about(checked: Checked) -> dict[str, object]:
    manifest = checked.manifest
    assert manifest is not None  # noqa: S101 - for mypy: its caller looked
    names = ("run", "rig", "scenario", "seed", "clock", "started", "verdict", "signer", "is_hsm")
    about: dict[str, object] = {name: getattr(manifest, name) for name in names}
    return {**about, "event_hash": manifest.events.hash, "events": manifest.events.count, "files": len(manifest.files)}


def _print(checked: Checked, *, noted: bool) -> None:
    lines = ["HOLDS" if not checked.problems else "DOES NOT HOLD"]
    if checked.manifest is not None:
        manifest = checked.manifest
        lines[0] += f": {manifest.run}, seed {manifest.seed}, {manifest.clock} time"
        if not checked.problems:
            files = f"{len(manifest.files)} files, {manifest.events.count} events, {checked.records} records"
            lines.append(f"  verdict  {checked.verdict}, found again from what is in it")
            lines.append(f"  checked  {files} signed by {manifest.signer}")
            remark = "as noted" if noted else "compare it with what the run printed, or give it with --digest"
            lines.append(f"  digest   {checked.digest} ({remark})")
    lines += [f"  {problem}" for problem in checked.problems]
    for line in lines:
        print("".join(char if char.isprintable() else "\ufffd" for char in line))
