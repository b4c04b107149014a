"""Pools that are killed (-9) in the middle of their work: nothing half-written, no webhook effect lost or doubled.

Every other life ends at a random moment, the others just before a step of writing (a statement or a commit).
A failing campaign prints its seed; SOAK_SEED=<seed> plays it again, SOAK_KILLS sets how many kills there are.
"""

from __future__ import annotations

import asyncio
import os
import random
import sys
from pathlib import Path

import pytest

from tests.backends.pool_campaign import Campaign, arguments, check, everything_delivered, receiver, workers
from tests.backends.pool_nursery import Nursery, kill

WORKERS = 4
LONGEST = 40  # answers of a life
STEPS = 150  # of writing in a life; a contract has some 15
PROGRESS = 20  # kills between two lines


def kill_after(campaign: Campaign, server: int, chance: random.Random) -> None:
    """Kill it somewhere in the work that follows a number of answers: no matter how fast the machine is."""
    last = campaign.acknowledged.answers + chance.randrange(LONGEST)
    delay = chance.uniform(0, 0.05)

    def count() -> None:
        if campaign.acknowledged.answers >= last:
            campaign.on_answer = lambda: None
            asyncio.get_running_loop().call_later(delay, kill, server)

    campaign.on_answer = count


async def play(folder: Path, kills: int) -> None:
    seed = int(os.environ.get("SOAK_SEED", random.SystemRandom().randrange(2**32)))
    sys.stdout.write(f"pools kill campaign: SOAK_SEED={seed} SOAK_KILLS={kills}\n")
    chance = random.Random(seed)
    campaign = Campaign(folder, f"sqlite:///{folder / 'pools.db'}")
    nursery = Nursery()
    try:
        async with receiver() as (inbox, inbox_url):
            with nursery.server(arguments(folder)) as (_, url):
                await campaign.prepare()
                await campaign.listen(url, inbox_url)
            for number in range(1, kills + 1):
                dies_at = chance.randint(1, STEPS) if number % 2 else 0
                with nursery.server(arguments(folder), dies_at) as (server, url):
                    if not dies_at:
                        kill_after(campaign, server, chance)
                    if url:
                        await workers(campaign, [url], WORKERS, seed + 100 * number, None)
                campaign.on_answer = lambda: None
                await check(campaign)
                if not number % PROGRESS:
                    sys.stdout.write(f"{number} kills, {campaign.acknowledged.answers} answers\n")
                    sys.stdout.flush()
            assert campaign.acknowledged.answers, "nothing was done at all"
            await everything_delivered(campaign, inbox)
            sys.stdout.write(f"{campaign.acknowledged.answers} answers, {len(inbox.bodies)} events\n")
    finally:
        await campaign.close()
        nursery.close()


async def test_three_kills(tmp_path: Path) -> None:
    await play(tmp_path, 3)


@pytest.mark.soak
async def test_kill_campaign(tmp_path: Path) -> None:
    await play(tmp_path, int(os.environ.get("SOAK_KILLS", "200")))
