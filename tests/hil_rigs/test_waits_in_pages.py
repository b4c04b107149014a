"""How long somebody waits before trying again, as the pages say it and as the code has it."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest

from backend_client.ocpp.settings import OcppSettings
from gateway.backoff import Backoff
from gateway.journal import RETRY_FIRST_S, RETRY_MOST_S

DOCS = Path(__file__).resolve().parents[2] / "docs"
LINK = {one.name: one.default for one in fields(OcppSettings)}
LINES = Backoff()
TOKEN_S = [RETRY_FIRST_S * 2**number for number in range(4)]


@pytest.mark.parametrize(
    ("page", "says"),
    [
        ("ocpp.md", f"`resume_delay_s` ({LINK['resume_delay_s']:g} s)"),
        ("ocpp.md", f"`wait_s` ({LINK['wait_s']:g} s)"),
        ("ocpp.md", f"again {LINES.first_s:g} s after the first failure"),
        ("ocpp.md", f"up to {LINES.most_s:g} s, each wait"),
        (
            "rig-file.md",
            f"after {', '.join(f'{one:g}' for one in TOKEN_S[:3])} and {TOKEN_S[3]:g} s, then every second",
        ),
    ],
)
def test_a_page_says_what_the_code_does(page: str, says: str) -> None:
    assert says in " ".join((DOCS / page).read_text(encoding="utf-8").split())
    assert RETRY_MOST_S == 1.0
    assert LINES.jitter == 0.5
