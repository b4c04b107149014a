"""Sends the same request again and again over kept connections: `http_load.py PORT CLIENTS COUNT`, request on stdin.

Prints the seconds of each answer as JSON. Standard library only: it is a process of its own, so that the server's
processor time is the server's.
"""

import asyncio
import json
import sys
import time


async def main(port: int, clients: int, count: int, request: bytes) -> list[float]:
    """Seconds of each answer; anything but 200 ends it."""
    seconds: list[float] = []

    async def client() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for _ in range(count // clients):
            begin = time.perf_counter()
            writer.write(request)
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            if not head.startswith(b"http/1.1 200"):
                raise SystemExit(head.decode())
            length = next(line for line in head.splitlines() if line.startswith(b"content-length"))
            await reader.readexactly(int(length.partition(b":")[2]))
            seconds.append(time.perf_counter() - begin)
        writer.close()
        await writer.wait_closed()

    await asyncio.gather(*(client() for _ in range(clients)))
    return seconds


if __name__ == "__main__":
    port, clients, count = map(int, sys.argv[1:])
    json.dump(asyncio.run(main(port, clients, count, sys.stdin.buffer.read())), sys.stdout)
