"""``firstlight subs`` in a second shell: the list, and wishes that the session answers."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from firstlight.asking import Ask
from firstlight.errors import FirstlightError, NoSessionError
from firstlight.events import Answer, Log
from firstlight.paths import Root
from firstlight.server import serve
from firstlight.stream import EventStream
from tests.tui.nights import in_progress
from tui.cli import parser
from tui.subs import subs


@pytest.fixture
def night(tmp_path: Path) -> Root:
    """A root with the journal of a night, and of a run without lights after it."""
    root = Root(tmp_path / "root")
    root.create()
    stream = EventStream(root.journals)
    for stamped in in_progress().stream:
        stream.emit(stamped.event)
    stream.close()
    later = EventStream(root.journals)
    later.emit(Log(level="info", message="darks by day"))
    later.close()
    return root


def run(root: Root, *words: str) -> int:
    return subs(parser().parse_args(["subs", *words, "--root", str(root.path)]))


@contextmanager
def session(root: Root, answer: Callable[[Ask], Answer | None]) -> Iterator[list[Ask]]:
    """A session on the root that answers so; None ends it."""
    asked: list[Ask] = []
    served, over = threading.Event(), threading.Event()

    async def serving() -> None:
        stream = EventStream(root.journals)
        ended = asyncio.Event()

        def obey(ask: Ask) -> None:
            asked.append(ask)
            told = answer(ask)
            if told is None:
                ended.set()
            else:
                stream.emit(Answer(token="another screen's", refused=True, text="not for us"))
                stream.emit(told)

        async with serve(root, stream, obey):
            served.set()
            while not (ended.is_set() or over.is_set()):
                await asyncio.sleep(0.01)

    thread = threading.Thread(target=asyncio.run, args=(serving(),))
    thread.start()
    assert served.wait(10)
    try:
        yield asked
    finally:
        over.set()
        thread.join()


def test_the_list_has_a_line_a_sub(night: Root, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(night) == 0
    head, *lines = capsys.readouterr().out.splitlines()
    assert " ".join(head.split()) == "sub filter FWHM round stars sky transp rms weight verdict id"
    assert len(lines) == 27
    assert " ".join(lines[6].split()) == "7 L – – – – – – – too few stars frame0033"
    assert " ".join(lines[25].split()) == "26 G 2.82 0.93 151 812 0.97 0.11 0.35 in frame0052"
    assert run(night, "--json") == 0
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(each["number"], each["accepted"]) for each in told[5:7]] == [(6, True), (7, False)]


@pytest.mark.parametrize(
    ("words", "ask"),
    [
        (("out", "26", "frame0050"), Ask(word="out", subs=("frame0052", "frame0050"))),
        (("back", "7"), Ask(word="back", subs=("frame0033",))),
        (("rules",), Ask(word="rules")),
        (("rules", "fwhm=3.5", "stars=none"), Ask(word="rules", rules={"fwhm": 3.5, "stars": None})),
        (("restack",), Ask(word="restack")),
    ],
)
def test_the_session_is_asked_and_its_answer_told(
    night: Root, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], ask: Ask
) -> None:
    with session(night, lambda ask: Answer(token=ask.token, refused=False, text="so be it")) as asked:
        assert run(night, *words) == 0
    assert capsys.readouterr().out == "so be it\n"
    assert [(each.word, each.subs, each.rules) for each in asked] == [(ask.word, ask.subs, ask.rules)]


def test_what_is_refused_is_an_error(night: Root) -> None:
    with (
        session(night, lambda ask: Answer(token=ask.token, refused=True, text="its file is gone")),
        pytest.raises(FirstlightError, match="its file is gone"),
    ):
        run(night, "back", "7")


def test_a_session_that_ends_meanwhile_is_an_error(night: Root) -> None:
    with session(night, lambda _: None), pytest.raises(FirstlightError, match="ended before it answered"):
        run(night, "out", "1")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("out",), "which"),
        (("out", "99"), "no sub is '99'"),
        (("out", "frame005"), "several subs are 'frame005'"),
        (("list", "1"), "takes nothing more"),
        (("rules", "fwhm"), "NAME=NUMBER"),
    ],
)
def test_a_mistake_is_told_before_anybody_is_asked(night: Root, words: tuple[str, ...], said: str) -> None:
    with pytest.raises(FirstlightError, match=said):
        run(night, *words)


def test_without_a_night_there_is_nobody_to_ask(night: Root, tmp_path: Path) -> None:
    with pytest.raises(NoSessionError, match="no night is running"):
        run(night, "out", "1")
    with pytest.raises(FirstlightError, match="no sub has been graded"):
        run(Root(tmp_path))
