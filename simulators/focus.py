"""Focus: what a focuser's position, the tube's temperature and the filter do to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class FocusState:
    """Where the focuser stands, in its steps, and how warm the tube is."""

    position_steps: float
    tube_c: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Focuser:
    """How far the sensor is from focus; steps count outwards.

    ``um_per_step`` is the way of the focal plane (a Cassegrain's is not that of the knob).
    ``drift_steps_per_c``: a tube that shrinks in the cold puts its focus further out or in.
    ``filter_steps``: best positions relative to L; thicker glass, and a lens's colours.
    ``asymmetry``: the relative difference of the V-curve's two slopes, the inner one steeper by half of it,
    as spherical aberration gathers the light differently on the two sides.
    """

    travel_steps: int = 60_000
    best_steps: float = 25_000.0
    best_at_c: float = 12.0
    um_per_step: float = 0.6
    drift_steps_per_c: float = -14.0
    filter_steps: Mapping[str, float] = field(default_factory=dict)
    asymmetry: float = 0.0

    def best_position_steps(self, filter_name: str, tube_c: float) -> float:
        """Where the stars are sharpest."""
        drift = self.drift_steps_per_c * (tube_c - self.best_at_c)
        return self.best_steps + drift + self.filter_steps.get(filter_name, 0.0)

    def defocus_um(self, state: FocusState, filter_name: str) -> float:
        """How far the sensor's middle lies behind the focus (negative: in front of it)."""
        steps = state.position_steps - self.best_position_steps(filter_name, state.tube_c)
        skew = 0.5 * self.asymmetry if steps < 0 else -0.5 * self.asymmetry
        return steps * self.um_per_step * (1.0 + skew)
