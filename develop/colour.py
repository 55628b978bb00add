"""One colour picture from the stacks of one target.

Broad bands: stars are the white reference. Averaged over a field they are close to white, whatever the
filters, and so the picture comes out neither green nor blue. Lines: stars tell nothing there; each line is
scaled so that its nebula is as bright as that of Ha. The sky is made neutral by subtraction first.

A picture is worked on in place and by strips of rows: beside the stacks there is room for the result alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from develop.channels import Mask, Plane, lines_of, measure, star_ratio, with_common_sky
from develop.errors import DevelopError
from develop.filters import role
from develop.palettes import BROAD, best_palette, check, is_narrow, palette, wants

_MIN_STAR_PIXELS = 30
_STAR_SIGMA = 20.0
_MAX_GAIN = 8.0
_MOST_NOISE = 3.0
"""Times the reference's, when a faint line is brought up to it."""

_NEAR_CLIPPING = 0.7
_SURE_SIGMA = 3.0
_LINE_SHARE = 0.5
_MAD_TO_SIGMA = 1.4826
_STRIP_ROWS = 256


class Layer(Protocol):
    """What is needed of a stack: pixels (H, W[, 3]), and coverage (H, W), 0 where nothing was seen."""

    @property
    def pixels(self) -> NDArray[np.float32]: ...  # noqa: D102  the class says it

    @property
    def coverage(self) -> NDArray[np.float32] | NDArray[np.uint16]: ...  # noqa: D102  the class says it


@dataclass(frozen=True, slots=True, eq=False)
class Band:
    """One band of light (H, W), and where it was seen."""

    pixels: Plane
    coverage: NDArray[np.float32] | NDArray[np.uint16]


def bands_of(layers: Mapping[str | None, Layer]) -> dict[str, Band]:
    """Tell stacks by their filters' names: L, R, G, B, Ha, OIII, SII.

    A colour stack (the one that covers most, if there are several) is R, G and B; through a dual-band filter
    its red pixels are Ha, and the mean of green and blue is OIII. Where two stacks are of one band, a colour
    stack comes first, then the order given.
    """
    found: dict[str, Band] = {}
    colour = [(name, layer) for name, layer in layers.items() if layer.pixels.ndim == 3]
    if colour:
        name, best = max(colour, key=lambda each: float(each[1].coverage.sum()))
        red, green, blue = (best.pixels[..., channel] for channel in range(3))
        if role(name) == "HO":
            found |= {"Ha": Band(red, best.coverage), "OIII": Band(_mean(green, blue), best.coverage)}
        else:
            found |= {
                part: Band(each, best.coverage) for part, each in zip(BROAD, (red, green, blue), strict=True)
            }
    for name, layer in layers.items():
        part = role(name)
        if part is not None and part != "HO" and layer.pixels.ndim == 2:
            found.setdefault(part, Band(layer.pixels, layer.coverage))
    return found


def compose(
    layers: Mapping[str | None, Layer], palette_name: str | None = None, *, scnr: float = 0.0
) -> NDArray[np.float32] | None:
    """Compose (H, W, 3) linear colour from stacks by filter name; None if the filters don't allow it.

    All stacks lie on one geometry. Without a palette it is the best that the filters allow (see
    :mod:`develop.palettes`). In palettes of lines, ``scnr`` (0 to 1) takes away that share of what green is
    above the mean of red and blue (subtractive chromatic noise reduction, "average neutral"). The background
    is 0; pixels that a needed stack has not seen are NaN.

    Raises :class:`DevelopError` if a palette is named that is none, or that the stacks do not make.
    """
    bands = bands_of(layers)
    chosen = best_palette(bands) if palette_name is None else palette(palette_name)
    if chosen is None:
        return None
    check(chosen, bands)
    used = {part: bands[part] for part in wants(chosen)}
    shapes = {band.pixels.shape for band in used.values()}
    if len(shapes) != 1:
        if palette_name is None:
            return None
        sizes = ", ".join(f"{part} {b.pixels.shape[1]} × {b.pixels.shape[0]}" for part, b in used.items())
        raise DevelopError(f"the stacks are not of one size ({sizes} px): align them on one reference first")
    seen = np.ones(next(iter(shapes)), dtype=np.bool_)
    for band in used.values():
        seen &= band.coverage > 0
        seen &= np.isfinite(band.pixels)
    out = np.empty((*seen.shape, 3), dtype=np.float32)
    if lines_of(seen).any():
        if is_narrow(chosen):
            _lines_into(out, chosen, used, seen)
            _less_green(out, scnr, seen)
        else:
            _broad_into(out, used, seen)
        out[~seen] = np.nan
    else:
        out[:] = np.nan
    return out


def _broad_into(out: NDArray[np.float32], used: Mapping[str, Band], seen: Mask) -> None:
    for channel, part in enumerate(BROAD):
        out[..., channel] = used[part].pixels
    _balance(out, seen)
    if "L" in used:
        _add_luminance(out, used["L"].pixels, seen)
    if "Ha" in used:
        _add_line(out[..., 0], used["Ha"].pixels, seen)


def _balance(out: NDArray[np.float32], seen: Mask) -> None:
    """Take the sky off each channel and scale red and blue so that the stars add up to white."""
    light = lines_of(out)[lines_of(seen)]
    figures = [measure(out[..., channel], seen) for channel in range(3)]
    sky = np.array([each.sky for each in figures], dtype=np.float32)
    noise = np.array([each.noise for each in figures], dtype=np.float32)
    light -= sky
    brightest = light.max(axis=0)
    star = (light > _STAR_SIGMA * noise).all(axis=1) & (light < 0.8 * brightest).all(axis=1)
    gains = np.ones(3, dtype=np.float32)
    if star.sum() >= _MIN_STAR_PIXELS:
        red, green, blue = np.median(light[star] / light[star][:, 1:2], axis=0)
        gains[:] = np.clip([green / red, 1.0, green / blue], 1 / _MAX_GAIN, _MAX_GAIN)
    for strip in _strips(out):
        rows = out[strip]
        rows -= sky
        # Where a channel is clipped its share of the colour is lost: the core of a star is white, not tinted.
        core = (rows > _NEAR_CLIPPING * brightest).any(axis=2)
        rows *= gains
        rows[core] = rows[core].max(axis=1, keepdims=True)


def _add_luminance(out: NDArray[np.float32], luminance: Plane, seen: Mask) -> None:
    """Add to each channel what the luminance stack sees beyond the colour's own luminance.

    Addition keeps the hue of stars and nebulae, and unlike the usual ratio it is stable in the noise of the
    sky.
    """
    valid = lines_of(seen)
    mine, theirs = lines_of(out)[valid].mean(axis=1), lines_of(luminance)[valid]
    sky = np.median(theirs)
    theirs = theirs - sky
    noise = _MAD_TO_SIGMA * float(np.median(np.abs(mine - np.median(mine))))
    bright = (mine > 5 * noise) & (theirs > 0)
    scale = float(np.median(mine[bright] / theirs[bright])) if bright.sum() >= _MIN_STAR_PIXELS else 1.0
    brightest = float(theirs.max())
    for strip in _strips(out):
        light = luminance[strip] - sky
        gain = np.float32(scale) * light - out[strip].mean(axis=2)
        # A core that is clipped in L is no darker than its colours say.
        clipped = light > _NEAR_CLIPPING * brightest
        gain[clipped] = np.maximum(gain[clipped], 0)
        out[strip] += gain[..., None]


def _add_line(red: NDArray[np.float32], line: Plane, seen: Mask) -> None:
    """Add to red what the line shines beyond its continuum, which is what of it the stars have.

    It comes in at half of red's noise: with its own it would drown a red that saw a hundred times the
    continuum. What is not sure of its noise is left out smoothly, so that the sky stays as it is.
    """
    theirs, mine = measure(line, seen), measure(red, seen)
    continuum = star_ratio(line, red, seen) or 0.0
    gain = _LINE_SHARE * mine.noise / float(np.hypot(theirs.noise, continuum * mine.noise))
    for strip in _strips(red):
        own = np.float32(continuum) * (red[strip] - np.float32(mine.sky))
        beyond = np.float32(gain) * np.maximum(line[strip] - np.float32(theirs.sky) - own, 0)
        red[strip] += _sure(beyond, mine.noise)


def _lines_into(out: NDArray[np.float32], name: str, used: Mapping[str, Band], seen: Mask) -> None:
    """Each line at the brightness of Ha's nebula (or of the first line's), but not three times as noisy."""
    figures = with_common_sky({part: band.pixels for part, band in used.items()}, seen)
    reference = figures["Ha"] if "Ha" in figures else next(iter(figures.values()))
    wanted = wants(name)
    for channel, part in enumerate(wanted):
        own = figures[part]
        gain = min(reference.level / own.level, _MOST_NOISE * reference.noise / own.noise, _MAX_GAIN)
        np.subtract(used[part].pixels, np.float32(own.sky), out=out[..., channel])
        out[..., channel] *= np.float32(max(gain, 1 / _MAX_GAIN))
    if name == "Foraxx":
        for strip in _strips(out):
            out[strip] = _foraxx(out[strip], reference.level)


def _foraxx(rows: NDArray[np.float32], level: float) -> NDArray[np.float32]:
    """SII, Ha, OIII as The Coldest Nights' dynamic combination: weights follow the stretched lines."""
    sulphur, hydrogen, oxygen = np.moveaxis(rows, -1, 0)
    positive = np.maximum(rows, 0)
    stretched = positive / (positive + np.float32(level))
    o, ho = stretched[..., 2], stretched[..., 1] * stretched[..., 2]
    warm, green = o ** (1 - o), ho ** (1 - ho)
    mixed: NDArray[np.float32] = np.stack(
        [warm * sulphur + (1 - warm) * hydrogen, green * hydrogen + (1 - green) * oxygen, oxygen], axis=-1
    )
    return mixed


def _mean(a: Plane, b: Plane) -> Plane:
    mean: Plane = np.add(a, b)
    mean *= np.float32(0.5)
    return mean


def _less_green(out: NDArray[np.float32], share: float, seen: Mask) -> None:
    """Of the sky's noise no green is taken, or the sky would turn magenta."""
    if not 0 <= share <= 1:
        raise DevelopError(f"scnr is {share:g}; give 0 (keep the green) to 1")
    if share == 0:
        return
    red, green, blue = (measure(out[..., channel], seen).noise for channel in range(3))
    noise = float(np.hypot(green, np.hypot(red, blue) / 2))
    for strip in _strips(out):
        rows = out[strip]
        too_much = np.maximum(rows[..., 1] - (rows[..., 0] + rows[..., 2]) / 2, 0)
        rows[..., 1] -= np.float32(share) * _sure(too_much, noise)


def _sure(light: Plane, noise: float) -> Plane:
    """What is surely there of some light: x³/(x² + (3 σ)²)."""
    sure: Plane = light**3 / (light**2 + np.float32((_SURE_SIGMA * noise) ** 2))
    return sure


def _strips(image: NDArray[np.float32]) -> Iterator[slice]:
    return (slice(first, first + _STRIP_ROWS) for first in range(0, len(image), _STRIP_ROWS))
