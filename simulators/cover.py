"""What is before the telescope: a flat panel that is a dust cap too."""

from __future__ import annotations

from dataclasses import dataclass

FULL_PANEL_E_S = 40_000.0
"""What the panel at its brightest gives a pixel at the centre without a filter, e⁻/s."""


@dataclass(frozen=True, slots=True)
class Cover:
    """The panel's state; ``light`` is its brightness, 0 (off) to 1."""

    closed: bool
    light: float
