"""The queue to the stacking process: what goes first, and what happens when the process dies."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from firstlight.asking import Ask
from firstlight.events import Answer, Event, Log, Restacking, StackQueue, SubGraded
from firstlight.stacker import Job
from firstlight.stacker_link import MOST_DEATHS, StackerLink
from firstlight.stacker_process import StackerDiedError, StackerProcess
from livestack.events import SubRejected


class FakeProcess(StackerProcess):
    """Keeps what it was given, as a folder would; dies on what ``deadly`` says, so many times."""

    def __init__(self, deadly: dict[str, int] | None = None) -> None:
        self.deadly = deadly or {}
        self.kept: dict[str, bool] = {}
        self.heard: list[str] = []
        self.backlog = 0
        self.deaths = 0
        self.gate = asyncio.Event()
        self.gate.set()

    async def start(self) -> None: ...

    async def end(self) -> None:
        self.deaths += 1

    async def request(self, request: dict[str, Any], say: Callable[[Event], None]) -> dict[str, Any]:
        await self.gate.wait()
        for _ in range(5):  # others have their turns meanwhile
            await asyncio.sleep(0)
        match request:
            case {"add": {"frame_id": frame}}:
                word = f"add {frame}"
            case {"ask": {"word": ask, "subs": subs}}:
                word = " ".join((ask, *subs))
            case _:
                word = next(iter(request))
        self.heard.append(word)
        if self.deadly.get(word, 0):
            self.deadly[word] -= 1
            raise StackerDiedError
        answer: dict[str, Any] = {"done": True}
        match request:
            case {"anew": _}:
                self.kept.clear()
            case {"add": {"frame_id": frame}}:
                answer["stale"] = False
                say(self.graded(frame, self.kept.setdefault(frame, True), "rules"))
            case {"ask": {"word": ask, "subs": [frame] | (frame,)}}:
                answer |= {"refused": frame not in self.kept, "text": "so be it"}
                if frame in self.kept:
                    self.kept[frame] = ask == "back"
                    self.backlog = 3
                    say(self.graded(frame, self.kept[frame], "hand"))
            case {"work": _}:
                self.backlog = max(self.backlog - 1, 0)
        return answer | {"work": self.backlog > 0}

    @staticmethod
    def graded(frame: str, inside: bool, by: str) -> SubGraded:
        return SubGraded(frame_id=frame, filter="L", inside=inside, by=by, reason="")


def job(name: str) -> Job:
    return Job(frame_id=name, path=str(Path("/nowhere") / name))


def run(process: FakeProcess, story: Callable[[StackerLink], Any]) -> list[Event]:
    """Tell a story to a link that works, and return what it said until it was idle again."""
    said: list[Event] = []

    async def told() -> None:
        link = StackerLink(process, said.append)
        work = asyncio.create_task(link.run())
        await story(link)
        await asyncio.wait_for(link.drained(), timeout=10)
        work.cancel()
        with suppress(asyncio.CancelledError):
            await work

    asyncio.run(told())
    return [event for event in said if not isinstance(event, StackQueue)]


def test_a_wish_comes_first_then_lights_and_a_restack_when_idle() -> None:
    process = FakeProcess()

    async def story(link: StackerLink) -> None:
        link.add(job("a"))
        await link.drained()
        process.gate.clear()
        link.add(job("b"))
        await asyncio.sleep(0)
        link.add(job("c"))
        link.ask(Ask(word="out", subs=("a",), token="t"))
        process.gate.set()
        while "work" not in process.heard:
            await asyncio.sleep(0)
        link.add(job("d"))

    said = run(process, story)
    first = process.heard.index("out a")
    assert process.heard.index("add b") < process.heard.index("add c")
    assert first < process.heard.index("add c"), "a wish waits for no queue"
    assert process.heard.index("work") > process.heard.index("add c")
    assert process.heard.count("work") == 3
    assert process.heard[-1] == "work", "the light came between the slices"
    assert process.heard.index("add d") < len(process.heard) - 1
    assert [each for each in said if isinstance(each, Answer)] == [
        Answer(token="t", refused=False, text="so be it")
    ]


def test_after_a_death_only_what_is_not_kept_is_stacked_again() -> None:
    process = FakeProcess({"add c": 1})

    async def story(link: StackerLink) -> None:
        for name in "abc":
            link.add(job(name))

    said = run(process, story)
    assert process.deaths == 1
    assert set(process.kept) == {"a", "b", "c"}
    graded = [event.frame_id for event in said if isinstance(event, SubGraded)]
    assert graded == ["a", "b", "c"], "nothing is told twice"
    assert [event.level for event in said if isinstance(event, Log)] == ["warning"]


def test_a_light_that_kills_it_twice_is_rejected_and_the_rest_goes_on() -> None:
    process = FakeProcess({"add b": 5})

    async def story(link: StackerLink) -> None:
        for name in "abc":
            link.add(job(name))
        await link.drained()
        assert [link.inside(name) for name in "abc"] == [True, False, True]

    said = run(process, story)
    rejected = [event for event in said if isinstance(event, SubRejected)]
    assert [(event.frame_id, event.reason) for event in rejected] == [("b", "crash")]


@pytest.mark.parametrize(("deaths", "refused"), [(1, False), (MOST_DEATHS, True)])
def test_a_wish_that_kills_it_is_tried_once_more(deaths: int, refused: bool) -> None:
    process = FakeProcess({"out a": deaths})

    async def story(link: StackerLink) -> None:
        link.add(job("a"))
        await link.drained()
        link.ask(Ask(word="out", subs=("a",), token="t"))

    said = run(process, story)
    assert [each.refused for each in said if isinstance(each, Answer)] == [refused]


def test_a_restack_that_always_kills_it_is_given_up() -> None:
    process = FakeProcess({"work": 100})

    async def story(link: StackerLink) -> None:
        link.add(job("a"))
        await link.drained()
        link.ask(Ask(word="out", subs=("a",)))

    said = run(process, story)
    assert process.heard.count("work") == MOST_DEATHS
    assert "again and again" in [event.message for event in said if isinstance(event, Log)][-1]


def test_everything_again_keeps_what_a_hand_said_and_lets_new_lights_between() -> None:
    process = FakeProcess()

    async def story(link: StackerLink) -> None:
        for name in "abc":
            link.add(job(name))
        await link.drained()
        link.ask(Ask(word="out", subs=("b",)))
        await link.drained()
        process.heard.clear()
        await link.restack([job(name) for name in "abc"])
        link.add(job("d"))

    said = run(process, story)
    adds = [word for word in process.heard if word.startswith("add")]
    assert adds == ["add a", "add d", "add b", "add c"], "the first one sets the geometry"
    assert process.kept == {"a": True, "b": False, "c": True, "d": True}
    done = [event.done for event in said if isinstance(event, Restacking)]
    assert done == sorted(done)
    assert done[-1] == 1.0
