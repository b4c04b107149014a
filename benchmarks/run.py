"""What a whole run costs: printed, never judged."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.report import Report

TITLE = "a whole run: memory of the process tree, start of the command, eight virtual hours"
ROOT = Path(__file__).resolve().parent.parent
COMMAND = [sys.executable, "-m", "plugbench"]


def run(report: Report) -> None:
    """Start the command, run a real-time and a virtual rig."""
    starts = []
    for _ in range(5):
        begin = time.perf_counter()
        subprocess.run([*COMMAND, "--help"], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
        starts.append(time.perf_counter() - begin)
    report.value("plugbench --help", sorted(starts)[2], "s", "aim: <= 0.3")
    with tempfile.TemporaryDirectory() as folder:
        process = subprocess.Popen(
            [*COMMAND, "run", "rigs/first_session.yaml", "--out", f"{folder}/a"], cwd=ROOT, stdout=subprocess.DEVNULL
        )
        peak = 0
        while process.poll() is None:
            peak = max(peak, _tree_pss_kb(process.pid))
            time.sleep(0.5)
        report.value("memory of a run, whole process tree (PSS)", peak / 1024, "MB", "aim: <= 150")
        begin = time.perf_counter()
        subprocess.run(
            [*COMMAND, "run", "rigs/eight_hours.yaml", "--out", f"{folder}/b"],
            cwd=ROOT,
            check=True,
            stdout=subprocess.DEVNULL,
        )
        report.value("eight virtual hours, from start to verdict", time.perf_counter() - begin, "s")


def _tree_pss_kb(root: int) -> int:
    children: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
            children.setdefault(int(fields[1]), []).append(int(stat.parent.name))
        except OSError:
            continue
    total, waiting = 0, [root]
    while waiting:
        pid = waiting.pop()
        waiting += children.get(pid, [])
        try:
            for line in Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines():
                if line.startswith("Pss:"):
                    total += int(line.split()[1])
        except OSError:
            continue
    return total
