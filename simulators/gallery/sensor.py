"""Each effect of the sensor, on and exaggerated."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from simulators.camera import Camera
from simulators.gallery.page import Picture, chart, in_row, larger, linear, middle, night, stretch
from simulators.gallery.shots import SEED, SMALL, take
from simulators.profiles import ASI294MC, ASI1600MM, ASI2600MC, ASI2600MM, KAF8300, PROFILES, STL1001E
from simulators.sensor import SensorProfile

QUIET = replace(SMALL, column_adu=0.0, pixel_adu=0.0, row_noise_e=0.0, prnu=0.0, cosmic_rays_per_s=0.0)


def pictures() -> Iterator[Picture]:
    """Fixed patterns first, then noise, then readout."""
    yield _bias("Column pattern", "±8 ADU from column to column.", replace(QUIET, column_adu=8.0))
    yield _bias(
        "Banding", "8 e⁻ from row to row, another draw in each frame.", replace(QUIET, row_noise_e=8.0)
    )
    salted = replace(QUIET, flicker_share=0.02, flicker_e=60.0)
    yield _bias("Salt and pepper", "2 % of the pixels jump by ±60 e⁻ or not at all.", salted)
    flat = take(Camera(SEED, profile=replace(QUIET, prnu=0.05)), "FLAT", exposure_s=3.0)
    yield Picture("PRNU", "Pixels that differ by 5 %, in a flat.", _cut(flat))
    yield _temperatures()
    yield _glow()
    yield _cosmic_rays()
    yield _gains()
    yield _binning()
    yield _mosaic()
    yield _read_noise()
    yield _saturation()


def _cut(
    frame: np.ndarray[tuple[int, ...], np.dtype[np.uint16]], spread: float = 3.5
) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """310 × 200 pixels of the middle, the median ± some robust deviations, doubled."""
    part = middle(frame, 310, 200).astype(np.float32)
    level = float(np.median(part))
    sigma = max(1.4826 * float(np.median(np.abs(part - level))), 1.0)
    return larger(linear(part, level - spread * sigma, level + spread * sigma), 2)


def _bias(title: str, caption: str, profile: SensorProfile) -> Picture:
    return Picture(
        title, f"A bias. {caption}", _cut(take(Camera(SEED, profile=profile), "BIAS", exposure_s=0.0))
    )


def _temperatures() -> Picture:
    camera = Camera(SEED, profile=replace(SMALL, cosmic_rays_per_s=0.0))
    parts = [
        middle(take(camera, "DARK", exposure_s=300.0, temperature_c=t), 206, 200).astype(np.float32)
        for t in (-20.0, 0.0, 20.0)
    ]
    return Picture(
        "Dark current doubles",
        "300 s at −20, 0 and +20 °C in one stretch: 6 °C double it, hot pixels first.",
        in_row(*(linear(part, 450.0, 1200.0) for part in parts)),
    )


def _glow() -> Picture:
    dark = take(Camera(SEED, profile=ASI294MC), "DARK", exposure_s=600.0)
    corner = dark[::6, ::6].astype(np.float32)
    return Picture(
        "Amplifier glow", "ASI294MC, 600 s: the edge that its readout lights.", stretch(corner, 5.0)
    )


def _cosmic_rays() -> Picture:
    dark = take(Camera(SEED, profile=replace(QUIET, cosmic_rays_per_s=5.0)), "DARK", exposure_s=60.0)
    return Picture("Cosmic rays", "A hundred times as many as there are, in 60 s.", _cut(dark, 20.0))


def _gains() -> Picture:
    camera = Camera(SEED, profile=ASI1600MM)
    parts = [middle(take(camera, gain=g, exposure_s=30.0), 206, 200) for g in (0.0, 139.0, 300.0)]
    return Picture(
        "Gain",
        "ASI1600, 30 s at gain 0, 139 and 300, in one stretch: 12 bits, and ever less room for the bright.",
        in_row(*(linear(part.astype(np.float32), 0.0, 65_535.0 / 4) for part in parts)),
    )


def _binning() -> Picture:
    parts = []
    for profile in (KAF8300, ASI2600MM):
        frame = take(Camera(SEED, profile=profile), exposure_s=10.0, bins=2)
        parts.append(night(middle(frame, 308, 300)))
    return Picture(
        "Binning 2 × 2",
        "10 s. Left the KAF-8300, which adds charge before one reading; right the ASI2600, after four.",
        in_row(*parts),
    )


def _mosaic() -> Picture:
    camera = Camera(SEED, profile=ASI2600MC)
    frame = take(camera, "FLAT", exposure_s=2.0).astype(np.float32)
    return Picture(
        "Colour mosaic",
        "ASI2600MC, RGGB: 62 × 40 pixels of a flat.",
        larger(stretch(middle(frame, 62, 40), 1.0), 10),
    )


def _read_noise() -> Picture:
    gain = np.linspace(0.0, 300.0, 121)
    lines = [
        (name, np.array([PROFILES[name].read_noise_e(float(g)) for g in gain]))
        for name in (ASI1600MM.name, ASI2600MM.name, ASI294MC.name, STL1001E.name)
    ]
    return Picture(
        "Read noise against gain",
        "Dual-gain sensors step down; a CCD has one gain.",
        chart(gain, lines, "gain setting", "electrons"),
    )


def _saturation() -> Picture:
    camera = Camera(SEED, profile=SMALL)
    frame = take(camera, field="M45", exposure_s=300.0)
    return Picture(
        "Full well", "The Pleiades in 300 s: clipped, without bleeding.", stretch(frame, 5.0, 0.5, 100.0)
    )
