"""New identifiers, drawn from the randomness that a database was opened with."""

from __future__ import annotations

from random import Random, SystemRandom
from uuid import UUID

import sqlalchemy as sa

OPTION = "random"  # among the execution options of every connection of a database
SYSTEM = SystemRandom()


def draw_id(random: Random) -> str:
    """A UUID of version 4."""
    return str(UUID(int=random.getrandbits(128), version=4))


def new_id(connection: sa.Connection) -> str:
    """For what is written in this transaction: writes come one after the other, so a seeded source repeats itself."""
    return draw_id(connection.get_execution_options().get(OPTION, SYSTEM))
