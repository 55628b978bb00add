"""Lights of a small true sky on disk, for stories about ``firstlight stack``."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from library.cards import Card
from library.writing import write_image
from tests.livestack.sky import Sky, motion, quantised

SKY = Sky(shape=(240, 320), n_stars=70)


def light(
    path: Path,
    number: int = 0,
    *,
    filter_name: str | None = "L",
    fwhm_px: float = 2.6,
    turn_deg: float = 0.0,
    trail: bool = False,
    kind: str = "Light Frame",
    bayer: str | None = None,
) -> Path:
    """Write the light with this number: its drift and its noise are its own."""
    rng = np.random.default_rng(number)
    frame = SKY.expose(motion(1.5 * number, -number, turn_deg, SKY.shape), rng, fwhm_px=fwhm_px)
    if trail:
        frame[20 * number % 240] += 900
    cards: list[Card] = [
        ("IMAGETYP", kind, ""),
        ("OBJECT", "M 27", ""),
        ("EXPTIME", 30.0, ""),
        ("XPIXSZ", 3.8, ""),
        ("DATE-OBS", f"2026-03-01T22:{number // 60:02d}:{number % 60:02d}", ""),
    ]
    cards += [("FILTER", filter_name, "")] if filter_name else []
    cards += [("BAYERPAT", bayer, "")] if bayer else []
    path.parent.mkdir(parents=True, exist_ok=True)
    write_image(path, quantised(frame), cards)
    return path
