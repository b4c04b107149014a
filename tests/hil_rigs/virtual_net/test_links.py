"""What links do to connections: latency, loss, outage, resets; and how TCP bears it."""

from __future__ import annotations

import asyncio
import errno
import socket
import struct
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from typing import Any

import pytest

from hil_rigs.virtual_clock import VirtualClock, run_virtual
from hil_rigs.virtual_net import VirtualNet
from hil_rigs.virtual_net.link import retransmit_wait

START = datetime(2026, 1, 1, tzinfo=UTC)
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


def run(main: Callable[[VirtualClock], Coroutine[Any, Any, Any]], seed: int = 0) -> Any:
    return run_virtual(main, start=START, seed=seed)


def the_net() -> VirtualNet:
    return asyncio.get_running_loop().net  # type: ignore[attr-defined, no-any-return]


def now() -> float:
    return asyncio.get_running_loop().time()


class Echo(asyncio.Protocol):
    """Sends back what comes, and counts."""

    pieces: list[int]

    def __init__(self) -> None:
        self.pieces = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.pieces.append(len(data))
        assert isinstance(self.transport, asyncio.Transport)
        self.transport.write(data)


async def echo(host: str = "192.0.2.1", port: int = 502) -> tuple[asyncio.Server, Echo]:
    protocol = Echo()
    server = await asyncio.get_running_loop().create_server(lambda: protocol, host, port)
    return server, protocol


async def finish(server: asyncio.Server, writer: asyncio.StreamWriter) -> None:
    writer.close()
    server.close()
    await server.wait_closed()


def test_latency_is_paid_for_each_way() -> None:
    async def main(clock: VirtualClock) -> list[float]:
        the_net().link("192.0.2.1").latency_s = 0.25
        server, _ = await echo()
        reader, writer = await asyncio.open_connection("192.0.2.1", 502)
        seen = [now()]
        for _ in range(2):
            writer.write(b"abc")
            await reader.readexactly(3)
            seen.append(now())
        await finish(server, writer)
        return seen

    assert run(main) == [0.5, 1.0, 1.5]


def test_the_most_particular_link_holds() -> None:
    async def main(clock: VirtualClock) -> tuple[float, float]:
        net = the_net()
        net.link().latency_s = 1.0
        net.link("192.0.2.1").latency_s = 2.0
        net.link("192.0.2.1", 503).latency_s = 3.0
        found = []
        for host, port in (("192.0.2.2", 502), ("192.0.2.1", 502), ("192.0.2.1", 503)):
            server, _ = await echo(host, port)
            began = now()
            _, writer = await asyncio.open_connection(host, port)
            found.append(now() - began)
            await finish(server, writer)
        return tuple(found)  # type: ignore[return-value]

    assert run(main) == (2.0, 4.0, 6.0)


def test_an_outage_delays_and_loses_nothing() -> None:
    async def main(clock: VirtualClock) -> tuple[bytes, float]:
        link = the_net().link("192.0.2.1")
        server, _ = await echo()
        reader, writer = await asyncio.open_connection("192.0.2.1", 502)
        link.up = False
        for number in range(10):
            writer.write(b"%d" % number)
        await clock.sleep(100)
        link.up = True
        octets = await reader.readexactly(10)
        at = now()
        await finish(server, writer)
        return octets, at

    octets, at = run(main)
    assert octets == b"0123456789"
    assert 100 < at <= 100 + 102.4  # the next attempt after the doubling waits 0.2 + 0.4 + ... + 51.2 s


def test_a_long_outage_times_the_sender_out_and_the_other_end_knows_nothing() -> None:
    async def main(clock: VirtualClock) -> tuple[float, int]:
        link = the_net().link("192.0.2.1")
        server, protocol = await echo()
        reader, writer = await asyncio.open_connection("192.0.2.1", 502)
        link.up = False
        writer.write(b"abc")
        with pytest.raises(TimeoutError):
            await reader.read()
        at = now()
        assert isinstance(protocol.transport, asyncio.Transport)
        assert not protocol.transport.is_closing()
        protocol.transport.abort()
        await finish(server, writer)
        return at, len(protocol.pieces)

    at, pieces = run(main)
    assert 800 < at < 925
    assert pieces == 0


def test_connecting_during_an_outage_times_out_like_linux() -> None:
    async def main(clock: VirtualClock) -> float:
        server, _ = await echo()
        the_net().link("192.0.2.1").up = False
        with pytest.raises(TimeoutError) as caught:
            await asyncio.open_connection("192.0.2.1", 502)
        assert caught.value.errno == errno.ETIMEDOUT
        at = now()
        server.close()
        return at

    assert run(main) == 127.0


def test_connecting_succeeds_when_the_outage_ends() -> None:
    async def main(clock: VirtualClock) -> float:
        server, _ = await echo()
        link = the_net().link("192.0.2.1")
        link.up = False
        asyncio.get_running_loop().call_later(10, setattr, link, "up", True)
        _, writer = await asyncio.open_connection("192.0.2.1", 502)
        at = now()
        await finish(server, writer)
        return at

    assert run(main) == 15.0  # attempts at 0, 1, 3, 7, 15 s


def test_a_firewall_that_rejects() -> None:
    async def main(clock: VirtualClock) -> float:
        server, _ = await echo()
        link = the_net().link("192.0.2.1", 502)
        link.refuse, link.latency_s = True, 0.1
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("192.0.2.1", 502)
        at = now()
        server.close()
        return at

    assert run(main) == 0.2


def test_resets_from_outside_hit_both_ends() -> None:
    async def main(clock: VirtualClock) -> None:
        server, protocol = await echo()
        lost: list[Exception | None] = []
        protocol.connection_lost = lost.append  # type: ignore[method-assign, assignment]
        reader, writer = await asyncio.open_connection("192.0.2.1", 502)
        assert the_net().reset("192.0.2.1", 503) == 0
        assert the_net().reset("192.0.2.1") == 1
        with pytest.raises(ConnectionResetError):
            await reader.read()
        assert isinstance(lost[0], ConnectionResetError)
        await finish(server, writer)

    run(main)


@pytest.mark.parametrize("seed", range(5))
def test_loss_delays_and_keeps_the_order(seed: int) -> None:
    async def main(clock: VirtualClock) -> float:
        link = the_net().link("192.0.2.1")
        link.loss, link.latency_s = 0.3, 0.01
        server, _ = await echo()
        reader, writer = await asyncio.open_connection("192.0.2.1", 502)
        sent = b"".join(struct.pack(">H", number) for number in range(500))
        for at in range(0, len(sent), 10):
            writer.write(sent[at : at + 10])
        assert await reader.readexactly(len(sent)) == sent
        at_end = now()
        await finish(server, writer)
        return at_end

    took = run(main, seed)
    assert took > 0.2
    assert took == run(main, seed)


def test_segments_can_be_made_small() -> None:
    async def main(clock: VirtualClock) -> list[int]:
        the_net().link("192.0.2.1").segment = 3
        server, protocol = await echo()
        reader, writer = await asyncio.open_connection("192.0.2.1", 502)
        writer.write(b"0123456789")
        assert await reader.readexactly(10) == b"0123456789"
        await finish(server, writer)
        return protocol.pieces

    assert run(main) == [3, 3, 3, 1]


def test_the_fault_hook_sees_every_segment_and_datagram() -> None:
    async def main(clock: VirtualClock) -> tuple[bytes, list[str]]:
        points: list[str] = []

        def fault(point: str, unit: Any) -> list[Any]:
            points.append(point)
            return [unit.replace(b"good", b"evil"), b"!"] if b"good" in unit else [unit]

        the_net().fault = fault
        server, _ = await echo()
        reader, writer = await asyncio.open_connection("192.0.2.1", 502)
        writer.write(b"good")
        octets = await reader.readexactly(5)
        await finish(server, writer)
        return octets, points

    octets, points = run(main)
    assert octets == b"evil!"
    assert set(points) == {"net.tcp"}


def test_giving_up_a_connection_attempt_leaves_nothing_behind() -> None:
    async def main(clock: VirtualClock) -> None:
        link = the_net().link("192.0.2.1")
        link.latency_s = 1.0
        server, _ = await echo()
        for limit in (0.5, 1.5):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(limit):
                    await asyncio.open_connection("192.0.2.1", 502)
        await clock.sleep(10)
        server.close()
        async with asyncio.timeout(1):
            await server.wait_closed()

    run(main)


def test_a_name_with_several_addresses_is_tried_in_order() -> None:
    async def main(clock: VirtualClock) -> str:
        the_net().names.add("csms.example", "192.0.2.7", "192.0.2.1")
        server, _ = await echo()
        _, writer = await asyncio.open_connection("csms.example", 502)
        peer = writer.get_extra_info("peername")[0]
        await finish(server, writer)
        with pytest.raises(OSError, match=r"Multiple exceptions: .*192\.0\.2\.7.*192\.0\.2\.1"):
            await asyncio.open_connection("csms.example", 502)
        return str(peer)

    assert run(main) == "192.0.2.1"


def test_unknown_names_are_not_asked_for_outside() -> None:
    async def main(clock: VirtualClock) -> None:
        with pytest.raises(socket.gaierror, match=r"nobody.example \(virtual network\)"):
            await asyncio.open_connection("nobody.example", 80)

    run(main)


def test_a_server_on_all_addresses() -> None:
    async def main(clock: VirtualClock) -> None:
        server = await asyncio.get_running_loop().create_server(Echo, None, 0)
        ports = {sock.getsockname()[1] for sock in server.sockets}
        assert len(ports) == 1
        for host in ("127.0.0.1", "::1", "localhost", "192.0.2.99"):
            _, writer = await asyncio.open_connection(host, *ports)
            writer.close()
        server.close()
        await server.wait_closed()

    run(main)


class Datagrams(asyncio.DatagramProtocol):
    """Notes datagrams."""

    def __init__(self) -> None:
        self.received: asyncio.Queue[tuple[bytes, Any]] = asyncio.Queue()

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self.received.put_nowait((data, addr))


def test_multicast_reaches_the_members_of_a_group() -> None:
    """As ISO 15118 SDP uses it: ff02::1, port 15118, the answer comes as unicast."""

    async def main(clock: VirtualClock) -> None:
        loop = asyncio.get_running_loop()
        group = socket.inet_pton(socket.AF_INET6, "ff02::1") + struct.pack("@I", 0)
        servers = []
        for _ in range(2):
            transport, protocol = await loop.create_datagram_endpoint(
                Datagrams, local_addr=("::", 15118), family=socket.AF_INET6, reuse_port=True
            )
            transport.get_extra_info("socket").setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, group)
            servers.append((transport, protocol))
        client, answers = await loop.create_datagram_endpoint(Datagrams, family=socket.AF_INET6)
        client.sendto(b"request", ("ff02::1%eth0", 15118))
        for transport, protocol in servers:
            data, source = await protocol.received.get()
            assert data == b"request"
            assert source[0] == "fe80::254"
            transport.sendto(b"response", source)
        for _ in servers:
            assert (await answers.received.get())[0] == b"response"
        servers[0][0].get_extra_info("socket").setsockopt(socket.IPPROTO_IPV6, socket.IPV6_LEAVE_GROUP, group)
        client.sendto(b"again", ("ff02::1", 15118))
        assert (await servers[1][1].received.get())[0] == b"again"
        await clock.sleep(1)
        assert servers[0][1].received.empty()
        for transport in (client, servers[0][0], servers[1][0]):
            transport.close()

    run(main)


def test_datagrams_are_lost_and_not_sent_again() -> None:
    async def main(clock: VirtualClock) -> int:
        the_net().link("127.0.0.1").loss = 0.5
        loop = asyncio.get_running_loop()
        far, protocol = await loop.create_datagram_endpoint(Datagrams, local_addr=("127.0.0.1", 99))
        near, _ = await loop.create_datagram_endpoint(Datagrams, remote_addr=("127.0.0.1", 99))
        for _ in range(1000):
            near.sendto(b"x")
        await clock.sleep(1)
        near.close()
        far.close()
        return protocol.received.qsize()

    assert 400 < run(main) < 600


def test_a_datagram_that_is_too_long() -> None:
    async def main(clock: VirtualClock) -> None:
        errors: list[Exception] = []

        class Noting(asyncio.DatagramProtocol):
            def error_received(self, exc: Exception) -> None:
                errors.append(exc)

        near, _ = await asyncio.get_running_loop().create_datagram_endpoint(Noting, local_addr=("127.0.0.1", 0))
        near.sendto(bytes(65508), ("127.0.0.1", 9))
        await clock.sleep(1)
        near.close()
        assert isinstance(errors[0], OSError)
        assert errors[0].errno == errno.EMSGSIZE

    run(main)


def test_waits_between_attempts_double_up_to_two_minutes() -> None:
    assert [retransmit_wait(number) for number in (0, 1, 2, 9, 10, 1000)] == [0.2, 0.4, 0.8, 102.4, 120.0, 120.0]
