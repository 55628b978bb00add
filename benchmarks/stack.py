"""A sub from the disk into the live stack, against plain Python: astropy, numpy, astroalign, running mean."""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path

import astroalign
import numpy as np
from astropy.io import fits
from numpy.typing import NDArray

from library.reading import read_frame
from library.writing import write_image
from livestack.engine import LiveStack, Sub
from livestack.events import SubAccepted
from livestack.masters import prepare

SIZES = {"2 Mpx": (1080, 1936), "9 Mpx": (2822, 4144), "26 Mpx": (4176, 6248)}
SUBS = 5
STARS_PER_MPX = 300


def field(shape: tuple[int, int], shift: float, seed: int) -> NDArray[np.uint16]:
    """A field of Gaussian stars, shifted, under sky noise."""
    sky = np.random.default_rng(7)
    image = np.random.default_rng(seed).normal(1000, 20, shape).astype(np.float32)
    height, width = shape
    grid = np.arange(-8, 9)
    for _ in range(STARS_PER_MPX * height * width // 1_000_000):
        x, y, peak = sky.uniform(40, width - 40), sky.uniform(40, height - 40), 100 * sky.pareto(1.2) + 100
        column, row = int(x + shift), int(y + shift / 2)
        star = np.exp(
            -((grid[None, :] + column - x - shift) ** 2 + (grid[:, None] + row - y - shift / 2) ** 2) / 4.0
        )
        image[row - 8 : row + 9, column - 8 : column + 9] += min(peak, 40_000) * star
    return np.clip(image, 0, 65535).astype(np.uint16)


class Plain:
    """Plain Python's way."""

    def __init__(self, dark: NDArray[np.float32], flat: NDArray[np.float32]) -> None:
        self._dark, self._flat = dark, flat
        self._subs: list[NDArray[np.float32]] = []
        self._count = 0

    def add(self, path: Path) -> float:
        """Stack a file; returns seconds."""
        started = time.perf_counter()
        image = (fits.getdata(path).astype(np.float32) - self._dark) / self._flat
        self._count += 1
        if not self._subs:
            self._subs = [image, image.copy()]
        else:
            aligned, _ = astroalign.register(image, self._subs[0])
            self._subs[1] += (aligned - self._subs[1]) / self._count
        return time.perf_counter() - started


class Live:
    """Ours, with rejection."""

    def __init__(self, dark: NDArray[np.float32], flat: NDArray[np.float32]) -> None:
        self._masters, self._stack = prepare(dark=dark, flat=flat), LiveStack()

    def add(self, path: Path) -> float:
        """Stack a file; returns seconds."""
        started = time.perf_counter()
        frame = read_frame(path)
        sub = Sub(frame_id=path.name, pixels=frame.pixels, meta=frame.meta, masters=self._masters)
        verdict = self._stack.add(sub)
        assert isinstance(verdict, SubAccepted), verdict
        return time.perf_counter() - started


def main() -> None:
    """Print the median seconds of both for a sub after the first, and their ratio."""
    print(f"{'frame':8} {'plain':>9} {'live':>9} {'faster':>7}")
    for name, shape in SIZES.items():
        dark, flat = np.full(shape, 500, np.float32), np.ones(shape, np.float32)
        ways = Plain(dark, flat), Live(dark, flat)
        seconds: list[tuple[float, ...]] = []
        with tempfile.TemporaryDirectory() as folder:
            for number in range(SUBS):
                path = Path(folder) / f"{number}.fits"
                write_image(path, field(shape, 3.3 * number, number), [("IMAGETYP", "Light Frame", "")])
                seconds.append(tuple(way.add(path) for way in ways))
        before, after = (statistics.median(each) for each in zip(*seconds[1:], strict=True))
        print(f"{name:8} {before:8.2f}s {after:8.2f}s {before / after:6.1f}×")


if __name__ == "__main__":
    main()
