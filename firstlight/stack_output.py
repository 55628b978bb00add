"""What a stack looks like on disk: its header, and its preview."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from develop.colour import compose
from develop.png import write_png
from develop.stretch import autostretch
from firstlight.applying import scaling_cards
from firstlight.choices import Choices, choice_cards
from library.cards import Card
from library.keywords import kept_value
from library.reading import Frame
from livestack.dark_scaling import Scaling
from livestack.stack import StackImage

PREVIEW_MAX_SIDE_PX = 2000


def stack_cards(
    picture: StackImage,
    first: Frame,
    calibration: Sequence[tuple[Choices, int]] = (),
    scalings: Sequence[Scaling] = (),
) -> Iterator[Card]:
    """Yield what the stack's header says; sky and time as the reference had them.

    ``calibration`` tells the masters and how many subs were calibrated with them, ``scalings`` how much of
    the dark each sub held.
    """
    meta = first.meta
    yield "IMAGETYP", "Light Frame", "stack of light frames"
    yield "STACKCNT", picture.subs, "number of subs in the stack"
    yield "NCOMBINE", picture.subs, "number of subs in the stack"
    yield "LIVETIME", picture.exposure_s, "[s] exposure of all subs together"
    yield "EXPOSURE", picture.exposure_s, "[s] exposure of all subs together"
    if picture.sub_exposure_s is not None:
        yield "EXPTIME", picture.sub_exposure_s, "[s] exposure of one sub"
    for keyword, value, comment in (
        ("FILTER", picture.filter, "filter"),
        ("OBJECT", meta.object_name, "target"),
        ("INSTRUME", meta.camera or None, "camera"),
        ("GAIN", meta.gain, "gain of the camera"),
        ("OFFSET", meta.offset, "offset of the camera"),
        ("CCD-TEMP", meta.sensor_temp_c, "[deg C] sensor temperature of the reference"),
        ("XBINNING", meta.binning[0], "binning along x"),
        ("YBINNING", meta.binning[1], "binning along y"),
    ):
        if value is not None:
            yield keyword, value, comment
    if meta.date_obs is not None:
        stamp = meta.date_obs.replace(tzinfo=None).isoformat(timespec="milliseconds")
        yield "DATE-OBS", stamp, "[UTC] start of the first sub"
    for keyword in ("TELESCOP", "FOCALLEN", "XPIXSZ", "YPIXSZ", "OBJCTRA", "OBJCTDEC", "ROWORDER"):
        kept = kept_value(first.header, keyword)
        if kept is not None:
            yield keyword, kept, "as in the reference"
    for keyword, number, comment in (
        ("BACKGRND", picture.background_adu, "[adu] sky level"),
        ("BGNOISE", picture.noise_adu, "[adu] background noise"),
        ("SUBNOISE", picture.sub_noise_adu, "[adu] background noise of one sub"),
        ("FWHM", picture.fwhm_px, "[pixel] median FWHM of stars"),
    ):
        if math.isfinite(number):
            yield keyword, number, comment
    yield "BUNIT", "adu", "at the scale of the first sub"
    yield "CREATOR", "firstlight", ""
    yield from choice_cards(calibration)
    yield from scaling_cards(scalings)


def finite(value: float | None) -> float | None:
    """The number, or ``None`` for one that JSON cannot hold."""
    return value if value is not None and math.isfinite(value) else None


def write_preview(path: Path, picture: StackImage) -> tuple[int, int]:
    """Write one stack, stretched, as PNG; returns its width and height. Raises OSError."""
    colour = compose({picture.filter: picture}) if picture.pixels.ndim == 3 else None
    stretched = autostretch(picture.pixels if colour is None else colour, picture.coverage)
    return write_png(path, stretched, max_side_px=PREVIEW_MAX_SIDE_PX)


def write_colour_preview(path: Path, pictures: Mapping[str | None, StackImage]) -> tuple[int, int] | None:
    """Write one colour picture of all filters; None when they don't allow one. Raises OSError."""
    colour = compose(pictures)
    if colour is None:
        return None
    return write_picture(path, colour)


def write_picture(path: Path, colour: NDArray[np.float32]) -> tuple[int, int]:
    """Write linear colour (H, W, 3), NaN where nothing was seen, stretched, as PNG. Raises OSError."""
    return write_png(path, autostretch(colour), max_side_px=PREVIEW_MAX_SIDE_PX)
