"""Long (make soak): a token that is killed, frozen and unplugged at random, with every signature accounted for."""

from __future__ import annotations

import asyncio
import dataclasses
import os
import random
import signal

import pytest

from hsm.errors import Remedy, TokenError
from ocmf.verify import verify_signature

pytestmark = [pytest.mark.soak, pytest.mark.timeout(1800)]
FAULTS = int(os.environ.get("SOAK_TOKEN_FAULTS", "1000"))


async def test_no_signature_is_lost_or_doubled(remote, tokens, new_signer, trace):
    signer = new_signer(dataclasses.replace(remote.key, sign_s=0.25, open_s=2.0))
    chance = random.Random(0x0C3F)
    asked = answered = failed = 0

    async def sign() -> bool:
        nonlocal asked, answered, failed
        asked += 1
        message = asked.to_bytes(4, "big")
        try:
            verify_signature(message, await signer.sign(message), tokens.keys["billing"])
        except TokenError as error:
            if error.remedy is not Remedy.RETRY:
                raise
            failed += 1
            return False
        answered += 1
        return True

    for _ in range(FAULTS):
        request = asyncio.ensure_future(sign())
        for _ in range(chance.randrange(8)):
            await asyncio.sleep(0)
        fault = chance.choices(["kill", "freeze", "unplug"], [6, 1, 3])[0]
        if fault == "kill" and signer.health().worker_pid:
            os.kill(signer.health().worker_pid, signal.SIGKILL)
        elif fault == "freeze":
            remote.freeze()
        elif fault == "unplug":
            remote.unplug()
        await request
        if fault == "freeze":
            remote.thaw()
        elif fault == "unplug":
            remote.plug_in()
        for _ in range(3):  # at most: the kill that nobody had noticed, the token on its way
            if await sign():
                break
        else:
            pytest.fail(f"the token did not come back after {fault}")
    assert asked == answered + failed
    assert answered >= FAULTS
    assert not [event for event in trace if event.kind == "token.latched"]
