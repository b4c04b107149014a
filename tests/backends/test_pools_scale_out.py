"""Two pool processes on one PostgreSQL: they share the work, nothing is lost, nothing happens twice."""

from __future__ import annotations

import random
import sys
from pathlib import Path

import pytest

from tests.backends.pool_campaign import Campaign, check, everything_delivered, pools, receiver, workers
from tests.postgres import PostgresServer

CLIENTS = 20


async def play(folder: Path, server: PostgresServer, operations: int) -> None:
    seed = random.SystemRandom().randrange(2**32)
    sys.stdout.write(f"two processes, {operations} operations of {CLIENTS} clients, seed {seed}\n")
    url = server.url(server.new_database())
    campaign = Campaign(folder, url)
    async with receiver() as (inbox, inbox_url):
        with pools(folder, url) as (_, one), pools(folder, url) as (_, two):
            await campaign.prepare()
            await campaign.listen(one, inbox_url)
            await workers(campaign, [one, two], CLIENTS, seed, operations // CLIENTS)
        assert campaign.acknowledged.answers == operations
        assert not campaign.acknowledged.unanswered
        await check(campaign)
        await everything_delivered(campaign, inbox)
        await campaign.close()


async def test_eighty_operations(tmp_path: Path, postgres: PostgresServer) -> None:
    await play(tmp_path, postgres, 80)


@pytest.mark.soak
async def test_ten_thousand_operations(tmp_path: Path, postgres: PostgresServer) -> None:
    await play(tmp_path, postgres, 10_000)
