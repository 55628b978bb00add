"""How a mosaic becomes colour: an entry for each method, from which the command's help and choices come.

Nothing is imported here but data, so that a command line can ask without waiting for the kernels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Demosaic = Literal["fine", "malvar", "rcd", "bilinear"]
"""The methods' names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DemosaicMethod:
    """``summary`` says what it is good for, ``reach_px`` which pixels count.

    Linear ones have a ``gain`` (:mod:`livestack.kernels.demosaic`), RCD has None.
    """

    summary: str
    gain: float | None
    reach_px: int


METHODS: dict[Demosaic, DemosaicMethod] = {
    "fine": DemosaicMethod(summary="linear, true star colours, smooth surfaces", gain=0.5, reach_px=2),
    "malvar": DemosaicMethod(
        summary="linear, stars narrower in red and blue, surfaces noisier", gain=1.0, reach_px=2
    ),
    "rcd": DemosaicMethod(summary="along edges; star colours are drawn to white", gain=None, reach_px=10),
    "bilinear": DemosaicMethod(
        summary="each colour by itself, stars wider, edges coloured", gain=0.0, reach_px=2
    ),
}
DEFAULT: Demosaic = "fine"
