"""Makes the keys of contracts where they can be destroyed: in a process that ends with the key.

The contract's private key, the ephemeral key and the session key have to be erased once the private key is wrapped for
the vehicle ([V2G20-2496], OPCP cps.v1). Python cannot wipe its memory, an operating system can: a small worker forks
one child per key, which makes the keys, wraps, answers with public parts and ends. It runs as
`python -m backends.pools.contract_key_worker` and speaks lines of JSON.
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_public_key

from ports.clock import Clock
from ports.errors import LocalError, RigError
from v2g.contract_key import ISO2, SECP521, Envelope, SealedKey, additional_data, seal_key

ENVELOPES = {envelope.name: envelope for envelope in (ISO2, SECP521)}
ROOT = Path(__file__).resolve().parents[2]
ANSWER_S = 10.0


@dataclass(frozen=True, slots=True)
class NewKey:
    """public_key: DER SubjectPublicKeyInfo of the contract's key. sealed: its private half, once per recipient."""

    public_key: bytes
    sealed: tuple[SealedKey, ...]


def make_key(envelope: Envelope, recipients: Sequence[bytes], pcid: str, ski_octets: int) -> NewKey:
    """Make a contract key and wrap it. recipients: DER SubjectPublicKeyInfo of keys that the vehicle has.

    ski_octets: length of the subject key identifier that the contract certificate will have. Raises LocalError.
    """
    from backends.pki.template import key_identifier

    if envelope.curve is None:
        raise LocalError(f"contract keys for {envelope.name} are not made here")
    key = ec.generate_private_key(envelope.curve)
    public_key = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    aad = additional_data(pcid, key_identifier(public_key, ski_octets)) if envelope.tag_length else b""
    return NewKey(public_key, tuple(seal_key(envelope, key, _recipient(envelope, one), aad) for one in recipients))


def _recipient(envelope: Envelope, spki: bytes) -> ec.EllipticCurvePublicKey:
    vehicle = load_der_public_key(spki)
    curve = envelope.curve
    if curve is None or not isinstance(vehicle, ec.EllipticCurvePublicKey) or vehicle.curve.name != curve.name:
        name = getattr(getattr(vehicle, "curve", None), "name", type(vehicle).__name__)
        raise LocalError(f"the vehicle's key is {name}, {envelope.name} needs {curve.name if curve else envelope.name}")
    return vehicle


class ContractKeyWorker:
    """The worker process, started when the first key is wanted."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._process: asyncio.subprocess.Process | None = None
        self._turn = asyncio.Lock()

    async def make(self, envelope: Envelope, recipients: Sequence[bytes], pcid: str, ski_octets: int) -> NewKey:
        """See `make_key`. Raises LocalError (keys that do not fit), RigError (the worker is gone)."""
        order = {
            "envelope": envelope.name,
            "recipients": [one.hex() for one in recipients],
            "pcid": pcid,
            "ski_octets": ski_octets,
        }
        async with self._turn:
            with self._clock.hold():
                answer = await self._ask(json.dumps(order).encode() + b"\n")
        if "error" in answer:
            raise LocalError(answer["error"])
        sealed = [SealedKey(*map(bytes.fromhex, one)) for one in answer["sealed"]]
        return NewKey(bytes.fromhex(answer["public_key"]), tuple(sealed))

    async def _ask(self, line: bytes) -> dict[str, Any]:
        process = self._process
        if process is None or process.returncode is not None:
            process = self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                __name__,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                cwd=ROOT,
            )
        if process.stdin is None or process.stdout is None:
            raise LocalError("the worker has no pipes")
        try:
            process.stdin.write(line)
            await process.stdin.drain()
            answer = await asyncio.wait_for(process.stdout.readline(), ANSWER_S)
            return dict(json.loads(answer))
        except (OSError, ValueError, TimeoutError) as error:
            await self.close()
            raise RigError(f"the contract key worker gave no answer: {type(error).__name__}") from error
        except asyncio.CancelledError:
            await self.close()  # its answer must not be taken for the next one's
            raise

    async def close(self) -> None:
        """End the worker; harmless when it has not begun."""
        process, self._process = self._process, None
        if process is None:
            return
        if process.stdin is not None:
            process.stdin.close()
        if process.returncode is None:
            process.kill()
        with self._clock.hold():
            await process.wait()


def _serve() -> None:
    """Read orders until the pipe ends; every key is made in a child of its own."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    import backends.pki.template  # noqa: F401 - before the fork, once

    for line in sys.stdin.buffer:
        child = os.fork()
        if not child:
            _answer(line)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if status:
            _write({"error": f"a child of the contract key worker ended with {status}"})


def _answer(line: bytes) -> None:
    order = json.loads(line)
    try:
        made = make_key(
            ENVELOPES[order["envelope"]],
            [bytes.fromhex(one) for one in order["recipients"]],
            order["pcid"],
            order["ski_octets"],
        )
    except (LocalError, ValueError) as error:
        _write({"error": str(error)})
        return
    _write(
        {
            "public_key": made.public_key.hex(),
            "sealed": [[one.encrypted_private_key.hex(), one.dh_public_key.hex()] for one in made.sealed],
        }
    )


def _write(answer: dict[str, Any]) -> None:
    try:
        sys.stdout.buffer.write(json.dumps(answer).encode() + b"\n")
        sys.stdout.buffer.flush()
    except BrokenPipeError:  # the server is gone, nobody will miss the key
        os._exit(0)


if __name__ == "__main__":
    _serve()
