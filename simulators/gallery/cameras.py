"""Each camera's light, flat, dark and bias."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from simulators.camera import Camera
from simulators.gallery.page import Picture, Picture8, in_row, larger, linear, middle, night, smaller, stretch
from simulators.gallery.shots import SEED, in_colour, take
from simulators.optics import CLEAR
from simulators.profiles import PROFILES
from simulators.sensor import SensorProfile


def pictures() -> Iterator[Picture]:
    """Two rows of two for every profile."""
    for profile in PROFILES.values():
        yield from _of(profile)


def _of(p: SensorProfile) -> Iterator[Picture]:
    camera = Camera(SEED, profile=p)
    what = f"{p.width} × {p.height}, {p.pixel_um} µm, {p.adc_bits} bit, {p.bayer or 'mono'}"
    light = take(camera, field="M42", exposure_s=60.0)
    seen = in_colour(light, p) if p.bayer else light.astype(np.float32)
    yield Picture(f"{p.name}: the Orion nebula", f"{what}. 60 s, whole sensor.", night(smaller(seen)))
    yield Picture(
        f"{p.name}: its middle, pixel by pixel",
        "The same frame, 310 × 200 pixels, as they come from the sensor.",
        larger(night(middle(light, 310, 200)), 2),
    )
    warm_c = p.dark_reference_c + 10.0
    dark = take(camera, "DARK", exposure_s=300.0, temperature_c=warm_c)
    yield Picture(
        f"{p.name}: a dark, the whole and a corner",
        f"300 s at {warm_c:.0f} °C: glow, warm and hot pixels. Right: 200 × 200 pixels of the lower right.",
        in_row(*_same_height(stretch(smaller(dark, 420), 3.0), stretch(dark[-200:, -200:], 3.0))),
    )
    bias = take(camera, "BIAS", exposure_s=0.0).astype(np.float32)
    level, spread = float(np.median(bias)), max(float(bias[:200, :200].std()), 0.5)
    gain = p.gain.default if p.gain else 0.0
    room_e = min(p.full_well_e(), 2**p.adc_bits * p.e_per_adu(gain))
    flat = take(camera, "FLAT", exposure_s=0.5 * room_e / CLEAR.panel_e_s)
    yield Picture(
        f"{p.name}: bias and flat",
        f"Left: 200 × 200 pixels of a bias, median ± 3 σ (σ = {spread:.1f} ADU). Right: a flat.",
        in_row(
            *_same_height(
                linear(bias[:200, :200], level - 3 * spread, level + 3 * spread),
                stretch(smaller(flat, 420), 0.1, 0.1),
            )
        ),
    )


def _same_height(*images: Picture8) -> list[Picture8]:
    height = max(image.shape[0] for image in images)
    return [np.pad(image, ((0, height - image.shape[0]), (0, 0))) for image in images]
