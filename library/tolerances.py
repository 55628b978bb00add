"""How far a master may be from a frame: the defaults, and what a library's owner says instead."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from library.config import config_error, config_section

SECTION = "matching"

UNKNOWN_FITS = frozenset(
    {"read_mode", "bayer_pattern", "row_order", "telescope", "focal_length_mm", "rotator_deg", "date_obs"}
)
"""Fields that may be known on one side only; the coverage is then acceptable, and the reasons say so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tolerances:
    """How far a master may be from the frame it is for; ``[matching]`` in the library's library.toml.

    Exposures may differ by the larger of the two; ages count from the frame's date, both ways.
    """

    temp_c: float = 1.0
    exposure_s: float = 0.05
    exposure_fraction: float = 0.01
    focal_length_fraction: float = 0.02
    rotator_deg: float = 1.0
    rotator_half_turn: bool = False
    """Take angles half a turn apart for the same: right where ROTATANG is the position angle on the sky,
    which a meridian flip turns by 180°, wrong where it is the rotator's own."""

    bias_days: float = 365.0
    dark_days: float = 365.0
    flat_days: float = 90.0
    model_temp_c: float = 5.0
    """How far outside a dark model's temperatures it may be extrapolated."""

    model_exposure_fraction: float = 0.5
    """How much of the exposure may lie outside a dark model's."""

    unknown_fits: frozenset[str] = field(default=UNKNOWN_FITS)
    """Names of fields that may be known on one side only."""


_NAMES = frozenset(each.name for each in dataclasses.fields(Tolerances))
_MAY_BE_UNKNOWN = UNKNOWN_FITS | {"camera", "gain", "offset", "filter", "exposure_s", "sensor_temp_c"}


def read_tolerances(root: Path) -> Tolerances:
    """Those of the library under ``root``; raises :class:`LibraryError` for values that make no sense."""
    section = config_section(root, SECTION)
    return Tolerances(**{name: _checked(root, name, value) for name, value in section.items()})


def _checked(root: Path, name: str, value: Any) -> Any:
    if name not in _NAMES:
        raise config_error(root, name, f"is not known in [{SECTION}]; it knows {', '.join(sorted(_NAMES))}")
    if name == "unknown_fits":
        wrong = [each for each in value if each not in _MAY_BE_UNKNOWN] if isinstance(value, list) else value
        if wrong or not isinstance(value, list):
            raise config_error(root, name, f"{wrong!r} is no list of {', '.join(sorted(_MAY_BE_UNKNOWN))}")
        return frozenset(value)
    if name == "rotator_half_turn":
        if not isinstance(value, bool):
            raise config_error(root, name, f"is {value!r}, not true or false")
        return value
    if isinstance(value, bool) or not isinstance(value, int | float) or not value >= 0:
        raise config_error(root, name, f"is {value!r}, not a number from 0 up")
    return float(value)
