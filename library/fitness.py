"""Whether a master fits a frame, field by field, in words."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from library.frames import FrameKind, FrameMeta

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Tolerances:
    """How far a dark may be from the frame it is for. Exposures may differ by the larger of the two."""

    temp_c: float = 1.0
    exposure_s: float = 0.05
    exposure_fraction: float = 0.01


def ruled_out_by(wanted: FrameMeta, found: FrameMeta, tolerances: Tolerances) -> list[str]:
    """What makes the master unfit for the frame; nothing, if it fits."""
    against = [
        *_differs("camera", wanted.camera or None, found.camera or None, strict=True),
        *_differs("size", (wanted.width, wanted.height), (found.width, found.height), _times),
        *_differs("binning", wanted.binning, found.binning, _times),
        *_differs("gain", wanted.gain, found.gain, _general, strict=True),
        *_differs("offset", wanted.offset, found.offset, _general, strict=True),
        *_differs("read mode", wanted.read_mode, found.read_mode),
        *_differs("Bayer pattern", wanted.bayer_pattern, found.bayer_pattern),
    ]
    if found.kind is FrameKind.FLAT:
        against += _differs("filter", wanted.filter, found.filter, strict=True)
    if found.kind in {FrameKind.DARK, FrameKind.FLAT_DARK}:
        against += _beyond_tolerance(wanted, found, tolerances)
    return against


def notes_on(wanted: FrameMeta, found: FrameMeta, tolerances: Tolerances) -> list[str]:
    """What does not rule the master out, and should be said."""
    notes = []
    for name, a, b in (
        ("read mode", wanted.read_mode, found.read_mode),
        ("Bayer pattern", wanted.bayer_pattern, found.bayer_pattern),
    ):
        if (a is None) != (b is None):
            notes.append(f"{name} is known of {'the frame' if b is None else 'the master'} only")
    if found.kind is FrameKind.BIAS:
        away_c = distance(temperature_c(wanted), temperature_c(found))
        if away_c > tolerances.temp_c:
            notes.append(f"it is {away_c:.1f} °C from the frame")
        if wanted.kind is FrameKind.LIGHT:
            notes.append("a bias leaves the dark current in")
    return notes


def temperature_c(meta: FrameMeta) -> float | None:
    """The sensor's own temperature, or else what it was set to."""
    return meta.set_temp_c if meta.sensor_temp_c is None else meta.sensor_temp_c


def distance(wanted: float | None, found: float | None) -> float:
    """How far apart two values are; unknown ones are no distance."""
    return 0.0 if wanted is None or found is None else abs(found - wanted)


def _beyond_tolerance(wanted: FrameMeta, found: FrameMeta, tolerances: Tolerances) -> list[str]:
    against = []
    wanted_c, found_c = temperature_c(wanted), temperature_c(found)
    if wanted_c is None or found_c is None:
        against += _differs("temperature", wanted_c, found_c, _celsius, strict=True)
    elif abs(found_c - wanted_c) > tolerances.temp_c:
        allowed = f"{_celsius(wanted_c)} ± {tolerances.temp_c:g} °C"
        against.append(f"temperature {_celsius(found_c)}, wanted {allowed}")
    wanted_s, found_s = wanted.exposure_s, found.exposure_s
    if wanted_s is None or found_s is None:
        against += _differs("exposure", wanted_s, found_s, _seconds, strict=True)
    else:
        allowed_s = max(tolerances.exposure_s, tolerances.exposure_fraction * wanted_s)
        if abs(found_s - wanted_s) > allowed_s:
            against.append(
                f"exposure {_seconds(found_s)}, wanted {_seconds(wanted_s)} ± {_seconds(allowed_s)}"
            )
    return against


def _differs(
    name: str,
    wanted: _T | None,
    found: _T | None,
    show: Callable[[_T], str] = str,
    *,
    strict: bool = False,
) -> list[str]:
    """Say that two values differ; with ``strict``, one unknown and one known value do."""
    if wanted == found or (not strict and (wanted is None or found is None)):
        return []
    texts = ["unknown" if value is None else show(value) for value in (found, wanted)]
    return [f"{name} {texts[0]}, wanted {texts[1]}"]


def _times(pair: tuple[int, int]) -> str:
    return f"{pair[0]}×{pair[1]}"


def _general(value: float) -> str:
    return f"{value:g}"


def _celsius(value: float) -> str:
    return f"{value:.1f} °C"


def _seconds(value: float) -> str:
    return f"{value:g} s"
