"""The EXI path of PyPI iso15118 (py4j, EXICodec.jar) behind a pipe: one JSON task per line, one JSON answer.

Run with the Python of its own environment. Task: {"task": "encode" or "decode", "namespace": ..., "message": JSON or
hex, "repeat": n}; answer: {"seconds": per call, "result": JSON or hex}. {"task": "memory"} answers with the
resident octets of this process and its JVM.
"""

import json
import subprocess
import sys
import time
from pathlib import Path

from iso15118.shared.exificient_exi_codec import ExificientEXICodec  # type: ignore[import-not-found,unused-ignore]


def resident(pid: int) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return 1024 * int(line.split()[1])
    return 0


def main() -> None:
    codec = ExificientEXICodec()
    own = Path("/proc/self").resolve().name
    for line in sys.stdin:
        task = json.loads(line)
        if task["task"] == "memory":
            children = subprocess.run(["pgrep", "-P", own], capture_output=True, text=True, check=False).stdout.split()
            answer = {"octets": sum(resident(int(pid)) for pid in [own, *children] if Path(f"/proc/{pid}").exists())}
        else:
            message, namespace = task["message"], task["namespace"]
            if task["task"] == "decode":
                message = bytes.fromhex(message)
            run = codec.encode if task["task"] == "encode" else codec.decode
            begin = time.perf_counter()
            for _ in range(task["repeat"]):
                result = run(message, namespace)
            seconds = (time.perf_counter() - begin) / task["repeat"]
            answer = {"seconds": seconds, "result": result.hex() if task["task"] == "encode" else result}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
