"""A token that goes away, comes back, or never answers (SoftHSM behind p11-kit's server)."""

from __future__ import annotations

import asyncio

import pytest

from hsm.errors import Remedy, TokenError
from ocmf.verify import verify_signature

KEY = "billing"


async def test_token_removed_and_back_signs_again_in_the_same_worker(remote, tokens, new_signer, trace):
    signer = new_signer(remote.key)
    verify_signature(b"before", await signer.sign(b"before"), tokens.keys[KEY])
    worker = signer.health().worker_pid
    for _ in range(2):
        remote.unplug()
        for _ in range(3):  # the slot list is empty, without an exception: it is asked for anew each time
            with pytest.raises(TokenError) as error:
                await signer.sign(b"away")
            assert error.value.remedy is Remedy.RETRY
            assert not signer.health().present
            assert not signer.health().logged_in
        remote.plug_in()
        verify_signature(b"back", await signer.sign(b"back"), tokens.keys[KEY])
        assert signer.health().present
    # old sessions were dropped, never closed: handles of new ones stay good
    for number in range(20):
        message = bytes([number])
        verify_signature(message, await signer.sign(message), tokens.keys[KEY])
    assert signer.health().worker_pid == worker
    assert len([event for event in trace if event.kind == "worker.started"]) == 1


async def test_token_unplugged_and_back_between_two_signatures_is_not_noticed(remote, tokens, new_signer):
    signer = new_signer(remote.key)
    await signer.sign(b"x")
    remote.unplug()
    remote.plug_in()
    verify_signature(b"x", await signer.sign(b"x"), tokens.keys[KEY])


async def test_token_that_is_not_there_at_the_start(remote, tokens, new_signer):
    remote.unplug()
    signer = new_signer(remote.key)
    with pytest.raises(TokenError) as error:
        await signer.identity()
    assert error.value.remedy is Remedy.RETRY
    remote.plug_in()
    assert (await signer.identity()).public_key == tokens.keys[KEY].spki


async def test_hung_token_costs_its_worker_and_the_loop_runs_on(remote, tokens, new_signer):
    import dataclasses

    signer = new_signer(dataclasses.replace(remote.key, sign_s=0.3))
    await signer.sign(b"x")
    worker = signer.health().worker_pid
    ticks = 0

    async def tick():
        nonlocal ticks
        while True:
            ticks += 1
            await asyncio.sleep(0.005)

    ticking = asyncio.create_task(tick())
    remote.freeze()
    with pytest.raises(TokenError, match=r"within 0\.3 s") as error:
        await signer.sign(b"hung")
    ticking.cancel()
    assert error.value.remedy is Remedy.RETRY
    assert ticks > 10  # a loop that stands would have made one
    remote.thaw()
    verify_signature(b"x", await signer.sign(b"x"), tokens.keys[KEY])
    assert signer.health().worker_pid != worker
