"""What is odd about a light: what its header says and cannot be read, and units that do not go together."""

from __future__ import annotations

import numpy as np

from library.keywords import unread
from library.reading import Frame
from livestack.masters import Masters

_SAMPLED = 7
"""Every so many rows and columns tell a frame's level."""

_MOSTLY, _BELOW, _NOTHING = 0.9, 0.8, 0.001
"""More is taken off than is there if so many pixels lie below the dark, and the light below so much of it;
nothing is, if the dark is so little of the light's darkest percent."""


class Oddities:
    """Tells each once, of the first light that has it."""

    def __init__(self) -> None:
        self._told: set[str] = set()
        self._compared: set[int] = set()

    def of(self, name: str, frame: Frame, masters: Masters) -> list[str]:
        """What is new about this light."""
        notes = [*frame.notes, *unread(frame.header)]
        if id(masters) not in self._compared:
            self._compared.add(id(masters))
            notes += units_differ(frame, masters)
        fresh = [note for note in notes if note not in self._told]
        self._told.update(fresh)
        return [f"{name}: {note}" for note in fresh]


def units_differ(frame: Frame, masters: Masters) -> list[str]:
    """What speaks against a light and what is taken off it being counted alike, in words."""
    if masters.pedestal_adu is None or frame.pixels.shape != masters.pedestal_adu.shape:
        return []
    light = np.asarray(frame.pixels[::_SAMPLED, ::_SAMPLED], np.float32)
    dark = masters.pedestal_adu[::_SAMPLED, ::_SAMPLED]
    known = np.isfinite(light) & np.isfinite(dark)
    if not known.any():
        return []
    light, dark = light[known], dark[known]
    light_adu, dark_adu = float(np.median(light)), float(np.median(dark))
    levels = f"its dark or bias lies at {dark_adu:.4g} ADU, the light at {light_adu:.4g}"
    advice = "are both in the same unit, and of the same gain and offset?"
    if dark_adu > 0 and float(np.mean(light < dark)) > _MOSTLY and light_adu < _BELOW * dark_adu:
        return [f"{levels}: more is taken off than is there; {advice}"]
    if abs(dark_adu) < _NOTHING * float(np.percentile(light, 1)):
        return [f"{levels}: next to nothing is taken off; {advice}"]
    return []
