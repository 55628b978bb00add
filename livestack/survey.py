"""A raw frame binned to a small one, and the pixels of it that have to be mended."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from library.mosaics import RGB
from livestack.kernels.registering import THREE_PLANES
from livestack.kernels.surveying import BAND_ROWS, PATCHES_PER_BAND, mend, survey
from livestack.masters import Masters
from measure.detection.picture import small_binning
from measure.kernels.frames import FLAT_UNIT, NO_PLANE, NO_RESPONSE, Frame, load
from measure.noise import line_noise
from numerics.threads import in_parallel

Raw = NDArray[np.uint16] | NDArray[np.float32]
Plane = NDArray[np.float32]

_ABSURD_ADU = 1e12
_NOISE_SAMPLES = 150_000
_NOISE_COLUMNS = 8  # side by side, since they share the memory's lines
_CHANNELS = {"R": 0, "G": 1, "B": 2}
_AS_IT_LIES = np.eye(2, dtype=np.int64)


@dataclass(frozen=True, slots=True, eq=False)
class Patches:
    """What replaces single pixels of a frame: their flat places (N), sorted, and values (N) in ADU."""

    places: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    values: Plane = field(default_factory=lambda: np.empty(0, np.float32))


@dataclass(frozen=True, slots=True, eq=False)
class Survey:
    """``small`` (channels, h, w): the calibrated and mended frame, ``binning`` times smaller, NaN for no
    data.

    ``noise_adu`` is that of the background in one full pixel.
    """

    small: Plane
    binning: int
    noise_adu: float
    patches: Patches


def counts(raw: NDArray[np.integer[Any] | np.floating[Any] | np.bool_]) -> Raw:
    """A frame as the kernels take it: uint16 as it is, all else as float32, what cannot be true NaN."""
    if raw.dtype == np.uint16:
        return np.ascontiguousarray(raw)
    pixels = np.array(raw, dtype=np.float32, order="C")
    if raw.dtype.kind == "f":
        pixels[~(np.abs(pixels) < _ABSURD_ADU)] = np.nan
    return pixels


def colours(bayer_pattern: str | None) -> NDArray[np.int64]:
    """Channel of each pixel of a Bayer cell (2, 2); -1 for mono, -2 for three planes."""
    if bayer_pattern == RGB:
        return np.full((2, 2), THREE_PLANES, np.int64)
    if bayer_pattern is None:
        return np.full((2, 2), -1, np.int64)
    return np.array([_CHANNELS[letter] for letter in bayer_pattern], np.int64).reshape(2, 2)


def picture_shape(shape: tuple[int, int], bayer_pattern: str | None) -> tuple[int, int]:
    """Height and width of what a raw frame of such a shape shows: three planes lie one below the other."""
    return (shape[0] // 3, shape[1]) if bayer_pattern == RGB else shape


def framed(raw: Raw, masters: Masters, patches: Patches) -> Frame:
    """A frame as the kernels take it."""
    pedestal, response = masters.pedestal_adu, masters.response
    whole = raw.dtype == np.uint16
    return Frame(
        np.asarray(raw, np.uint16) if whole else NO_RESPONSE,
        NO_PLANE if whole else np.asarray(raw, np.float32),
        NO_PLANE if pedestal is None else pedestal,
        NO_RESPONSE if response is None else response,
        patches.places,
        patches.values,
        np.float32(masters.shift_adu),
    )


def survey_frame(raw: Raw, masters: Masters, *, bayer_pattern: str | None, search: bool = True) -> Survey:
    """Survey a raw frame (H, W); ``search`` for lone hot and dead pixels beside the mapped ones."""
    if bayer_pattern == RGB:
        return _survey_planes(raw, masters, search=search)
    noise = _noise(raw, masters)
    mosaic = bayer_pattern is not None
    binning = small_binning(raw.shape, mosaic=mosaic)
    height, width = raw.shape
    bands = -(-height // BAND_ROWS)
    small = np.empty((3 if mosaic else 1, height // binning, width // binning), np.float32)
    room = max(int(PATCHES_PER_BAND * BAND_ROWS * width), 8)
    places, values = np.empty((bands, room), np.int64), np.empty((bands, room), np.float32)
    found = np.zeros(bands, np.int64)
    mapped = _mapped(raw, masters)
    sigma = np.float32(-1.0 if not search else noise if noise > 0 else 0.0)
    in_parallel(
        *(survey, bands, framed(raw, masters, mapped), masters.defects is not None, sigma),
        *(colours(bayer_pattern), binning, small, places, values, found),
    )
    lone = Patches(
        np.concatenate([row[: max(n, 0)] for row, n in zip(places, found, strict=True)]),
        np.concatenate([row[: max(n, 0)] for row, n in zip(values, found, strict=True)]),
    )
    return Survey(small, binning, noise, _merged(mapped, lone))


def _survey_planes(raw: Raw, masters: Masters, *, search: bool) -> Survey:
    """Survey three planes that lie one below the other (3 H, W), each by itself."""
    height = raw.shape[0] // 3
    seen = []
    for top in range(0, 3 * height, height):
        rows = slice(top, top + height)
        own = replace(
            masters,
            pedestal_adu=None if masters.pedestal_adu is None else masters.pedestal_adu[rows],
            response=None if masters.response is None else masters.response[rows],
        )
        seen.append(survey_frame(raw[rows], own, bayer_pattern=None, search=search))
    size = height * raw.shape[1]
    patches = Patches(
        np.concatenate([each.patches.places + k * size for k, each in enumerate(seen)]),
        np.concatenate([each.patches.values for each in seen]),
    )
    noise = float(np.sqrt(np.mean([each.noise_adu**2 for each in seen])))
    return Survey(np.concatenate([each.small for each in seen]), seen[0].binning, noise, patches)


def luminance(raw: Raw, masters: Masters, patches: Patches) -> Plane:
    """The mean (H, W) of three calibrated and mended planes that lie one below the other."""
    pixels = np.empty(raw.shape, np.float32)
    load(framed(raw, masters, patches), 0, 0, _AS_IT_LIES, 1, pixels)
    return np.asarray(pixels.reshape(3, -1, raw.shape[1]).mean(axis=0), np.float32)


def _mapped(raw: Raw, masters: Masters) -> Patches:
    """What replaces the pixels that the defect map names."""
    repairs = masters.defects
    if repairs is None:
        return Patches()
    values = np.empty(len(repairs.places), np.float32)
    in_parallel(
        *(mend, len(values), framed(raw, masters, Patches()), repairs.sources, repairs.weights, values)
    )
    lost = Patches(repairs.lost.astype(np.int64), np.full(len(repairs.lost), np.nan, np.float32))
    return _merged(Patches(repairs.places.astype(np.int64), values), lost)


def _merged(one: Patches, other: Patches) -> Patches:
    """Both; where they name one pixel, the second counts."""
    if not len(other.places) or not len(one.places):
        return one if len(one.places) else other
    places, last = np.unique(np.concatenate((other.places, one.places)), return_index=True)
    return Patches(places, np.concatenate((other.values, one.values))[last])


def _noise(raw: Raw, masters: Masters) -> float:
    """Background noise of a pixel, from lines calibrated for the purpose; good for mosaics, too."""

    def line(which: tuple[slice, slice | NDArray[np.intp]]) -> Plane:
        pixels = raw[which].astype(np.float32)
        if masters.pedestal_adu is not None:
            pixels -= masters.pedestal_adu[which] + np.float32(masters.shift_adu)
        if masters.response is not None:
            response = masters.response[which].astype(np.float32)
            response[response == 0] = np.nan
            pixels *= FLAT_UNIT / response
        return pixels

    width = raw.shape[1]
    every, apart = slice(None), max(1, raw.size // _NOISE_SAMPLES)
    first = np.arange(0, max(width - _NOISE_COLUMNS, 1), apart * _NOISE_COLUMNS)
    columns = (first[:, None] + np.arange(min(_NOISE_COLUMNS, width))).ravel()
    return line_noise(line((slice(None, None, apart), every)), line((every, columns)).T)
