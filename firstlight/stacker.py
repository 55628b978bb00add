"""The stacking process: takes durable lights one at a time, keeps the stacks, paints the previews.

Run as ``python -m firstlight.stacker``. It reads one JSON request a line from stdin and answers each with
event lines followed by ``{"done": true}`` on the file descriptor given; it ends with its stdin. What it holds
it keeps in its folder: it may be killed at any time, and goes on from there.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from firstlight.asking import Ask
from firstlight.choices import Choices
from firstlight.errors import FirstlightError
from firstlight.events import Compiling as CompilingEvent
from firstlight.events import Event, MasterChoice, StackSummary, Stamped, encode
from firstlight.stream import utc_now
from library.memory import give_back_large_blocks
from livestack.noise_budget import Camera
from livestack.warm import FIRST, PARTS, Compiling, load, missing_of

if TYPE_CHECKING:
    from firstlight.stacks import Stacks

_GENTLY = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One light to be stacked, the masters that were chosen for it, with the reasons, and its camera."""

    frame_id: str
    path: str
    choices: Choices = ()
    camera: Camera | None = None

    def to_dict(self) -> dict[str, Any]:
        """As a JSON object."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Job:
        """Inverse of :meth:`to_dict`."""
        tuples = ("reasons", "sha256s")
        choices = (
            MasterChoice(**{**each, **{k: tuple(each[k]) for k in tuples}}) for each in data["choices"]
        )
        camera = None if data.get("camera") is None else Camera(**data["camera"])
        return cls(**{**data, "choices": tuple(choices), "camera": camera})

    @classmethod
    def from_note(cls, note: Mapping[str, Any]) -> Job:
        """The job that a sub came with, as the stack's ledger has it."""
        return cls.from_dict(note["job"])


def main() -> None:
    """Serve requests until stdin ends; gently, as the camera must never wait for a stack."""
    os.nice(_GENTLY)
    os.environ.setdefault("OPENCV_FOR_THREADS_NUM", "1")  # the other core is the camera's
    give_back_large_blocks()
    replies = os.fdopen(int(sys.argv[1]), "w", encoding="utf-8")
    folder, pictures, target = Path(sys.argv[2]), Path(sys.argv[3]), sys.argv[4]
    try:
        with Compiling(missing_of(PARTS)) as compiling:
            serve(sys.stdin, replies, folder, pictures, target, compiling)
    except BrokenPipeError:
        # The session has gone, and nobody is left to be told; what it has not heard of goes nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), replies.fileno())


def serve(
    requests: IO[str], replies: IO[str], folder: Path, pictures: Path, target: str, compiling: Compiling
) -> None:
    """Answer each request line; heavy imports happen here, before the first one comes.

    While ``compiling``, how far that is is told before the first answer.
    """

    def reply(event: Event) -> None:
        print(encode(Stamped(time=utc_now(), run="", event=event)), file=replies, flush=True)

    _warm(compiling, reply)
    from firstlight.stacks import Stacks

    with Stacks(folder, pictures, target, reply) as stacks:
        for line in requests:
            if not line.endswith("\n"):
                break  # the session was killed while it asked
            answer = _obey(stacks, json.loads(line))
            print(json.dumps({"done": True, "work": stacks.behind} | answer), file=replies, flush=True)


def _warm(compiling: Compiling, reply: Callable[[Event], None]) -> None:
    """Wait until all is compiled that the first picture needs, and tell how far that is; the rest goes on."""
    if compiling.parts.isdisjoint(FIRST):
        load()
        return
    reply(CompilingEvent(done=0.0))
    import firstlight.stacks  # noqa: F401 - meanwhile

    compiling.wait_for(FIRST, lambda done: reply(CompilingEvent(done=done)))
    load()


def _obey(stacks: Stacks, request: dict[str, Any]) -> dict[str, Any]:
    """Do what a request wants; returns what its answer says besides."""
    answer: dict[str, Any] = {}
    match request:
        case {"anew": _}:
            stacks.begin_anew()
        case {"add": job}:
            answer["stale"] = not stacks.add(Job.from_dict(job))
        case {"ask": ask}:
            answer = _answer(stacks, Ask(**ask | {"subs": tuple(ask["subs"])}))
        case {"work": _}:
            stacks.work()
    if request.get("refresh"):
        stacks.refresh()
    if request.get("finish"):
        summaries: list[StackSummary] = stacks.finish()
        colour = None if stacks.colour is None else str(stacks.colour)
        answer |= {"stacks": [asdict(each) for each in summaries], "colour": colour}
    return answer


def _answer(stacks: Stacks, ask: Ask) -> dict[str, Any]:
    try:
        return {"refused": False, "text": stacks.obey(ask)}
    except FirstlightError as error:
        return {"refused": True, "text": str(error)}


if __name__ == "__main__":
    main()
