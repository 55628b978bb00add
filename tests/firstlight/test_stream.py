"""The stream, its journal, and the socket that hands it out."""

from __future__ import annotations

import asyncio
import os
import socket
import stat
import sys
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

import pytest

from firstlight.asking import Ask
from firstlight.client import SessionClient
from firstlight.errors import NoSessionError, SessionRunningError
from firstlight.events import Event, Log, StackQueue, decode
from firstlight.paths import Root
from firstlight.server import serve
from firstlight.stream import MAX_WAITING, MAX_WAITING_EPHEMERAL, EventStream


def log(number: int) -> Log:
    return Log(level="info", message=f"line {number}")


@pytest.fixture
def root(tmp_path: Path) -> Root:
    root = Root(tmp_path)
    root.create()
    return root


@pytest.fixture
def stream(root: Root) -> EventStream:
    ticks = count()
    start = datetime(2026, 11, 23, 22, 0, tzinfo=UTC)
    return EventStream(root.journals, now=lambda: start + timedelta(seconds=next(ticks)))


def test_the_journal_keeps_what_matters_in_order(stream: EventStream) -> None:
    for number in range(3):
        stream.emit(log(number))
        stream.emit(StackQueue(waiting=number))
    stream.close()
    kept = [decode(line) for line in stream.path.read_bytes().splitlines()]
    assert [each.event for each in kept] == [log(0), log(1), log(2)]
    assert {each.run for each in kept} == {stream.run}
    assert sorted(each.time for each in kept) == [each.time for each in kept]


def test_two_runs_in_one_second_have_two_journals(root: Root) -> None:
    def now() -> datetime:
        return datetime(2026, 11, 23, tzinfo=UTC)

    first, second = EventStream(root.journals, now=now), EventStream(root.journals, now=now)
    assert first.path != second.path
    first.close()
    second.close()


def test_a_full_disk_costs_the_journal_and_not_the_night(stream: EventStream) -> None:
    stream.emit(log(0))
    whole = stream.path.read_bytes()
    listener = stream.listen()
    # /dev/full answers every write with ENOSPC, as a full disk does.
    stream._file.close()
    stream._file = Path("/dev/full").open("wb", buffering=0)
    stream.emit(log(1))
    stream.emit(log(2))
    stream.close()
    told = []
    while (line := listener.queue.get_nowait()) is not None:
        told.append(decode(line).event)
    assert [each for each in told if isinstance(each, Log) and each.level == "info"] == [log(1), log(2)]
    (warning,) = [each for each in told if isinstance(each, Log) and each.level == "error"]
    assert str(stream.path) in warning.message
    assert stream.path.read_bytes() == whole


def test_a_slow_listener_loses_progress_first_and_then_its_place(stream: EventStream) -> None:
    listener = stream.listen()
    for number in range(MAX_WAITING_EPHEMERAL + 10):
        stream.emit(StackQueue(waiting=number))
    assert listener.queue.qsize() == MAX_WAITING_EPHEMERAL
    for number in range(MAX_WAITING):
        stream.emit(log(number))
    assert listener.queue.qsize() == MAX_WAITING + 1, "the last one in the queue says that it was dropped"
    stream.close()


async def follow(root: Root) -> list[Event]:
    client = await SessionClient.connect(root)
    events = [each.event async for each in client.events()]
    await client.close()
    return events


async def test_whoever_attaches_gets_the_night_so_far_and_then_the_rest(
    root: Root, stream: EventStream
) -> None:
    async with serve(root, stream, lambda _: None):
        for number in range(500):
            stream.emit(log(number))
        early = asyncio.create_task(follow(root))
        for number in range(500, 1000):
            stream.emit(log(number))
            if number % 50 == 0:
                await asyncio.sleep(0)
        late = asyncio.create_task(follow(root))
        await asyncio.sleep(0)
        while stream.listeners < 2:
            await asyncio.sleep(0)
        stream.emit(log(1000))
    assert await early == await late == [log(number) for number in range(1001)]


async def test_commands_arrive_and_nonsense_is_passed_over(root: Root, stream: EventStream) -> None:
    heard: asyncio.Queue[Ask] = asyncio.Queue()
    async with serve(root, stream, heard.put_nowait):
        client = await SessionClient.connect(root)
        asks = [
            Ask(word="pause"),
            Ask(word="out", subs=("a", "b"), token="t"),
            Ask(word="rules", rules={"max_fwhm_px": 3.5, "least_stars": None}),
            Ask(word="stop"),
        ]
        nonsense = (
            b"not json",
            b"[]",
            b'{"command": "format the disk"}',
            b'{"command": "out"}',
            b'{"command": "out", "subs": "all"}',
            b'{"command": "rules", "rules": {"max_fwhm_px": "wide"}}',
            b'{"command": ["pause"]}',
        )
        for ask in asks:
            client._writer.writelines(line + b"\n" for line in nonsense)
            await client.send(ask)
        assert [await heard.get() for _ in asks] == asks
        await client.close()


async def test_the_socket_is_the_users_own_and_goes_with_the_session(root: Root, stream: EventStream) -> None:
    async with serve(root, stream, lambda _: None):
        mode = (root.path / "session.sock").stat().st_mode
        assert stat.S_ISSOCK(mode)
        assert stat.S_IMODE(mode) == 0o600
    assert not (root.path / "session.sock").exists()
    with pytest.raises(NoSessionError, match=r"no night is running .* firstlight run"):
        await SessionClient.connect(root)


async def test_a_killed_sessions_socket_is_in_nobodys_way(root: Root, stream: EventStream) -> None:
    with root.socket_address() as address:
        dead = socket.socket(socket.AF_UNIX)
        dead.bind(address)
        dead.close()
    with pytest.raises(NoSessionError):
        await SessionClient.connect(root)
    async with serve(root, stream, lambda _: None):
        client = await SessionClient.connect(root)
        await client.close()


async def test_a_deep_root_is_no_deeper_than_any(tmp_path: Path) -> None:
    root = Root(tmp_path.joinpath(*["a-folder-with-a-long-name"] * 8))
    root.create()
    assert len(os.fsencode(root.path)) > 200
    stream = EventStream(root.journals)
    async with serve(root, stream, lambda _: None):
        client = await SessionClient.connect(root)
        await client.close()


def test_one_session_a_root(root: Root) -> None:
    with root.locked():
        with pytest.raises(SessionRunningError, match="firstlight attach"), root.locked():
            pass
    with root.locked():
        pass


_SESSION = """
import os, socket, sys
listener = socket.socket(socket.AF_UNIX)
os.chdir(sys.argv[1])
listener.bind("session.sock")
listener.listen()
print("listening", flush=True)
connection, _ = listener.accept()
reads, writes = os.pipe()
if os.fork() == 0:  # a child that keeps the connection open, until its own input ends
    os.close(writes)
    print("kept", flush=True)
    os.read(0, 1)
    os._exit(0)
os.read(0, 1)
"""


async def test_a_killed_session_ends_whoever_is_attached_though_its_connection_stays_open(root: Root) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", _SESSION, str(root.path)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    assert await process.stdout.readline() == b"listening\n"
    client = await SessionClient.connect(root)
    assert await process.stdout.readline() == b"kept\n"
    process.kill()
    async with asyncio.timeout(30):
        assert [stamped async for stamped in client.events()] == []
    await client.close()
    process.stdin.close()
    assert await process.stdout.read() == b"", "the child has ended, too"
    await process.wait()
