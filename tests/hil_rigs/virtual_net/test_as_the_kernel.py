"""The network in memory behaves like the kernel's: every test runs over both.

The foreign judge is TCP and UDP of Linux on the loopback interface, through asyncio's own event loop.
"""

from __future__ import annotations

import asyncio
import select
import socket
import struct
from collections.abc import Callable, Coroutine
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import pytest

from hil_rigs.virtual_clock import run_virtual
from tests.tls import tls_contexts

Run = Callable[[Coroutine[Any, Any, Any]], Any]
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


def _virtual(main: Coroutine[Any, Any, Any]) -> Any:
    return run_virtual(main, start=datetime(2026, 1, 1, tzinfo=UTC))


@pytest.fixture(params=[_virtual, asyncio.run], ids=["memory", "kernel"])
def run(request: pytest.FixtureRequest) -> Run:
    return request.param  # type: ignore[no-any-return]


class Ends:
    """A server on a free port of 127.0.0.1, and one connection to it."""

    def __init__(self, tls: bool = False) -> None:
        self.contexts = tls_contexts() if tls else (None, None)

    async def __aenter__(self) -> tuple[Streams, Streams]:
        accepted: asyncio.Future[Streams] = asyncio.get_running_loop().create_future()

        async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            accepted.set_result((reader, writer))
            await self.over.wait()

        self.over = asyncio.Event()
        self.server = await asyncio.start_server(accept, "127.0.0.1", 0, ssl=self.contexts[0])
        self.port = self.server.sockets[0].getsockname()[1]
        client = await asyncio.open_connection("127.0.0.1", self.port, ssl=self.contexts[1])
        self.client, self.far = client, await accepted
        return self.client, self.far

    async def __aexit__(self, *exc: object) -> None:
        self.over.set()
        for _, writer in (self.client, self.far):
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()
        self.server.close()
        await self.server.wait_closed()


@pytest.mark.parametrize("tls", [False, True])
def test_octets_arrive_whole_and_in_order(run: Run, tls: bool) -> None:
    async def main() -> None:
        async with Ends(tls) as ((_, writer), (reader, far_writer)):
            sent = bytes(range(256)) * 4096
            writer.write(sent)
            far_writer.write(b"answer")
            assert await reader.readexactly(len(sent)) == sent
            await writer.drain()
            await far_writer.drain()

    run(main())


def test_one_direction_closes_and_the_other_goes_on(run: Run) -> None:
    async def main() -> None:
        async with Ends() as ((reader, writer), (far_reader, far_writer)):
            writer.write(b"question")
            writer.write_eof()
            with pytest.raises(RuntimeError, match="after write_eof"):
                writer.write(b"more")
            assert await far_reader.read() == b"question"
            far_writer.write(b"answer")
            far_writer.write_eof()
            assert await reader.read() == b"answer"

    run(main())


def test_closing_ends_the_stream_after_what_was_written(run: Run) -> None:
    async def main() -> None:
        async with Ends() as ((_, writer), (far_reader, far_writer)):
            writer.write(b"x" * 1_000_000)
            writer.close()
            assert len(await far_reader.read()) == 1_000_000
            far_writer.close()
            await far_writer.wait_closed()

    run(main())


def test_closing_with_unread_octets_resets(run: Run) -> None:
    async def main() -> None:
        async with Ends() as ((reader, writer), (_, far_writer)):
            far_writer.transport.pause_reading()  # type: ignore[attr-defined]
            writer.write(b"never read")
            await asyncio.sleep(0.02)
            far_writer.close()
            with pytest.raises(ConnectionResetError):
                await reader.read()

    run(main())


def test_lingering_zero_seconds_resets(run: Run) -> None:
    async def main() -> None:
        async with Ends() as ((reader, _), (_, far_writer)):
            sock = far_writer.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            far_writer.close()
            with pytest.raises(ConnectionResetError):
                await reader.read()

    run(main())


def test_writing_to_an_end_that_is_gone_resets(run: Run) -> None:
    async def main() -> None:
        async with Ends() as ((reader, writer), (_, far_writer)):
            far_writer.close()
            await far_writer.wait_closed()
            assert await reader.read() == b""
            writer.write(b"anyone?")
            await asyncio.sleep(0.02)
            with pytest.raises((ConnectionResetError, BrokenPipeError)):
                await send_until_refused(writer)

    async def send_until_refused(writer: asyncio.StreamWriter) -> None:
        for _ in range(3):
            writer.write(b"anyone?")
            await writer.drain()
            await asyncio.sleep(0.02)

    run(main())


class Recorder(asyncio.Protocol):
    """Notes what a transport tells."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.octets = 0
        self.lost: asyncio.Future[Exception | None] = asyncio.get_running_loop().create_future()
        self.paused = asyncio.Event()
        self.resumed = asyncio.Event()
        self.transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.told.append("made")

    def data_received(self, data: bytes) -> None:
        self.octets += len(data)
        if self.told[-1] != "data":
            self.told.append("data")

    def eof_received(self) -> None:
        self.told.append("eof")

    def connection_lost(self, exc: Exception | None) -> None:
        self.told.append("lost")
        self.lost.set_result(exc)

    def pause_writing(self) -> None:
        self.told.append("pause")
        self.paused.set()

    def resume_writing(self) -> None:
        self.told.append("resume")
        self.resumed.set()


async def recorders() -> tuple[Recorder, Recorder, Any]:
    loop = asyncio.get_running_loop()
    made: asyncio.Future[Recorder] = loop.create_future()

    class Far(Recorder):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            super().connection_made(transport)
            made.set_result(self)

    server = await loop.create_server(Far, "127.0.0.1", 0)
    _, near = await loop.create_connection(Recorder, *server.sockets[0].getsockname()[:2])
    return near, await made, server


def test_what_a_protocol_is_told(run: Run) -> None:
    async def main() -> tuple[list[str], list[str]]:
        near, far, server = await recorders()
        near.transport.write(b"abc")
        near.transport.close()
        assert near.transport.is_closing()
        assert await near.lost is None
        assert await far.lost is None
        server.close()
        await server.wait_closed()
        near.transport.write(b"ignored")
        near.transport.close()
        return near.told, far.told

    assert run(main()) == (["made", "lost"], ["made", "data", "eof", "lost"])


def test_a_slow_reader_pauses_the_writer(run: Run) -> None:
    async def main() -> None:
        near, far, server = await recorders()
        far.transport.pause_reading()
        assert not far.transport.is_reading()
        size = 16 * 1024 * 1024  # more than all buffers of the kernel
        near.transport.write(bytes(size))
        await near.paused.wait()
        assert near.transport.get_write_buffer_size() > 65536
        near.transport.close()  # what is buffered still goes out
        far.transport.resume_reading()
        assert await far.lost is None
        assert far.octets == size
        server.close()
        await server.wait_closed()

    run(main())


def test_the_writer_goes_on_when_the_reader_does(run: Run) -> None:
    async def main() -> None:
        near, far, server = await recorders()
        near.transport.set_write_buffer_limits(high=200_000, low=100_000)
        assert near.transport.get_write_buffer_limits() == (100_000, 200_000)
        far.transport.pause_reading()
        near.transport.write(bytes(16 * 1024 * 1024))
        await near.paused.wait()
        far.transport.resume_reading()
        await near.resumed.wait()
        assert near.transport.get_write_buffer_size() <= 100_000
        near.transport.abort()
        assert await near.lost is None
        await far.lost
        server.close()
        await server.wait_closed()

    run(main())


def test_limits_that_make_no_sense_are_refused(run: Run) -> None:
    async def main() -> None:
        near, far, server = await recorders()
        with pytest.raises(ValueError, match="must be >="):
            near.transport.set_write_buffer_limits(high=1, low=2)
        with pytest.raises(TypeError, match="bytes-like"):
            near.transport.write("text")
        near.transport.close()
        await far.lost
        server.close()
        await server.wait_closed()

    run(main())


def test_an_exception_in_a_protocol_ends_the_connection_and_is_reported(run: Run) -> None:
    async def main() -> None:
        near, far, server = await recorders()
        reported: list[dict[str, Any]] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context))

        def fail(data: bytes) -> None:
            raise KeyError("bug")

        far.data_received = fail  # type: ignore[method-assign]
        near.transport.write(b"abc")
        assert isinstance(await far.lost, KeyError)
        assert await near.lost is None
        assert [type(context["exception"]) for context in reported] == [KeyError]
        server.close()
        await server.wait_closed()

    run(main())


class Buffered(asyncio.BufferedProtocol):
    """Takes octets seven at a time."""

    def __init__(self) -> None:
        self.buffer = bytearray(7)
        self.octets = b""
        self.ended = asyncio.Event()

    def get_buffer(self, sizehint: int) -> bytearray:
        return self.buffer

    def buffer_updated(self, nbytes: int) -> None:
        self.octets += self.buffer[:nbytes]

    def eof_received(self) -> None:
        self.ended.set()


def test_buffered_protocols(run: Run) -> None:
    async def main() -> bytes:
        protocol = Buffered()
        server = await asyncio.get_running_loop().create_server(lambda: protocol, "127.0.0.1", 0)
        _, writer = await asyncio.open_connection(*server.sockets[0].getsockname()[:2])
        writer.write(b"0123456789" * 3)
        writer.close()
        await writer.wait_closed()
        await protocol.ended.wait()
        server.close()
        await server.wait_closed()
        return protocol.octets

    assert run(main()) == b"0123456789" * 3


def test_nobody_listens(run: Run) -> None:
    async def main() -> None:
        server = await asyncio.start_server(lambda r, w: None, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        assert server.is_serving()
        server.close()
        await server.wait_closed()
        assert not server.is_serving()
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", port)

    run(main())


def test_a_port_has_one_server(run: Run) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(asyncio.Protocol, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(OSError, match="address already in use"):
            await loop.create_server(asyncio.Protocol, "127.0.0.1", port)
        server.close()
        await server.wait_closed()
        again = await loop.create_server(asyncio.Protocol, "127.0.0.1", port, reuse_address=True)
        again.close()
        await again.wait_closed()

    run(main())


def test_a_server_may_start_later(run: Run) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(asyncio.Protocol, "127.0.0.1", 0, start_serving=False)
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", port)
        serving = asyncio.create_task(server.serve_forever())
        await asyncio.sleep(0.01)
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.close()
        await writer.wait_closed()
        serving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await serving

    run(main())


def test_names_of_the_ends(run: Run) -> None:
    async def main() -> None:
        async with Ends() as ((_, writer), (_, far_writer)):
            assert writer.get_extra_info("sockname") == far_writer.get_extra_info("peername")
            assert writer.get_extra_info("peername") == far_writer.get_extra_info("sockname")
            sock = writer.get_extra_info("socket")
            assert sock.getsockname() == writer.get_extra_info("sockname")
            assert sock.getpeername() == writer.get_extra_info("peername")
            assert sock.family == socket.AF_INET
            assert sock.type == socket.SOCK_STREAM
            assert sock.gettimeout() == 0

    run(main())


def test_a_descriptor_polls_readable_when_there_is_something_to_read(run: Run) -> None:
    async def main() -> list[bool]:
        async with Ends() as ((_, writer), (far_reader, far_writer)):
            poll = select.poll()
            poll.register(far_writer.get_extra_info("socket").fileno(), select.POLLIN)
            far_writer.transport.pause_reading()  # type: ignore[attr-defined]
            seen = [bool(poll.poll(0))]
            writer.write(b"abc")
            await asyncio.sleep(0.02)
            seen.append(bool(poll.poll(0)))
            far_writer.transport.resume_reading()  # type: ignore[attr-defined]
            await far_reader.readexactly(3)
            seen.append(bool(poll.poll(0)))
            writer.write_eof()
            await far_reader.read()
            seen.append(bool(poll.poll(0)))
            return seen

    assert run(main()) == [False, True, False, True]


def test_tls_is_started_on_an_open_connection(run: Run) -> None:
    server_tls, client_tls = tls_contexts()

    async def main() -> bytes:
        async with Ends() as ((reader, writer), (far_reader, far_writer)):
            writer.write(b"STARTTLS\n")
            assert await far_reader.readline() == b"STARTTLS\n"
            loop = asyncio.get_running_loop()

            async def upgrade(stream: Streams, context: Any, **options: Any) -> Any:
                protocol = stream[1].transport.get_protocol()
                return await loop.start_tls(stream[1].transport, protocol, context, **options)

            # the ends are told apart by their first words only: both upgrade at once
            near, far = await asyncio.gather(
                upgrade((reader, writer), client_tls, server_hostname="localhost"),
                upgrade((far_reader, far_writer), server_tls, server_side=True),
            )
            near.write(b"secret")
            received = await far_reader.readexactly(6)
            assert near.get_extra_info("ssl_object").version() == "TLSv1.3"
            near.abort()
            far.abort()
            return received

    assert run(main()) == b"secret"


def test_a_certificate_that_is_not_trusted_is_refused(run: Run) -> None:
    import ssl

    async def main() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: None)
        server = await asyncio.start_server(lambda r, w: None, "127.0.0.1", 0, ssl=tls_contexts()[0])
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(ssl.SSLCertVerificationError):
            await asyncio.open_connection("127.0.0.1", port, ssl=ssl.create_default_context())
        await asyncio.sleep(0.05)
        server.close()
        await server.wait_closed()

    run(main())


class Datagrams(asyncio.DatagramProtocol):
    """Notes datagrams and errors."""

    def __init__(self) -> None:
        self.received: asyncio.Queue[tuple[bytes, Any]] = asyncio.Queue()
        self.errors: asyncio.Queue[Exception] = asyncio.Queue()
        self.lost = asyncio.Event()

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self.received.put_nowait((data, addr))

    def error_received(self, exc: Exception) -> None:
        self.errors.put_nowait(exc)

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost.set()


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_datagrams_go_there_and_back(run: Run, address: str) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        far, far_protocol = await loop.create_datagram_endpoint(Datagrams, local_addr=(address, 0))
        near, near_protocol = await loop.create_datagram_endpoint(
            Datagrams, remote_addr=far.get_extra_info("sockname")[:2]
        )
        near.sendto(b"ping")
        data, source = await far_protocol.received.get()
        assert data == b"ping"
        assert source == near.get_extra_info("sockname")
        far.sendto(b"pong", source)
        assert (await near_protocol.received.get())[0] == b"pong"
        for transport, protocol in ((near, near_protocol), (far, far_protocol)):
            transport.close()
            assert transport.is_closing()
            await protocol.lost.wait()

    run(main())


def test_a_connected_endpoint_hears_that_nobody_is_there(run: Run) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        gone, _ = await loop.create_datagram_endpoint(Datagrams, local_addr=("127.0.0.1", 0))
        address = gone.get_extra_info("sockname")
        gone.close()
        await asyncio.sleep(0.01)
        near, protocol = await loop.create_datagram_endpoint(Datagrams, remote_addr=address)
        near.sendto(b"anyone?")
        assert isinstance(await protocol.errors.get(), ConnectionRefusedError)
        near.close()
        await protocol.lost.wait()

    run(main())


def test_a_datagram_port_has_one_owner(run: Run) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        first, protocol = await loop.create_datagram_endpoint(Datagrams, local_addr=("127.0.0.1", 0))
        with pytest.raises(OSError, match="ddress already in use"):
            await loop.create_datagram_endpoint(Datagrams, local_addr=first.get_extra_info("sockname"))
        with pytest.raises(TypeError, match="bytes-like"):
            first.sendto("text", ("127.0.0.1", 9))  # type: ignore[arg-type]
        first.close()
        await protocol.lost.wait()

    run(main())
