"""report.html in a browser that we did not write: it asks for nothing, runs nothing and complains about nothing.

Judge: Chromium (Debian package `chromium`, BSD-3-Clause; 156 when this was written), headless, with its own profile.
Its proxy is a closed port, so that nothing leaves the machine, neither the page's requests nor the browser's own. Its
network log tells them apart: what a page asks for has an initiator.
"""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from hil_rigs.evidence.report.page import page
from tests.hil_rigs.evidence.report.hostile import contents

CHROMIUM = shutil.which("chromium")
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update", "--disable-extensions"),
    *("--proxy-server=http://127.0.0.1:9", "--proxy-bypass-list=<-loopback>", "--enable-logging=stderr"),
)

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium: apt-get install chromium")


def opened(file: Path, *flags: str) -> tuple[list[str], list[str], str]:
    """What the page asked for, what the console said, and the document that came of it."""
    assert CHROMIUM is not None
    log = file.with_suffix(".net.json")
    command = [CHROMIUM, *FLAGS, f"--user-data-dir={file.with_suffix('.profile')}", f"--log-net-log={log}", *flags]
    done = subprocess.run(
        [*command, "--dump-dom", file.as_uri()], capture_output=True, text=True, timeout=60, check=True
    )
    found = json.loads(log.read_text(encoding="utf-8"))
    started = found["constants"]["logEventTypes"]["URL_REQUEST_START_JOB"]
    said = [event.get("params", {}) for event in found["events"] if event["type"] == started]
    requests = [one["url"] for one in said if "url" in one and one.get("initiator") != "not an origin"]
    return requests, [line for line in done.stderr.splitlines() if "CONSOLE" in line], done.stdout


def test_a_report_of_hostile_names(tmp_path: Path) -> None:
    file = tmp_path / "report.html"
    file.write_text(page(contents()), encoding="utf-8")
    requests, console, document = opened(file)
    assert requests == []
    assert console == []
    assert "<svg" in document
    assert "<script" not in document
    assert "<img" not in document


def test_the_judge_sees_what_is_wrong(tmp_path: Path) -> None:
    file = tmp_path / "report.html"
    file.write_text('<img src="http://192.0.2.1/x.png"><script>console.error("seen")</script>', encoding="utf-8")
    requests, console, _ = opened(file)
    assert requests == ["http://192.0.2.1/x.png"]
    assert len(console) == 1
    assert "seen" in console[0]
