"""What changes during a night: where the field sits on the sensor, and the seeing."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class Pose:
    """Where the field lies: the tangent point's shift from the sensor's centre, then a turn about it.

    A star at (ξ, η) arcseconds lands, with (u, v) = (−ξ, −η)/scale, at
    x = cx + dx + u·cos θ − v·sin θ, y = cy + dy + u·sin θ + v·cos θ (north up, east left at θ = 0).
    """

    dx_px: float
    dy_px: float
    rotation_deg: float


class Night:
    """A seeded night: smooth functions of the simulated seconds since its start."""

    def __init__(self, seed: int) -> None:
        self._phase = np.random.default_rng([seed, 3]).uniform(0.0, 2 * np.pi, 6)

    def pose(self, elapsed_s: float) -> Pose:
        """Slow wander (flexure, polar misalignment), periodic error in x, and a slow field rotation.

        About 0.3–1 px a minute, tens of pixels and under a degree over a night; zero at the start.
        """
        return Pose(
            self._wave(12.0, 9000.0, 0, elapsed_s) + self._wave(1.0, 479.0, 1, elapsed_s),
            self._wave(9.0, 12500.0, 2, elapsed_s),
            self._wave(0.4, 28800.0, 3, elapsed_s),
        )

    def seeing(self, elapsed_s: float) -> float:
        """Width of the stars relative to the night's average, 0.79 to 1.21."""
        slow = np.sin(2 * np.pi * elapsed_s / 3400.0 + self._phase[4])
        fast = np.sin(2 * np.pi * elapsed_s / 310.0 + self._phase[5])
        return float(1.0 + 0.12 * slow + 0.09 * fast)

    def _wave(self, amplitude: float, period_s: float, which: int, elapsed_s: float) -> float:
        phase = self._phase[which]
        return float(amplitude * (np.sin(2 * np.pi * elapsed_s / period_s + phase) - np.sin(phase)))
