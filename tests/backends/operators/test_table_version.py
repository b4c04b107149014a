from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa

from backends.operators.hub import tables as hub
from backends.operators.mo import tables as mo
from backends.operators.oem import tables as oem
from backends.store.database import Database, StoreError
from tests.doubles import ManualClock


@pytest.mark.parametrize(("name", "prepare"), [("hub", hub.prepare), ("mo", mo.prepare), ("oem", oem.prepare)])
async def test_tables_of_another_version_are_left_alone(
    tmp_path: Path, name: str, prepare: Callable[[sa.Connection], None]
) -> None:
    url = f"sqlite:///{tmp_path / 'x.db'}"
    for _ in range(2):  # made, then found
        await Database(url, ManualClock(), prepare).close()
    database = Database(url, ManualClock(), prepare)
    await database.write(lambda connection: connection.execute(sa.text(f"UPDATE {name}_version SET version = 99")))
    await database.close()
    with pytest.raises(StoreError, match=f"tables {name}_... have version 99"):
        Database(url, ManualClock(), prepare)
