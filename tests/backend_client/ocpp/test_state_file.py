"""What a link remembers over a restart, and that it says when it cannot."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from backend_client.ocpp.state_file import KEPT_ENDED, KnownTransaction, StateFile
from ports.errors import RigError


async def reopened(path: Path) -> StateFile:
    state = StateFile(path)
    await state.open()
    await state.close()
    return state


async def test_everything_is_there_after_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "state"
    state = StateFile(path)
    await state.open()
    open_one = KnownTransaction("a", 7, "ocmf", "key", 9, "record")
    await state.keep(open_one)
    await state.keep(KnownTransaction("b"))
    await state.deauthorise("b")
    await state.deauthorise("nobody")
    await state.end(state.transactions["b"])
    await state.remember_start("ID", 3)
    await state.remember_start("OTHER", 4)
    await state.forget_start("OTHER")
    await state.set_variable("x", "1")
    await state.set_variable("x", "2")
    await state.close()
    again = await reopened(path)
    assert again.transactions == {"a": open_one, "b": KnownTransaction("b", ended=True, deauthorised=True)}
    assert again.remote_starts == {"ID": 3}
    assert again.variables == {"x": "2"}
    assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0


async def test_old_transactions_are_forgotten_and_open_ones_never(tmp_path: Path) -> None:
    state = StateFile(tmp_path / "state")
    await state.open()
    await state.keep(KnownTransaction("open"))
    state.transactions |= {f"t{number}": KnownTransaction(f"t{number}", ended=True) for number in range(KEPT_ENDED)}
    await state.end(KnownTransaction("last"))
    assert len(state.transactions) == KEPT_ENDED + 1
    assert {"open", "last", "t1"} <= set(state.transactions)
    assert "t0" not in state.transactions
    await state.close()


async def test_what_cannot_be_kept_is_said(tmp_path: Path) -> None:
    missing = StateFile(tmp_path / "nowhere" / "state")
    with pytest.raises(RigError, match="nowhere/state"):
        await missing.open()
    with pytest.raises(RigError, match="is closed"):
        await missing.set_variable("x", "1")
    await missing.close()
    other = tmp_path / "other"
    other.write_bytes(b"something else" * 100)
    state = StateFile(other)
    with pytest.raises(RigError, match="not a database"):
        await state.open()
    await state.close()
    good = StateFile(tmp_path / "state")
    await good.open()
    with pytest.raises(RigError, match="too large"):
        await good.keep(KnownTransaction("a", 10**30))
    assert not good.transactions
    await good.close()
