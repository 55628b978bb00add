"""Where a sub's pixels lie on the reference: a matrix, and what optics and sensor bend on top of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from livestack.geometry import Matrix, Points, apply

_ROUNDS = 8
_FARTHEST = 2.0
"""Of a bend's reach: beyond, where it has seen no star, it grows no more."""


@dataclass(frozen=True, slots=True, eq=False)
class Bend:
    """A smooth shift in pixels: polynomials of the third degree in places scaled to about ±1.

    ``coefficients`` (10, 2) go with 1, x, y, x², xy, y², x³, x²y, xy², y³ of ``(place - centre) / reach_px``.
    """

    centre: Points
    reach_px: float
    coefficients: NDArray[np.float64]

    def at(self, points: Points) -> Points:
        """Shift (N, 2) at places (N, 2) of the reference."""
        scaled = np.clip((points - self.centre) / self.reach_px, -_FARTHEST, _FARTHEST)
        return terms(scaled) @ self.coefficients


@dataclass(frozen=True, slots=True, eq=False)
class Warp:
    """Sub → reference: the matrix first, then the bend."""

    matrix: Matrix
    bend: Bend | None = None

    def forwards(self, points: Points) -> Points:
        """Places (N, 2) of the sub on the reference."""
        moved = apply(self.matrix, points)
        return moved if self.bend is None else moved + self.bend.at(moved)

    def backwards(self, points: Points) -> Points:
        """Places (N, 2) of the reference on the sub; a bend is undone step by step."""
        straight: Points = points
        if self.bend is not None:
            for _ in range(_ROUNDS):
                straight = np.asarray(points - self.bend.at(straight), np.float64)
        return apply(np.asarray(np.linalg.inv(self.matrix), np.float64), straight)

    def then_shifted(self, shift: Points) -> Warp:
        """The same onto a reference that lies elsewhere by ``shift`` (2); the bend moves with its stars."""
        matrix = self.matrix.copy()
        matrix[:2, 2] += shift
        bend = self.bend
        return Warp(matrix, bend and Bend(bend.centre + shift, bend.reach_px, bend.coefficients))


class Reversed(Warp):
    """Reference → sub."""

    def forwards(self, points: Points) -> Points:
        """Places (N, 2) of the reference on the sub."""
        return Warp.backwards(self, points)

    def backwards(self, points: Points) -> Points:
        """Places (N, 2) of the sub on the reference."""
        return Warp.forwards(self, points)


def terms(scaled: Points) -> NDArray[np.float64]:
    """The ten terms (N, 10) of a polynomial of the third degree in two variables (N, 2)."""
    x, y = scaled.T
    one = np.ones_like(x)
    return np.column_stack((one, x, y, x * x, x * y, y * y, x**3, x * x * y, x * y * y, y**3))
