"""A session may end before who started it can attach: what it did is told all the same."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from firstlight.client import FinishedSession, SessionClient, follow
from firstlight.errors import NoSessionError
from firstlight.events import Event, Log, StackQueue, Stamped, Summary, encode
from firstlight.launch import SessionSpec, Started
from firstlight.paths import Root
from firstlight.server import serve
from firstlight.stream import EventStream, utc_now
from tui import commands

SUMMARY = Summary(
    outcome="done",
    subs_shot=0,
    subs_accepted=0,
    subs_rejected=0,
    stacks=(),
    masters=(),
    colour_preview=None,
    seconds=0.1,
)
EVENTS = (Log(level="info", message="a"), StackQueue(waiting=0), Log(level="info", message="b"), SUMMARY)
KEPT = [EVENTS[0], *EVENTS[2:]]


@contextmanager
def ended_night(folder: Path) -> Iterator[tuple[Root, Started]]:
    """A root on which a night has been, as its session leaves it."""
    root = Root(folder / "root")
    root.create()
    stream = EventStream(root.journals)
    for event in EVENTS:
        stream.emit(event)
    stream.close()
    yield root, Started(pid=os.getpid(), journal=stream.path)


def test_a_night_with_nothing_to_do_is_over_before_anybody_looks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    with ended_night(tmp_path) as (root, started):
        monkeypatch.setattr("firstlight.launch.start_session", lambda _spec: started)
        spec = SessionSpec(root=str(root.path), plan="plan.toml", indi="127.0.0.1:7624")
        arguments = argparse.Namespace(command="run", json=True, headless=True)
        assert commands.follow_session(spec, arguments) == 0
        told = [json.loads(line)["event"] for line in capsys.readouterr().out.splitlines()]
        assert told == ["log", "log", "summary"]


def test_who_comes_back_to_no_night_is_told_so(tmp_path: Path) -> None:
    with ended_night(tmp_path) as (root, _):
        with pytest.raises(NoSessionError):
            asyncio.run(SessionClient.connect(root))


@pytest.mark.parametrize("sent", [0, 1, 2, 3, 4])
def test_a_session_that_ends_in_the_middle_of_attaching(tmp_path: Path, sent: int) -> None:
    """Its socket says some lines, or none; each event comes once, and the summary last."""

    async def night() -> list[object]:
        with ended_night(tmp_path) as (root, started):
            lines = [encode_line(event) for event in EVENTS[:sent]]

            async def client(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                writer.writelines(lines)
                writer.close()
                await writer.wait_closed()

            with root.socket_address() as address:
                server = await asyncio.start_unix_server(client, path=address)
            async with server:
                session = await follow(root, started)
                assert isinstance(session, SessionClient)
                seen: list[object] = [each.event async for each in session.events()]
                await session.close()
        return seen

    seen = asyncio.run(night())
    assert [event for event in seen if not isinstance(event, StackQueue)] == KEPT


def encode_line(event: Event) -> bytes:
    return encode(Stamped(time=utc_now(), run="r", event=event)).encode() + b"\n"


def test_a_session_that_goes_on_is_followed_live_and_nothing_is_told_twice(tmp_path: Path) -> None:
    async def night() -> list[object]:
        root = Root(tmp_path / "root")
        root.create()
        stream = EventStream(root.journals)
        async with serve(root, stream, lambda _word: None):
            stream.emit(EVENTS[0])
            session = await follow(root, Started(pid=os.getpid(), journal=stream.path))
            events = session.events()
            seen: list[object] = [(await anext(events)).event]
            for event in EVENTS[1:]:
                stream.emit(event)
            seen += [(await anext(events)).event for _ in EVENTS[1:]]
        seen += [each.event async for each in events]
        await session.close()
        return seen

    assert asyncio.run(night()) == list(EVENTS)


def test_a_journal_that_ends_in_a_torn_line(tmp_path: Path) -> None:
    with ended_night(tmp_path) as (_, started):
        with started.journal.open("ab") as file:
            file.write(b'{"event": "lo')

        async def read() -> list[object]:
            return [each.event async for each in FinishedSession(started.journal).events()]

        assert asyncio.run(read()) == KEPT
