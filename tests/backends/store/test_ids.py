import shutil
from pathlib import Path
from random import Random
from uuid import UUID

import pytest

from backends.pools.editions import ISO2
from backends.pools.events import EventKind, contract_body, emit
from backends.store.database import Database
from backends.store.ids import SYSTEM, new_id
from tests.doubles import ManualClock
from tests.postgres import as_it_is

BODY = contract_body(emaid="DE8AACA2B3C4D5", pcid="WMIprov0000000001")


@pytest.fixture
def files(sqlite_template: Path, tmp_path: Path) -> list[str]:
    return [str(shutil.copy(sqlite_template, tmp_path / f"{number}.db")) for number in range(3)]


async def drawn(file: str, random: Random) -> list[str]:
    database = Database(f"sqlite:///{file}", ManualClock(), as_it_is, random=random)
    try:
        ids = [await database.write(new_id)]
        ids.append(await database.write(lambda c: emit(c, EventKind.CONTRACT_CREATED, at=1, namespace=ISO2, body=BODY)))
        return [*ids, await database.write(new_id)]
    finally:
        await database.close()


async def test_one_seed_gives_the_same_ids_and_another_one_others(files: list[str]) -> None:
    first, again, other = [await drawn(file, Random(seed)) for file, seed in zip(files, (1, 1, 2), strict=True)]
    assert first == again
    assert len({*first, *other}) == 6
    assert {UUID(one).version for one in first} == {4}


async def test_without_a_seed_nothing_repeats(files: list[str]) -> None:
    first, again, _ = [await drawn(file, SYSTEM) for file in files]
    assert not set(first) & set(again)
