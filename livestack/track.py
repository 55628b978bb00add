"""One filter's stack on its way to hold the subs that belong in it, and its checkpoints.

What belongs there is a list in order of arrival. As long as what is held is the beginning of it, subs are
added; otherwise the stack begins anew. So the same subs always go in in the same order, and a stack that was
killed, or that had subs taken out and put back, comes out equal to one that was not, to the last bit.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from livestack.checkpoint import held_in, read_checkpoint, size_bytes, write_checkpoint
from livestack.stack import FilterStack, StackImage

_WORTH = 10.0
"""A checkpoint is due when what it saves took this many times longer than writing it does."""

_GUESSED_BYTES_PER_S = 100e6


class Track:
    """``wanted``: the frame ids that belong in the stack. Its planes hold ``held``."""

    def __init__(self, stack: FilterStack, checkpoint: Path, clock: Callable[[], float]) -> None:
        self.stack = stack
        self.wanted: list[str] = []
        self.held: list[str] = []
        self._file, self._clock = checkpoint, clock
        self._picture: StackImage | None = None
        self._torn = False
        self._unsaved_s = 0.0
        self._write_s = size_bytes(stack) / _GUESSED_BYTES_PER_S

    @property
    def behind(self) -> bool:
        """The planes do not hold what belongs there."""
        return self._torn or self.held != self.wanted

    @property
    def anew(self) -> bool:
        """A restack is due or going on, and the last picture stands."""
        return self._picture is not None or not self._begun

    @property
    def stacked(self) -> int:
        """How many of those that belong there are in the planes."""
        return len(self.held) if self._begun else 0

    @property
    def has_picture(self) -> bool:
        """There is something to show."""
        return self._picture is not None or bool(self.held)

    def resume(self) -> None:
        """Go on from the checkpoint, as far as it holds what belongs there.

        Raises :class:`livestack.errors.CheckpointError` for one that is damaged; the stack is empty then.
        """
        self.held = []
        if _begins(self.wanted, held_in(self._file).frame_ids):
            self.held = list(read_checkpoint(self._file, self.stack).frame_ids) if self._file.exists() else []

    def begin(self) -> None:
        """Drop what is not the beginning of what belongs there, and go on from the checkpoint if that is.

        Raises :class:`livestack.errors.CheckpointError` for one that is damaged; the stack is empty then.
        """
        if self._begun:
            return
        if self._picture is None and not self._torn:
            self._picture = self.stack.snapshot()
        self.stack.clear()
        self._unsaved_s, self._torn = 0.0, False
        try:
            self.resume()
        finally:
            self._forget_picture()

    @property
    def next(self) -> str | None:
        """The sub to be stacked next."""
        return self.wanted[len(self.held)] if self._begun and self.behind else None

    def take(self, frame_id: str, stack: Callable[[], float]) -> float:
        """Have a sub stacked: the next one, or a new one where nothing is behind; returns its noise.

        What interrupts it leaves a stack that will begin anew.
        """
        begun = self._clock()
        self._torn = True
        noise = stack()
        self._torn = False
        if not self.behind:
            self.wanted.append(frame_id)
        self.held.append(frame_id)
        self._unsaved_s += self._clock() - begun
        self._forget_picture()
        return noise

    def snapshot(self) -> StackImage:
        """The last picture during a restack; otherwise that of the planes."""
        return self.stack.snapshot() if self._picture is None else self._picture

    @property
    def checkpoint_is_due(self) -> bool:
        """What is not in the checkpoint took so long that writing one costs little beside it."""
        return not self._torn and self._unsaved_s > _WORTH * self._write_s

    @property
    def unsaved(self) -> bool:
        """The checkpoint lacks something."""
        return not self._torn and self._unsaved_s > 0

    def save(self) -> None:
        """Write a checkpoint; after a failure the next one is tried when as much work has been done again.

        Raises :class:`library.errors.DiskFullError` or OSError.
        """
        started, self._unsaved_s = self._clock(), 0.0
        write_checkpoint(self._file, self.stack, tuple(self.held))
        self._write_s = self._clock() - started

    @property
    def _begun(self) -> bool:
        """What the planes hold is the beginning of what belongs there."""
        return not self._torn and _begins(self.wanted, self.held)

    def _forget_picture(self) -> None:
        if not self.behind:
            self._picture = None


def _begins(whole: Sequence[str], start: Sequence[str]) -> bool:
    return len(start) <= len(whole) and all(map(str.__eq__, start, whole))
