"""Frames made for tests: small FITS files as a camera's driver would send them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from library.cards import Card
from library.frames import FrameKind, Stamp
from library.writing import encode_image

INDI_CARDS: tuple[Card, ...] = (
    ("INSTRUME", "CCD Simulator", "CCD Name"),
    ("EXPTIME", 1.0, "Total Exposure Time (s)"),
    ("CCD-TEMP", -10.0, "CCD Temperature (Celsius)"),
    ("XBINNING", 1, ""),
    ("YBINNING", 1, ""),
    ("FRAME", "Light", "Frame Type"),
    ("DATE-OBS", "2026-03-01T22:15:00.123", "UTC start date of observation"),
)


def fits_bytes(
    pixels: NDArray[Any] | None = None, cards: tuple[Card, ...] = INDI_CARDS, *, seed: int = 0
) -> bytes:
    if pixels is None:
        pixels = np.random.default_rng(seed).integers(0, 65536, (24, 36)).astype(np.uint16)
    return b"".join(encode_image(pixels, cards))


def stamp(frame_id: str = "f1", **changes: Any) -> Stamp:
    values: dict[str, Any] = {
        "kind": FrameKind.LIGHT,
        "plan_id": "p1",
        "step_id": "0001",
        "exposure_s": 30.0,
        "camera": "CCD Simulator",
        "set_temp_c": -10.0,
        "gain": 120.0,
        "offset": 30.0,
        "read_mode": "High Gain",
        "filter": "L",
        "object_name": "M 27",
    }
    return Stamp(frame_id=frame_id, **(values | changes))
