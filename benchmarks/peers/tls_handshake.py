"""One TLS 1.2 handshake in memory, as between vehicle and station: ECDHE, ECDSA, a chain of three."""

from __future__ import annotations

import ssl
import time
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

from tests.tls import tls_pem


@cache
def _contexts() -> tuple[ssl.SSLContext, ssl.SSLContext]:
    key, certificate = tls_pem()
    folder = Path(mkdtemp(prefix="plugbench-bench-"))
    (folder / "key").write_bytes(key)
    (folder / "certificate").write_bytes(certificate)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(folder / "certificate", folder / "key")
    client = ssl.create_default_context(cafile=str(folder / "certificate"))
    for context in (server, client):
        context.maximum_version = ssl.TLSVersion.TLSv1_2
    return server, client


def handshake() -> float:
    """Seconds of both ends together."""
    server_context, client_context = _contexts()
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    server = server_context.wrap_bio(to_server, to_client, server_side=True)
    client = client_context.wrap_bio(to_client, to_server, server_hostname="localhost")
    begin = time.perf_counter()
    waiting = [client, server]
    while waiting:
        for end in tuple(waiting):
            try:
                end.do_handshake()
                waiting.remove(end)
            except ssl.SSLWantReadError:
                continue
    return time.perf_counter() - begin
