"""The telescope and its filters: scale, collected light, vignetting and dust."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

ARCSEC_PER_RADIAN = 206264.806


@dataclass(frozen=True, slots=True, kw_only=True)
class Passband:
    """A filter: what share of the unfiltered light it lets through, and of what colour.

    ``colour_term`` k: a star's light in it goes as 10^(−0.4·k·(BP−RP − 0.8)). ``panel_e_s`` is what the
    flat panel, dimmed to suit the filter, gives a pixel at the field's centre.
    """

    share: float
    colour_term: float
    sky_share: float
    panel_e_s: float


PASSBANDS = {
    "L": Passband(share=1.0, colour_term=0.0, sky_share=1.0, panel_e_s=7400.0),
    "R": Passband(share=0.32, colour_term=-0.45, sky_share=0.34, panel_e_s=6600.0),
    "G": Passband(share=0.36, colour_term=0.12, sky_share=0.36, panel_e_s=7000.0),
    "B": Passband(share=0.30, colour_term=0.80, sky_share=0.27, panel_e_s=6300.0),
    "Ha": Passband(share=0.022, colour_term=-0.6, sky_share=0.02, panel_e_s=6000.0),
    "OIII": Passband(share=0.021, colour_term=0.3, sky_share=0.018, panel_e_s=6000.0),
    "SII": Passband(share=0.022, colour_term=-0.65, sky_share=0.02, panel_e_s=6000.0),
}
CLEAR = PASSBANDS["L"]
"""What a filter of another name, or no filter, does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Telescope:
    """A small refractor; the zero point is the G magnitude that gives one electron a second in L.

    ``zero_point_mag``: a star of magnitude 0 sends about 3·10⁶ photons/s/cm² between 400 and 700 nm;
    41 cm² of aperture and 60 % of optics and sensor leave 7·10⁷ e⁻/s.
    """

    aperture_mm: float = 72.0
    focal_mm: float = 336.0
    zero_point_mag: float = 19.65
    sky_mag_arcsec2: float = 20.0
    vignetting: float = 0.22

    def scale_arcsec_px(self, pixel_um: float) -> float:
        """Arcseconds that one pixel sees."""
        return ARCSEC_PER_RADIAN * pixel_um / 1000.0 / self.focal_mm

    def sky_e_s_px(self, band: Passband, pixel_um: float) -> float:
        """Electrons a second that the sky's background gives one pixel."""
        mag = self.sky_mag_arcsec2 - 2.5 * np.log10(self.scale_arcsec_px(pixel_um) ** 2)
        return float(band.sky_share * 10 ** (0.4 * (self.zero_point_mag - mag)))


@lru_cache(maxsize=16)
def flat_field(
    width: int, height: int, vignetting: float, filter_name: str, seed: int
) -> NDArray[np.float32]:
    """How much of the light reaches each pixel, ``(height, width)``, 1 at best.

    A parabola towards the corners, sharp small shadows of dust on the sensor's window (the same for all
    filters), and large faint rings of dust on the filter itself.
    """
    y, x = np.ogrid[:height, :width]
    corner2 = (width**2 + height**2) / 4.0
    r2 = ((x - (width - 1) / 2) ** 2 + (y - (height - 1) / 2) ** 2) / corner2
    field = (1.0 - vignetting * r2).astype(np.float32)
    window = np.random.default_rng([seed, 1])
    glass = np.random.default_rng([seed, 2, crc32(filter_name.encode())])
    for rng, count, radii, depths in (
        (window, 6, (9.0, 16.0), (0.05, 0.12)),
        (glass, 4, (28.0, 55.0), (0.02, 0.05)),
    ):
        for _ in range(count):
            x0, y0 = rng.uniform(0, width), rng.uniform(0, height)
            _shade(field, x0, y0, rng.uniform(*radii), rng.uniform(*depths))
    field.setflags(write=False)
    return field


def _shade(field: NDArray[np.float32], x0: float, y0: float, radius: float, depth: float) -> None:
    """Darken a soft-edged ring: the shadow of a grain in the light of an unobstructed-centre mote."""
    height, width = field.shape
    reach = radius * 1.6
    rows = slice(max(int(y0 - reach), 0), min(int(y0 + reach) + 1, height))
    cols = slice(max(int(x0 - reach), 0), min(int(x0 + reach) + 1, width))
    y, x = np.ogrid[rows, cols]
    r = np.hypot(x - x0, y - y0) / radius
    disc = 1.0 / (1.0 + np.exp((r - 1.0) * 14.0))
    hole = 0.6 / (1.0 + np.exp((r - 0.4) * 14.0))
    field[rows, cols] *= (1.0 - depth * (disc - hole)).astype(np.float32)
