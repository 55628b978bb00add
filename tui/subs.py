"""``firstlight subs``: tonight's subs with their grades; from a second shell what the screen's keys do."""

from __future__ import annotations

import argparse
import asyncio
import json
import secrets
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from firstlight.asking import SUB_WORDS, Ask
from firstlight.client import SessionClient
from firstlight.config import last_root
from firstlight.errors import FirstlightError
from firstlight.events import Answer, Stamped, decode
from firstlight.paths import Root
from firstlight.snapshot import NightState, Sub
from firstlight.state import reduce_all
from firstlight.telling import figure
from library.opening import resolved
from tui.terminal import say
from tui.widgets.grades import COLUMNS, verdict

ANSWER_S = 600.0
"""A sub that is being stacked comes first; with many waiting the answer takes its time."""


def subs(arguments: argparse.Namespace) -> int:
    """List the subs of the newest night on a root, or ask its session to change something."""
    root = Root(resolved(arguments.root or last_root()))
    state = newest_night(root)
    if arguments.what == "list":
        if arguments.which:
            raise FirstlightError(f"subs list takes nothing more: leave out {arguments.which[0]}")
        for line in _json(state) if arguments.json else table(state):
            say(line)
        return 0
    ask = wish(arguments.what, arguments.which, state)
    say(asyncio.run(_asked(root, ask)))
    return 0


def newest_night(root: Root) -> NightState:
    """The newest run on a root that has graded subs, as its journal tells it."""
    for journal in sorted(root.journals.glob("*.jsonl"), reverse=True):
        state = reduce_all(_events(journal))
        if state.subs:
            return state
    raise FirstlightError(f"no sub has been graded on {root.path}; give the night's folder with --root")


def _events(journal: Path) -> list[Stamped]:
    events = []
    with journal.open("rb") as lines:
        for line in lines:
            with suppress(FirstlightError):  # the line on which a killed session ended
                events.append(decode(line))
    return events


def table(state: NightState) -> list[str]:
    """A line a sub, under a heading."""
    heads = "".join(f"{name:>{width}}" for name, width, *_ in COLUMNS)
    lines = [f"{'sub':>5} {'filter':<6}{heads}  {'verdict':<30}  id"]
    for sub in state.subs:
        numbers = "".join(f"{figure(getattr(sub, name), form):>{width}}" for _, width, name, form in COLUMNS)
        lines.append(f"{sub.number:>5} {sub.filter or '–':<6}{numbers}  {verdict(sub):<30}  {sub.frame_id}")
    return lines


def _json(state: NightState) -> list[str]:
    return [json.dumps({"event": "sub"} | asdict(sub), ensure_ascii=False) for sub in state.subs]


def wish(word: str, which: Sequence[str], state: NightState) -> Ask:
    """What the words of a command line ask for. Raises :class:`FirstlightError` where they make no sense."""
    token = secrets.token_hex(4)
    if word in SUB_WORDS:
        if not which:
            raise FirstlightError(
                f"subs {word}: which? Give a sub's number or id; firstlight subs lists them"
            )
        return Ask(word=word, subs=tuple(find(text, state).frame_id for text in which), token=token)
    if word == "rules":
        return Ask(word=word, rules=dict(map(_rule, which)), token=token)
    return Ask(word=word, token=token)


def find(text: str, state: NightState) -> Sub:
    """The sub of that number, or whose id begins so. Raises :class:`FirstlightError` for none or several."""
    found = [sub for sub in state.subs if text in {str(sub.number), sub.frame_id}] or [
        sub for sub in state.subs if sub.frame_id.startswith(text)
    ]
    if len(found) != 1:
        raise FirstlightError(
            f"{'several subs are' if found else 'no sub is'} {text!r}; firstlight subs lists them"
        )
    return found[0]


def _rule(text: str) -> tuple[str, float | None]:
    name, _, value = text.partition("=")
    try:
        return name, None if value == "none" else float(value)
    except ValueError:
        raise FirstlightError(
            f"{text!r} is no rule: give NAME=NUMBER, or NAME=none for no such limit"
        ) from None


async def _asked(root: Root, ask: Ask) -> str:
    """Ask the session on a root, and return what it answers."""
    client = await SessionClient.connect(root)
    try:
        await client.send(ask)
        async with asyncio.timeout(ANSWER_S):
            async for stamped in client.events():
                if isinstance(stamped.event, Answer) and stamped.event.token == ask.token:
                    if stamped.event.refused:
                        raise FirstlightError(stamped.event.text)
                    return stamped.event.text
    except TimeoutError:
        raise FirstlightError("the stack has not answered yet; firstlight subs shows when it has") from None
    finally:
        await client.close()
    raise FirstlightError("the session ended before it answered")
