"""Feeding targets with damaged inputs: what raised, what hung, what took memory, each with what made it."""

from __future__ import annotations

import resource
import signal
import tempfile
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from types import FrameType

import numpy as np

from tests.fuzz.mutate import mutated
from tests.fuzz.targets import TARGETS, Target

HANG_S, MOST_KB, MOST_ADDRESS_BYTES = 20, 500_000, 6 << 30


@dataclass(frozen=True, slots=True)
class Fault:
    """One input that was not taken as it should be; ``number`` and the run's seed make it again."""

    target: str
    seed: int
    number: int
    what: str
    where: str

    def __str__(self) -> str:
        """In a line."""
        return f"{self.target} --seed {self.seed} --only {self.number}: {self.what} {self.where}"


class HangError(BaseException):
    """An input took more than :data:`HANG_S`."""


@contextmanager
def watched() -> Iterator[None]:
    """Turn a hang into an error, and an absurd allocation into a MemoryError."""

    def hang(_signal: int, _frame: FrameType | None) -> None:
        raise HangError

    before = signal.signal(signal.SIGALRM, hang)
    limits = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (MOST_ADDRESS_BYTES, limits[1]))
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
        resource.setrlimit(resource.RLIMIT_AS, limits)


def input_of(target: Target, seed: int, number: int) -> bytes:
    """The input of that number: the same for the same seed, whatever came before."""
    rng = np.random.default_rng([seed, number, *target.name.encode()])
    inputs = target.inputs()
    return mutated(inputs[int(rng.integers(len(inputs)))], target.kind, rng)


def feed(
    target: Target, seed: int, numbers: Iterator[int] | range, until_s: float = 1e9
) -> tuple[int, list[Fault]]:
    """Feed a target; returns how many inputs were fed, and the faults, one for each place that raised."""
    faults: dict[str, Fault] = {}
    fed, began = 0, monotonic()
    for number in numbers:
        if monotonic() - began > until_s:
            break
        fed += 1
        data = input_of(target, seed, number)
        before_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        what = where = ""
        with tempfile.TemporaryDirectory(prefix="firstlight-fuzz-") as folder:
            signal.alarm(HANG_S)
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("error")
                    target.read(data, Path(folder))
            except HangError as error:
                what, where = f"hangs for more than {HANG_S} s", _place(error)
            except Exception as error:  # noqa: BLE001 - that is what is looked for
                what, where = f"{type(error).__name__}: {str(error)[:160]!r}", _place(error)
            finally:
                signal.alarm(0)
        grown_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kb
        if grown_kb > MOST_KB:
            what, where = f"takes {grown_kb / 1000:.0f} MB", where or "memory"
        if what:
            faults.setdefault(where, Fault(target.name, seed, number, what, where))
    return fed, list(faults.values())


def _place(error: BaseException) -> str:
    """The last lines of ours on the way to an error."""
    frames = [
        each for each in traceback.extract_tb(error.__traceback__) if "/tests/fuzz/" not in each.filename
    ]
    ours = [each for each in frames if ".venv" not in each.filename and "/lib/python" not in each.filename]
    return " < ".join(f"{Path(each.filename).name}:{each.lineno}" for each in reversed(ours[-3:]))


def run(
    inputs: int, seed: int, *, only: str | None = None
) -> Iterator[tuple[Target, int, float, list[Fault]]]:
    """Share so many inputs out among the targets; yields each with what came of it."""
    targets = [each for each in TARGETS if only is None or each.name == only]
    shares = sum(each.share for each in targets)
    with watched():
        for target in targets:
            began = monotonic()
            fed, faults = feed(target, seed, range(-(-int(inputs * target.share) // int(shares))))
            yield target, fed, monotonic() - began, faults
