"""A short night whose subs can be opened again, and stacks that keep it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np

from livestack.engine import Sub
from livestack.keeper import KeptStack, Moved, Trouble
from livestack.stack import StackImage
from tests.livestack.sky import Sky, motion, sub

SKY = Sky(shape=(160, 224), n_stars=60)


def exposed(number: int, *, filter_name: str = "L", bayer: str | None = None, fwhm_px: float = 2.6) -> Sub:
    """A sub of its own noise, a little off the one before."""
    where = motion(0.7 * number, -0.4 * number, 0.02 * number, SKY.shape)
    width = 3.5 if bayer and fwhm_px < 3.5 else fwhm_px + 0.02 * (number % 3)
    frame = SKY.expose(where, np.random.default_rng(number), fwhm_px=width)
    return sub(frame, f"{number:02}", filter_name=filter_name, bayer=bayer)


def night(
    n: int, *, filters: str = "L", bayer: str | None = None, soft: Iterable[int] = ()
) -> dict[str, Sub]:
    """Subs by frame id, the filters by turns; the ``soft`` ones are out of focus."""
    subs = (
        exposed(i, filter_name=filters[i % len(filters)], bayer=bayer, fwhm_px=6.0 if i in soft else 2.6)
        for i in range(n)
    )
    return {each.frame_id: each for each in subs}


@dataclass
class Told:
    """What a stack says on its own."""

    every: list[Moved | Trouble] = field(default_factory=list)

    def __call__(self, told: Moved | Trouble) -> None:
        self.every.append(told)

    @property
    def troubles(self) -> list[str]:
        return [each.message for each in self.every if isinstance(each, Trouble)]

    @property
    def moved(self) -> list[tuple[str, bool]]:
        return [
            (each.entry.frame_id, each.entry.standing.inside)
            for each in self.every
            if isinstance(each, Moved)
        ]


@contextmanager
def kept(folder: Path, open_sub: Callable[[str], Sub | None]) -> Iterator[tuple[KeptStack, Told]]:
    """A stack in ``folder``; leaving it is like a kill: nothing more is written."""
    told = Told()
    with KeptStack(folder, open_sub, tell=told) as stack:
        yield stack, told


def pictures(stack: KeptStack) -> dict[str | None, StackImage]:
    """All filters' pictures when nothing is left to do."""
    while stack.work(1.0):
        pass
    return {name: stack.snapshot(name) for name in stack.filters}


def assert_same(some: Mapping[Any, StackImage], others: Mapping[Any, StackImage]) -> None:
    """To the last bit."""
    assert some.keys() == others.keys()
    for name, one in some.items():
        other = others[name]
        assert np.array_equal(one.pixels, other.pixels)
        assert np.array_equal(one.coverage, other.coverage)
        numbers = {each.name for each in fields(one)} - {"pixels", "coverage"}
        assert {n: getattr(one, n) for n in numbers} == {n: getattr(other, n) for n in numbers}
