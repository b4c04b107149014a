"""report.html in a browser that we did not write: it asks for nothing, runs nothing and complains about nothing.

The reports of real runs are also measured in it: no two texts of a drawing overlap, none leaves its drawing, and the
page is not wider than its window. For that a copy without its policy gets a script.

Judge: Chromium (Debian package `chromium`, BSD-3-Clause; 156 when this was written), headless, with its own profile.
Its proxy is a closed port, so that nothing leaves the machine, neither the page's requests nor the browser's own. Its
network log tells them apart: what a page asks for has an initiator.
"""

import html
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from hil_rigs.evidence.report.page import page
from plugbench.__main__ import main
from tests.hil_rigs.evidence.report.hostile import contents

ROOT = Path(__file__).resolve().parents[2]
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


MEASURE = """<pre id=found></pre><script>
const found = {wide: document.documentElement.scrollWidth - innerWidth, texts: 0, overlaps: [], outside: []};
for (const svg of document.querySelectorAll("svg")) {
  const frame = svg.viewBox.baseVal;
  const texts = [...svg.querySelectorAll("text")].map(one => ({said: one.textContent, box: one.getBBox()}));
  found.texts += texts.length;
  for (const {said, box} of texts)
    if (box.x < -1 || box.y < -1 || box.x + box.width > frame.width + 1 || box.y + box.height > frame.height + 1)
      found.outside.push(said);
  texts.forEach((one, number) => texts.slice(number + 1).forEach(other => {
    const [a, b] = [one.box, other.box];
    const wide = Math.min(a.x + a.width, b.x + b.width) - Math.max(a.x, b.x);
    const high = Math.min(a.y + a.height, b.y + b.height) - Math.max(a.y, b.y);
    if (wide > 1 && high > 4) found.overlaps.push([one.said, other.said]);
  }));
}
document.getElementById("found").textContent = JSON.stringify(found);
</script>"""


def measured(report: str, place: Path, width: int) -> dict[str, Any]:
    """What the script finds in a window of this width."""
    policy = re.search('<meta http-equiv="Content-Security-Policy"[^>]*>', report)
    assert policy is not None
    file = place / f"measured-{width}.html"
    file.write_text(report.replace(policy[0], "").replace("</body>", f"{MEASURE}</body>"), encoding="utf-8")
    _, _, document = opened(file, f"--window-size={width},1000")
    said = re.search(r"<pre id=.found.>(.*?)</pre>", document, re.DOTALL)
    assert said is not None
    found: dict[str, Any] = json.loads(html.unescape(said[1]))
    return found


def rig_of(name: str) -> str:
    """An example rig, moved to virtual time."""
    text = (ROOT / f"rigs/{name}.yaml").read_text(encoding="utf-8")
    return text.replace("clock: {mode: real}", "clock: {mode: virtual, start: 2026-06-01T08:00:00+02:00}")


FAULTS = """\
scenario: faults-of-everything
title: A session in which line, meter, token and cable fail, and which fails
rig: rig.yaml
when:
  - {do: plug}
  - {do: card, id: "04A1B2C3D4E5F6"}
  - {do: until, seen: "wire.power contactor closed=true", within: 30 s}
  - {do: wait, time: 20 s}
  - {do: inject, fault: line.corrupt, on: bus, times: 3}
  - {do: wait, time: 20 s}
  - {do: inject, fault: meter.dead, on: m1, for: 5 s}
  - {do: inject, fault: cable.HighTemperature, with: {from_c: 25, to_c: 69, seconds: 10}, for: 20 s}
  - {do: inject, fault: cable.PilotFault.drift, for: 3 s}
  - {do: wait, time: 60 s}
  - {do: inject, fault: cable.OverCurrentFailure}
  - {do: wait, time: 60 s}
  - {do: unplug}
  - {do: wait, time: 20 s}
then:
  - {expect: "wire.modbus failure", claim: metering, ids: [MREC-1]}
  - {never: "session fault", claim: ac, ids: [MREC-2, MREC-3]}
  - {check: store.pagination_gapless, claim: metering}
"""
CONTRACT = """\
scenario: faults-of-a-contract
title: A contract is installed and charged with, while line, meter, CSMS and cable fail
rig: rig.yaml
when:
  - {do: plug}
  - {do: until, seen: "wire.power contactor closed=true", within: 30 s}
  - {do: wait, time: 20 s}
  - {do: inject, fault: line.corrupt, on: bus, times: 3}
  - {do: wait, time: 20 s}
  - {do: inject, fault: meter.dead, on: m1, for: 5 s}
  - {do: inject, fault: csms.away, for: 30 s}
  - {do: wait, time: 30 s}
  - {do: inject, fault: csms.lost_ack, with: {action: TransactionEvent}, times: 1}
  - {do: inject, fault: cable.HighTemperature, with: {from_c: 25, to_c: 69, seconds: 10}, for: 20 s}
  - {do: wait, time: 60 s}
  - {do: want}
  - {do: wait, time: 10 s}
  - {do: unplug}
  - {do: until, seen: "csms transaction state=billed", within: 300 s, since: start}
then:
  - {expect: "wire.v2g CertificateInstallationRes ResponseCode=OK", claim: cert_install, ids: [V2G2-902]}
  - {check: verifier.openssl, claim: metering}
"""
CASES = {
    "a run that fails, with faults": (rig_of("first_session"), FAULTS, "fail"),
    "Plug & Charge with faults": (rig_of("plug_and_charge"), CONTRACT, "pass"),
    "two connectors": (rig_of("two_connectors"), "", "pass"),
    "make run": (rig_of("plug_and_charge"), "", "pass"),
    **{path.stem: ("", path, "pass") for path in sorted((ROOT / "scenarios").glob("*.yaml"))},
}
SLICE = ("a run that fails, with faults",)


@pytest.mark.parametrize(
    "case", [pytest.param(name, marks=() if name in SLICE else pytest.mark.foreign) for name in CASES]
)
def test_the_report_of_a_real_run(case: str, tmp_path: Path) -> None:
    rig, scenario, verdict = CASES[case]
    (tmp_path / "rig.yaml").write_text(rig, encoding="utf-8")
    file = tmp_path / "rig.yaml"
    if isinstance(scenario, Path):
        file = scenario
    elif scenario:
        file = tmp_path / "scenario.yaml"
        file.write_text(scenario, encoding="utf-8")
    main(["run", str(file), "--out", str(tmp_path / "run")])
    reports = sorted((tmp_path / "run").rglob("report.html"))
    assert reports
    for number, report in enumerate(reports):
        copy = tmp_path / f"{number}.html"
        copy.write_bytes(report.read_bytes())
        requests, console, document = opened(copy)
        assert requests == []
        assert console == []
        assert f">{verdict}</span></h1>" in document
        text = report.read_text(encoding="utf-8")
        for width in (1280, 800):
            found = measured(text, tmp_path, width)
            assert found["texts"] > 30
            assert (found["overlaps"], found["outside"]) == ([], [])
            assert found["wide"] <= 0


def test_the_measure_sees_what_is_wrong(tmp_path: Path) -> None:
    text = '<text x="10" y="20">first</text><text x="12" y="22">second</text><text x="95" y="50">outside</text>'
    policy = '<meta http-equiv="Content-Security-Policy" content="x">'
    svg = f'<svg viewBox="0 0 100 100" width="3000" height="100">{text}</svg>'
    found = measured(f"<html><head>{policy}</head><body>{svg}</body></html>", tmp_path, 800)
    assert found["overlaps"] == [["first", "second"]]
    assert found["outside"] == ["outside"]
    assert found["wide"] > 2000


def test_the_judge_sees_what_is_wrong(tmp_path: Path) -> None:
    file = tmp_path / "report.html"
    file.write_text('<img src="http://192.0.2.1/x.png"><script>console.error("seen")</script>', encoding="utf-8")
    requests, console, _ = opened(file)
    assert requests == ["http://192.0.2.1/x.png"]
    assert len(console) == 1
    assert "seen" in console[0]
