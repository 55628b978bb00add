"""The stacking process: takes durable lights one at a time, keeps the stacks, paints the previews.

Run as ``python -m firstlight.stacker``. It reads one JSON request a line from stdin and answers each with
event lines followed by ``{"done": true}`` on the file descriptor given; it ends with its stdin. Everything
it holds can be made again from the library, so it may be killed at any time.
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

from firstlight.choices import Choices
from firstlight.events import Event, MasterChoice, StackSummary, Stamped, encode
from firstlight.stream import utc_now

_GENTLY = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One light to be stacked, and the masters that were chosen for it, with the reasons."""

    frame_id: str
    path: str
    choices: Choices = ()

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
        return cls(**{**data, "choices": tuple(choices)})


def main() -> None:
    """Serve requests until stdin ends; gently, as the camera must never wait for a stack."""
    os.nice(_GENTLY)
    replies = os.fdopen(int(sys.argv[1]), "w", encoding="utf-8")
    serve(sys.stdin, replies, Path(sys.argv[2]), sys.argv[3])


def serve(requests: IO[str], replies: IO[str], pictures: Path, target: str) -> None:
    """Answer each request line; heavy imports happen here, before the first one comes."""
    from firstlight.stacks import Stacks
    from livestack.warm import warm_up

    stacks = Stacks(pictures, target)
    warm_up()  # while the first exposure runs
    for line in requests:
        request = json.loads(line)
        if "add" in request:
            for told in stacks.add(Job.from_dict(request["add"])):
                _reply(replies, told)
        for event in stacks.refresh() if request.get("refresh") else ():
            _reply(replies, event)
        answer: dict[str, Any] = {"done": True}
        if request.get("finish"):
            summaries = []
            for last in stacks.finish():
                if isinstance(last, StackSummary):
                    summaries.append(asdict(last))
                else:
                    _reply(replies, last)
            answer |= {"stacks": summaries, "colour": None if stacks.colour is None else str(stacks.colour)}
        print(json.dumps(answer), file=replies, flush=True)


def _reply(replies: IO[str], event: Event) -> None:
    replies.write(encode(Stamped(time=utc_now(), run="", event=event)) + "\n")


if __name__ == "__main__":
    main()
