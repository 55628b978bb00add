"""Bounded memories of a long night: how fast frames come, and curves to draw."""

from __future__ import annotations

from dataclasses import dataclass, replace

FORGET = 0.9
"""What an older frame still weighs when a new one comes: about ten frames are remembered."""

MOST_POINTS = 512


@dataclass(frozen=True, slots=True)
class Pace:
    """How long frames take by the wall clock: a line through (exposure, seconds taken), older ones fading.

    The intercept is the overhead of a frame (download, filter change, writing); the slope is below 1 where a
    simulated clock runs faster.
    """

    n: float = 0.0
    e: float = 0.0
    t: float = 0.0
    ee: float = 0.0
    et: float = 0.0

    def add(self, exposure_s: float, took_s: float) -> Pace:
        """With one more frame."""
        return Pace(
            self.n * FORGET + 1.0,
            self.e * FORGET + exposure_s,
            self.t * FORGET + took_s,
            self.ee * FORGET + exposure_s**2,
            self.et * FORGET + exposure_s * took_s,
        )

    def frame_s(self, exposure_s: float) -> float:
        """How long a frame of this exposure should take, in seconds; never less than nothing."""
        if self.n == 0:
            return exposure_s
        mean_e, mean_t = self.e / self.n, self.t / self.n
        spread = self.ee / self.n - mean_e**2
        if spread > 1e-3 * mean_e**2:
            slope = (self.et / self.n - mean_e * mean_t) / spread
        else:  # one exposure time only: all it cost beyond the exposure is overhead
            slope = mean_t / mean_e if mean_e else 1.0
        slope = min(max(slope, 0.0), 1.0)
        return max(mean_t - slope * mean_e, 0.0) + slope * exposure_s


@dataclass(frozen=True, slots=True)
class Series:
    """A curve of bounded length: when full, every second point goes and the step doubles."""

    points: tuple[tuple[float, float], ...] = ()
    step: int = 1
    count: int = 0
    last: tuple[float, float] | None = None

    def add(self, x: float, y: float) -> Series:
        """With one more point."""
        grown = replace(self, count=self.count + 1, last=(x, y))
        if self.count % self.step:
            return grown
        points = (*self.points, (x, y))
        if len(points) > MOST_POINTS:
            return replace(grown, points=points[::2], step=self.step * 2)
        return replace(grown, points=points)

    def curve(self) -> tuple[tuple[float, float], ...]:
        """The points kept, and the newest one always."""
        if self.last is None or self.points[-1] == self.last:
            return self.points
        return (*self.points, self.last)
