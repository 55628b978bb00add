"""Which telescope and camera took a sub, and what these did so far: several may share one stack."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from library.frames import FrameMeta
from livestack.geometry import Matrix


@dataclass(frozen=True, slots=True)
class Setup:
    """A telescope with its camera, as far as headers tell; frames of two shapes are never of one."""

    shape: tuple[int, int]
    camera: str
    telescope: str | None
    focal_length_mm: float | None
    binning: tuple[int, int]

    @classmethod
    def of(cls, meta: FrameMeta, shape: tuple[int, int]) -> Setup:
        """That which took a frame of ``shape``."""
        return cls(shape, meta.camera, meta.telescope, meta.focal_length_mm, meta.binning)


@dataclass(frozen=True, slots=True, eq=False)
class Habit:
    """``matrix`` took its last sub onto the reference.

    ``scales`` multiplied its most transparent sub of each filter, as if that had been exposed for a second.
    The next sub is looked for where the last one was, and is cloud if it needs much more than that one.
    """

    setup: Setup
    matrix: Matrix
    scales: Mapping[str | None, float]

    def scale(self, name: str | None, exposure_s: float | None) -> float | None:
        """What the most transparent sub of a filter would have needed, exposed as long; None without any."""
        known = self.scales.get(name)
        return None if known is None else known / (exposure_s or 1.0)

    def then(self, name: str | None, matrix: Matrix, scale: float, exposure_s: float | None) -> Habit:
        """That after one more sub of the filter ``name``."""
        least = min(scale * (exposure_s or 1.0), self.scales.get(name, math.inf))
        return Habit(self.setup, matrix, {**self.scales, name: least})
