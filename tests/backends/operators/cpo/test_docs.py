"""The example of the documentation runs as it stands there."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

import httpx
import pytest

PAGE = Path(__file__).resolve().parents[4] / "docs" / "operators-cpo.md"


async def test_the_example(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    space: dict[str, Any] = {}
    exec(code, space)
    stop = asyncio.Event()
    running = asyncio.create_task(space["main"](tmp_path, stop))
    async with asyncio.timeout(20):
        while not (said := capsys.readouterr().out):  # noqa: ASYNC110 - the example tells nobody but the terminal
            await asyncio.sleep(0.02)
    url = said.split("operator: ")[1].strip()
    async with httpx.AsyncClient() as http:
        found = await http.get(url, headers={"Authorization": "Bearer of the operator"})
    assert found.json() == {"stations": []}
    stop.set()
    await running
