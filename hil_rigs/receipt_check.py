"""The metering receipts of a run: verified offline, and kept as files for whoever wants to verify them again."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from asn1crypto.x509 import Certificate  # type: ignore[import-untyped]

from backends.pki.export import as_pem, write
from gateway.receipt import Receipt, ReceiptError, verify_receipt
from hil_rigs.bench import Bench
from hil_rigs.session_run import SessionResult
from ocmf.keys import PublicKey
from v2g.certificates import load
from v2g.link.tls_settings import read_certificates

ROOTS = ("mo-root.pem", "v2g-root.pem")


async def check_receipts(
    bench: Bench, sessions: Sequence[SessionResult], key: PublicKey, folder: Path
) -> tuple[int, list[str]]:
    """How many hold, and what is wrong with the others. They stay in `folder`: receipts/<page>.exi and <page>.pem.

    key: of the station's signer, as it is known for itself.
    """
    roots = _roots(bench)
    problems: list[str] = []
    held = 0
    for session in sessions:
        for receipt in await bench.controller.receipts(session.transaction_id) if session.transaction_id else ():
            _keep(folder / "receipts", receipt)
            try:
                verify_receipt(receipt, key.hex(), roots or None, bench.clock.now() if roots else None)
                held += 1
            except ReceiptError as error:
                problems.append(f"{session.transaction_id}: {error}")
    return held, problems


def _roots(bench: Bench) -> list[Certificate]:
    """Of contracts, where the run has made them; none for certificates of others."""
    files = [bench.pki.common / name for name in ROOTS]
    return [root for file in files if file.is_file() for root in read_certificates(file)]


def _keep(folder: Path, receipt: Receipt) -> None:
    write(folder / f"{receipt.page}.exi", receipt.exi)
    write(folder / f"{receipt.page}.pem", as_pem([load(one) for one in receipt.certificates]))
